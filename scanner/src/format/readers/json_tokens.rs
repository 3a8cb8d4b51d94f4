//! JSON as tokens from a source: no recursion, and only the current text is kept.
//!
//! Python reads these files with its own `json`, so everything that it accepts is accepted: `NaN`, numbers without
//! bounds, halves of surrogate pairs, duplicate keys. Where the structure breaks, the walk ends as Python does, which
//! then rejects the whole text.

use crate::fact::Unread;
use crate::io::bounds::format::{MAX_JSON_DEPTH, MAX_JSON_TEXT_BYTES};
use crate::io::budget::ScanBudget;
use crate::io::source::Source;

/// The next token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::format) enum Token {
    /// An object opens.
    Object,
    /// An array opens.
    Array,
    /// The innermost object or array closes.
    End,
    /// A key of the innermost object.
    Key(JsonText),
    /// A text as a value.
    Text(JsonText),
    /// A number, `true`, `false`, `null`, `NaN` or `Infinity` as a value.
    Word,
}

/// A text, its escapes undone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::format) struct JsonText {
    /// Its start: up to [`MAX_JSON_TEXT_BYTES`] bytes.
    pub(in crate::format) start: String,
    /// Whether there is more.
    pub(in crate::format) cut: bool,
}

impl JsonText {
    /// Whether it is exactly this.
    pub(in crate::format) fn is(&self, text: &str) -> bool {
        !self.cut && self.start == text
    }
}

/// Why the walk ended before the text did.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::format) enum WalkEnd {
    /// The caller stopped.
    Enough,
    /// Not JSON from that offset on.
    Broken(u64, &'static str),
    /// UTF-16 or UTF-32, which Python detects by zeros.
    Encoding,
    /// A bound of the scan.
    Unread(Unread),
}

const BLOCK_BYTES: usize = 64 << 10;

/// Walks the text to its end. `on_token` gets each token with its offset and says whether to go on.
pub(in crate::format) fn walk(
    source: &dyn Source,
    budget: &ScanBudget,
    on_token: &mut dyn FnMut(u64, Token) -> bool,
) -> Result<(), WalkEnd> {
    let mut bytes = JsonBytes { source, budget, block: Vec::new(), next: 0, at: 0 };
    bytes.skip_mark()?;
    let mut open: Vec<u8> = Vec::new();
    // What may come next: a value, a key, or a comma and an end.
    let mut expected = Expected::Value;
    loop {
        let Some(byte) = bytes.next_sign()? else {
            let is_complete = open.is_empty() && expected == Expected::Next;
            return if is_complete { Ok(()) } else { Err(WalkEnd::Broken(bytes.at, "it ends too early")) };
        };
        let at = bytes.at - 1;
        let broken = |why| Err(WalkEnd::Broken(at, why));
        let event = match (byte, expected) {
            (b'{' | b'[', Expected::Value | Expected::First) => {
                check_depth(open.len())?;
                open.push(byte);
                expected = if byte == b'{' { Expected::FirstKey } else { Expected::First };
                if byte == b'{' { Token::Object } else { Token::Array }
            }
            (b'}' | b']', Expected::Next | Expected::First | Expected::FirstKey) => {
                if open.pop() != Some(if byte == b'}' { b'{' } else { b'[' }) {
                    return broken("a bracket closes nothing");
                }
                expected = Expected::Next;
                Token::End
            }
            (b',', Expected::Next) if !open.is_empty() => {
                expected = if open.last() == Some(&b'{') { Expected::Key } else { Expected::Value };
                continue;
            }
            (b'"', Expected::Key | Expected::FirstKey) => {
                let key = bytes.text()?;
                if bytes.next_sign()? != Some(b':') {
                    return broken("a key without a colon");
                }
                expected = Expected::Value;
                Token::Key(key)
            }
            (b'"', Expected::Value | Expected::First) => {
                expected = Expected::Next;
                Token::Text(bytes.text()?)
            }
            (b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z', Expected::Value | Expected::First) => {
                bytes.word()?;
                expected = Expected::Next;
                Token::Word
            }
            _ => return broken("no JSON"),
        };
        if !on_token(at, event) {
            return Err(WalkEnd::Enough);
        }
    }
}

fn check_depth(depth: usize) -> Result<(), WalkEnd> {
    if depth < MAX_JSON_DEPTH {
        return Ok(());
    }
    Err(WalkEnd::Unread(Unread::Limit(format!("JSON nested deeper than {MAX_JSON_DEPTH}"))))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Value,
    /// A value or the end of an array that has none.
    First,
    Key,
    /// A key or the end of an object that has none.
    FirstKey,
    /// A comma or an end.
    Next,
}

struct JsonBytes<'a> {
    source: &'a dyn Source,
    budget: &'a ScanBudget,
    block: Vec<u8>,
    next: usize,
    /// Place of the next byte.
    at: u64,
}

impl JsonBytes<'_> {
    fn peek(&mut self) -> Result<Option<u8>, WalkEnd> {
        if self.next >= self.block.len() {
            if self.budget.expired() {
                return Err(WalkEnd::Unread(Unread::Limit("time ran out while reading JSON".into())));
            }
            if self.at >= self.budget.limits.header_bytes && self.at < self.source.len() {
                return Err(WalkEnd::Unread(Unread::Limit("length of a text header".into())));
            }
            self.block.resize(BLOCK_BYTES, 0);
            let read = self.source.read_at(self.at, &mut self.block);
            self.block.truncate(read.map_err(|error| WalkEnd::Unread(Unread::Io(error.to_string())))?);
            self.next = 0;
        }
        Ok(self.block.get(self.next).copied())
    }

    fn take(&mut self) -> Result<Option<u8>, WalkEnd> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.next += 1;
            self.at += 1;
        }
        Ok(byte)
    }

    /// Skips the byte order mark of UTF-8. Other encodings are detected by their marks or zeros, as Python does.
    fn skip_mark(&mut self) -> Result<(), WalkEnd> {
        self.peek()?;
        let start = self.block.get(..self.block.len().min(4)).unwrap_or_default();
        if start.starts_with(b"\xef\xbb\xbf") {
            self.next = 3;
            self.at = 3;
        } else if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") || start.contains(&0) {
            return Err(WalkEnd::Encoding);
        }
        Ok(())
    }

    /// The next byte that is not white space.
    fn next_sign(&mut self) -> Result<Option<u8>, WalkEnd> {
        loop {
            match self.take()? {
                Some(b' ' | b'\t' | b'\n' | b'\r') => {}
                other => return Ok(other),
            }
        }
    }

    /// The rest of a number or name.
    fn word(&mut self) -> Result<(), WalkEnd> {
        while let Some(b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z') = self.peek()? {
            self.take()?;
        }
        Ok(())
    }

    /// The rest of a text, behind its first quote.
    fn text(&mut self) -> Result<JsonText, WalkEnd> {
        let mut kept = TextBuffer::default();
        loop {
            let byte = match self.within()? {
                b'"' => return Ok(kept.text()),
                b'\\' => match self.within()? {
                    b'u' => {
                        kept.unit(self.unit()?);
                        continue;
                    }
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'b' => b'\x08',
                    b'f' => b'\x0c',
                    other => other,
                },
                other => other,
            };
            kept.push(&[byte]);
        }
    }

    fn within(&mut self) -> Result<u8, WalkEnd> {
        self.take()?.ok_or(WalkEnd::Broken(self.at, "a text without an end"))
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u16, WalkEnd> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = char::from(self.within()?).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
            unit = unit << 4 | digit.ok_or(WalkEnd::Broken(self.at, "an escape that is none"))?;
        }
        Ok(unit)
    }
}

/// What is kept of a text.
#[derive(Default)]
struct TextBuffer {
    bytes: Vec<u8>,
    cut: bool,
    /// The first half of a character, as an escape: alone it is none that a name could have.
    half: Option<u16>,
}

impl TextBuffer {
    fn push(&mut self, bytes: &[u8]) {
        if self.half.take().is_some() {
            self.keep("\u{fffd}".as_bytes());
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.cut |= self.bytes.len() + bytes.len() > MAX_JSON_TEXT_BYTES;
        if !self.cut {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn unit(&mut self, unit: u16) {
        let mut decoded = char::decode_utf16(self.half.into_iter().chain([unit]));
        match decoded.next() {
            Some(Ok(character)) => {
                self.half = None;
                self.push(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ if (0xd800..0xdc00).contains(&unit) => {
                self.push(&[]);
                self.half = Some(unit);
            }
            _ => self.push("\u{fffd}".as_bytes()),
        }
    }

    fn text(mut self) -> JsonText {
        self.push(&[]);
        JsonText { start: String::from_utf8_lossy(&self.bytes).into_owned(), cut: self.cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::limits::Limits;
    use crate::io::source::Memory;
    use std::sync::Arc;

    fn stream(text: &[u8]) -> (Vec<Token>, Result<(), WalkEnd>) {
        let mut events = Vec::new();
        let budget = ScanBudget::start(Arc::new(Limits::default()));
        let outcome = walk(&Memory::new(text), &budget, &mut |_, event| {
            events.push(event);
            true
        });
        (events, outcome)
    }

    fn texts(text: &str) -> Vec<String> {
        let texts = stream(text.as_bytes()).0.into_iter();
        texts.filter_map(|event| if let Token::Text(text) = event { Some(text.start) } else { None }).collect()
    }

    #[test]
    fn what_python_takes_is_taken() {
        for text in
            ["[]", " {} ", "\u{feff}[1]", "[NaN, -Infinity, 1e999, null]", r#"{"a": {"a": [[], ""]}, "a": 1}"#, "3"]
        {
            assert_eq!(stream(text.as_bytes()).1, Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_breaks_where_it_does() {
        for text in [
            "",
            "[",
            "{",
            "]",
            "[1,]",
            "{1: 2}",
            r#"{"a"}"#,
            r#"{"a": 1,}"#,
            "[1 2]",
            "[] []",
            r#"["a"#,
            r#"["\u12"]"#,
            "[}",
            "{]",
        ] {
            assert!(matches!(stream(text.as_bytes()).1, Err(WalkEnd::Broken(..))), "{text}");
        }
        let (events, _) = stream(br#"{"a": "b", nothing"#);
        assert_eq!(events.len(), 3);
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(texts(r#"["\u004cam\u0062da", "\ud83d\ude00", "a\n\"\\\/"]"#), ["Lambda", "\u{1f600}", "a\n\"\\/"]);
        for half in [r#"["\ud83d"]"#, r#"["\ude00"]"#, r#"["\ud83d\u0041"]"#, r#"["\ud83dA"]"#, r#"["\ud83d\ud83d"]"#] {
            assert!(texts(half).concat().contains('\u{fffd}'), "{half}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = "[".repeat(MAX_JSON_DEPTH + 1);
        assert!(matches!(stream(deep.as_bytes()).1, Err(WalkEnd::Unread(Unread::Limit(_)))));
        let (events, outcome) = stream(format!("[\"{}\"]", "x".repeat(1 << 20)).as_bytes());
        assert_eq!(outcome, Ok(()));
        assert!(
            events
                .iter()
                .any(|event| matches!(event, Token::Text(text) if text.cut && text.start.len() == MAX_JSON_TEXT_BYTES))
        );
    }

    #[test]
    fn other_encodings_are_told() {
        for text in [&b"\xff\xfe{\0}\0"[..], b"{\0}\0", b"\0{\0}", b"\xfe\xff\0{"] {
            assert_eq!(stream(text).1, Err(WalkEnd::Encoding));
        }
    }
}
