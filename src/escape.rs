//! Escapes text from files for terminals, logs and continuous integration.
//!
//! Such text may have control characters that move the cursor or color the screen, marks that change the reading direction,
//! characters without width, line breaks that forge lines of a report, and workflow commands that GitHub's runner obeys in a log:
//! `::error::` at the start of a line, `##[group]` anywhere.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Characters of one text that are shown.
const MAX_CHARS: usize = 400;

/// Bytes of one line of a listing that are kept until it is written.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Escapes a name or a message for one line of text.
pub(crate) fn text(raw: &str) -> Cow<'_, str> {
    let plain = raw.len() <= MAX_CHARS && !raw.chars().any(is_hostile) && !raw.contains("##[");
    if plain && !raw.trim_start().starts_with("::") {
        return Cow::Borrowed(raw);
    }
    let mut out = String::new();
    let mut before = ['\0'; 2];
    let at_start = raw.len() - raw.trim_start().len();
    for (count, (at, c)) in raw.char_indices().enumerate() {
        if count == MAX_CHARS {
            out.push('…');
            break;
        }
        let command = (c == '[' && before == ['#', '#']) || (c == ':' && at == at_start);
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if command || is_hostile(c) => _ = write!(out, "\\u{{{:x}}}", u32::from(c)),
            c => out.push(c),
        }
        before = [before[1], c];
    }
    Cow::Owned(out)
}

/// Escapes hostile characters in JSON as `\u` escapes, which are the same data to every parser.
///
/// The serializer escapes control characters below U+0020, and hostile characters occur in strings only.
pub(crate) fn json(raw: &str) -> Cow<'_, str> {
    let keep = |c: char| !is_hostile(c) || c == '\n';
    if raw.chars().all(keep) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len() + 64);
    for c in raw.chars() {
        if keep(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            _ = write!(out, "\\u{unit:04x}");
        }
    }
    Cow::Owned(out)
}

/// Characters that are not visible as what they are.
fn is_hostile(c: char) -> bool {
    c.is_control()
        // Noncharacters: XML and HTML refuse them.
        || u32::from(c) & 0xFFFE == 0xFFFE
        || matches!(u32::from(c),
            0xFDD0..=0xFDEF |
            // No width, or a blank that is not a space: soft hyphen, joiners, fillers, variation selectors, tags.
            0xAD | 0x34F | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x200B..=0x200D | 0x2060..=0x2065
            | 0x2800 | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF
            // Change the reading direction.
            | 0x61C | 0x200E | 0x200F | 0x202A..=0x202E | 0x2066..=0x206F
            // Break lines, or annotate other text.
            | 0x2028 | 0x2029 | 0xFFF9..=0xFFFB)
}

/// A writer that escapes each line.
pub(crate) struct EscapedLines<W: Write> {
    inner: W,
    line: Vec<u8>,
}

impl<W: Write> EscapedLines<W> {
    pub(crate) const fn new(inner: W) -> Self {
        Self { inner, line: Vec::new() }
    }

    fn write_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        self.inner.write_all(text(&String::from_utf8_lossy(&line)).as_bytes())?;
        self.inner.write_all(b"\n")
    }

    /// Writes the rest of the last line.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if !self.line.is_empty() {
            self.write_line()?;
        }
        self.inner.flush()
    }
}

impl<W: Write> Write for EscapedLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (body, ended) = part.strip_suffix(b"\n").map_or((part, false), |body| (body, true));
            let count = MAX_LINE_BYTES.saturating_sub(self.line.len()).min(body.len());
            self.line.extend_from_slice(body.get(..count).unwrap_or_default());
            if ended {
                self.write_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["archive/data.pkl", "größe.pt", "模型.pt", "a.zip::b.pkl", "d:\\x", "posix.system('a\\n')"] {
            assert!(matches!(text(name), Cow::Borrowed(same) if same == name), "{name}");
        }
    }

    #[test]
    fn hostile_characters_are_spelled_out() {
        for (raw, shown) in [
            ("a\x1b[31mb", "a\\u{1b}[31mb"),
            ("a\nerror: b", "a\\nerror: b"),
            ("a\r\tb", "a\\r\\tb"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("gpj.\u{202e}lkp", "gpj.\\u{202e}lkp"),
            ("os\u{200b}.system", "os\\u{200b}.system"),
            ("\u{e0041}", "\\u{e0041}"),
            ("::error::x", "\\u{3a}:error::x"),
            ("  ::add-mask::x", "  \\u{3a}:add-mask::x"),
            ("x##[error]y", "x##\\u{5b}error]y"),
        ] {
            assert_eq!(text(raw), shown);
        }
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(text(&"ä".repeat(5_000)).chars().count(), MAX_CHARS + 1);
    }

    #[test]
    fn escaped_json_is_the_same_data() {
        let raw = serde_json::json!({"a\u{202e}": ["\u{e0041}\u{7f}\u{9b}\x1b", "ä\n"]});
        let written = serde_json::to_string_pretty(&raw).expect("it serializes");
        let escaped = json(&written);
        assert!(!escaped.chars().any(|c| is_hostile(c) && c != '\n'), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).expect("it parses"), raw);
    }

    #[test]
    fn a_listing_is_escaped_line_by_line() {
        let mut out = Vec::new();
        let mut lines = EscapedLines::new(&mut out);
        for part in ["a\x1b", "[0m\n:", ":error::\n", "end"] {
            lines.write_all(part.as_bytes()).expect("memory writes");
        }
        lines.finish().expect("memory writes");
        assert_eq!(String::from_utf8_lossy(&out), "a\\u{1b}[0m\n\\u{3a}:error::\nend\n");
    }
}
