//! The opcodes of one stream as text: for `inspect --disasm` and for excerpts in findings.
//!
//! It decodes and does not simulate, so it shows any stream up to its break, and holds one buffer whatever the length.
//! All that comes from the stream is shown so that it cannot pretend to be something else: texts are quoted, control
//! characters and those that turn the reading direction are written as escapes, and no argument fills the screen.

use super::decode::{DecodedArgument, FrameReading, OpcodeReader};
use super::opcode::{self as op, OPCODES, Opcode};
use super::text;
use super::trace::StreamEnd;
use super::value::TextEncoding;
use crate::io::bounds::pickle::{MAX_EXCERPT_OPCODES, MAX_LISTED_NOTE_CHARS, MAX_LISTED_TEXT_CHARS};
use crate::io::source::{SharedSource, Source};
use std::collections::VecDeque;
use std::io::{self, Write};

/// Bytes that hold that many characters in any encoding.
const HEAD: usize = MAX_LISTED_TEXT_CHARS * 4;

/// Column of notes, if the line leaves room.
const COLUMN: usize = 48;

/// Lists the stream at `start`, a line an opcode, with what `notes` says about the opcode at an offset. Ends at STOP, or
/// with a line that says why it cannot go on. Returns the offset behind the last byte that was taken.
///
/// # Errors
/// What writing to `out` says. That the source cannot be read is a line of the listing.
pub fn list(
    source: &SharedSource,
    start: u64,
    notes: &dyn Fn(u64) -> Option<String>,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut steps = Instructions::new(source.as_ref(), start);
    loop {
        let at = steps.reader.pos;
        let (text, last) = match steps.next() {
            Ok(step) => (steps.text(&step), step.row.code == op::STOP),
            Err(end) => (breaks(&end), true),
        };
        let line = format!("{at:#06x} {text}");
        match notes(at) {
            None => writeln!(out, "{line}")?,
            Some(note) => writeln!(out, "{line:COLUMN$}  # {}", escaped(&note, MAX_LISTED_NOTE_CHARS))?,
        }
        if last {
            return Ok(steps.reader.pos.min(source.len()));
        }
    }
}

/// The line of the opcode that `at` lies in, with up to `before` lines above it and `after` lines below it, each with
/// its offset. Where the stream breaks there, the line says why. Empty where the stream at `start` does not reach `at`
/// within some millions of opcodes.
pub fn excerpt(source: &SharedSource, start: u64, at: u64, before: usize, after: usize) -> Vec<(u64, String)> {
    let mut steps = Instructions::new(source.as_ref(), start);
    let mut kept = VecDeque::new();
    // How many lines are still wanted, once the place is reached.
    let mut excerpt_at = None;
    if at < start {
        return Vec::new();
    }
    for _ in 0..MAX_EXCERPT_OPCODES {
        let from = steps.reader.pos;
        let step = match steps.next() {
            Ok(step) => step,
            Err(end) => {
                let mut lines = Vec::new();
                if excerpt_at.is_some() || at <= steps.reader.pos {
                    lines = steps.lines(&kept);
                    lines.push((from, breaks(&end)));
                }
                return lines;
            }
        };
        let (next, stopped) = (steps.reader.pos, step.row.code == op::STOP);
        kept.push_back(step);
        excerpt_at = match excerpt_at {
            None if at < next || (stopped && at == next) => Some(after),
            None => {
                kept.drain(..kept.len().saturating_sub(before));
                None
            }
            Some(count) => Some(count.saturating_sub(1)),
        };
        if stopped || excerpt_at == Some(0) {
            break;
        }
    }
    if excerpt_at.is_some() { steps.lines(&kept) } else { Vec::new() }
}

/// One opcode, decoded.
#[derive(Debug, Clone, Copy)]
struct Step {
    at: u64,
    row: &'static Opcode,
    arg: DecodedArgument,
}

/// The opcodes of a stream in order. Frames do not exist for it: the other reading has its own findings.
struct Instructions<'a> {
    reader: OpcodeReader<'a>,
    rows: [Option<&'static Opcode>; 256],
}

impl<'a> Instructions<'a> {
    fn new(source: &'a dyn Source, start: u64) -> Self {
        let mut rows = [None; 256];
        for row in OPCODES {
            if let Some(slot) = rows.get_mut(usize::from(row.code)) {
                *slot = Some(row);
            }
        }
        Self { reader: OpcodeReader::new(source, start, FrameReading::Transparent), rows }
    }

    fn next(&mut self) -> Result<Step, StreamEnd> {
        let at = self.reader.pos;
        let code = self.reader.opcode()?;
        let row = self.rows.get(usize::from(code)).copied().flatten();
        let row = row.ok_or_else(|| StreamEnd::Broken(format!("byte 0x{code:02x} is no opcode")))?;
        // Text and bytes differ in the other reading only.
        let arg = self.reader.argument(row.argument, false)?;
        if let (op::FRAME, DecodedArgument::Long(size)) = (code, arg) {
            self.reader.frame(size)?;
        }
        Ok(Step { at, row, arg })
    }

    fn lines(&mut self, steps: &VecDeque<Step>) -> Vec<(u64, String)> {
        steps.iter().map(|step| (step.at, self.text(step))).collect()
    }

    /// The opcode and its argument as Python would write it.
    fn text(&mut self, step: &Step) -> String {
        let argument = match step.arg {
            DecodedArgument::None => return step.row.name.to_owned(),
            DecodedArgument::Int(value) => value.to_string(),
            DecodedArgument::Long(value) => value.to_string(),
            DecodedArgument::Float(value) => float(value),
            DecodedArgument::Data { at, len } => self.data(step.row.code, at, len),
            DecodedArgument::Lines { first, second } => {
                let [module, name] = [first, second].map(|(at, len)| {
                    let head = self.reader.bytes(at, len, HEAD);
                    quoted(&head, longer(len, &head))
                });
                format!("{module} {name}")
            }
        };
        format!("{} {argument}", step.row.name)
    }

    fn data(&mut self, code: u8, at: u64, len: u64) -> String {
        let head = self.reader.bytes(at, len, HEAD);
        let more = longer(len, &head);
        match code {
            op::LONG1 | op::LONG4 => long(&head, len),
            op::BINBYTES | op::SHORT_BINBYTES | op::BINBYTES8 => bytes(&head, more),
            op::BYTEARRAY8 => format!("bytearray({})", bytes(&head, more)),
            op::INT if head == b"00" => "False".to_owned(),
            op::INT if head == b"01" => "True".to_owned(),
            op::INT | op::LONG | op::FLOAT | op::GET | op::PUT if !more && bare(&head) => {
                String::from_utf8_lossy(&head).into_owned()
            }
            // What is in force counts, not how it is spelled: `S'\x6f\x73'` is `os`.
            op::STRING if !more => match text::unquote(&head) {
                Some(inner) => quoted(&inner, false),
                None => quoted(&head, false),
            },
            op::UNICODE if !more => match text::decode(TextEncoding::RawUnicodeEscape, &head) {
                Some(inner) => quoted(inner.as_bytes(), false),
                None => quoted(&head, false),
            },
            _ => quoted(&head, more),
        }
    }
}

fn longer(len: u64, head: &[u8]) -> bool {
    len > head.len() as u64
}

fn breaks(end: &StreamEnd) -> String {
    match end {
        StreamEnd::Io(why) => format!("-- cannot be read: {}", escaped(why, MAX_LISTED_NOTE_CHARS)),
        end => format!("-- breaks: {}", end.text()),
    }
}

/// A text number in plain characters, which is shown without quotes.
fn bare(line: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    !line.is_empty() && line.len() <= MAX_LISTED_TEXT_CHARS && line.iter().all(plain)
}

/// A float as `repr` writes it.
fn float(value: f64) -> String {
    let short = format!("{value:e}");
    let Some((digits, exponent)) = short.split_once('e') else {
        return short.to_ascii_lowercase();
    };
    match exponent.parse::<i32>() {
        Ok(power) if !(-4..16).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", power.unsigned_abs())
        }
        _ => format!("{value:?}"),
    }
}

/// A two's complement integer of any length; long ones by their length alone.
fn long(head: &[u8], len: u64) -> String {
    if head.len() > 16 || longer(len, head) {
        return format!("<int of {len} bytes>");
    }
    let negative = head.last().is_some_and(|byte| *byte >= 0x80);
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    wide.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
    i128::from_le_bytes(wide).to_string()
}

/// Text in quotes; bytes that are not UTF-8 as `\xNN`.
fn quoted(head: &[u8], more: bool) -> String {
    let mut shown = LiteralPreview::open("", head);
    for chunk in head.utf8_chunks() {
        chunk.valid().chars().for_each(|c| shown.push(c));
        chunk.invalid().iter().for_each(|byte| shown.push_byte(*byte));
    }
    shown.close(more)
}

/// A bytes literal.
fn bytes(head: &[u8], more: bool) -> String {
    let mut shown = LiteralPreview::open("b", head);
    for byte in head {
        if byte.is_ascii() { shown.push(char::from(*byte)) } else { shown.push_byte(*byte) }
    }
    shown.close(more)
}

/// Text without quotes, on one line.
fn escaped(raw: &str, width: usize) -> String {
    let mut shown = LiteralPreview { out: String::new(), left: width, quote: None, cut: false };
    raw.chars().for_each(|c| shown.push(c));
    shown.close(false)
}

/// A literal in the making, cut where it would become too long and never inside of an escape.
struct LiteralPreview {
    out: String,
    left: usize,
    quote: Option<char>,
    cut: bool,
}

impl LiteralPreview {
    /// Opens a literal with the quotes that Python would choose.
    fn open(prefix: &str, content: &[u8]) -> Self {
        let double = content.contains(&b'\'') && !content.contains(&b'"');
        let quote = if double { '"' } else { '\'' };
        Self { out: format!("{prefix}{quote}"), left: MAX_LISTED_TEXT_CHARS, quote: Some(quote), cut: false }
    }

    fn push(&mut self, c: char) {
        match c {
            '\n' => self.add("\\n"),
            '\r' => self.add("\\r"),
            '\t' => self.add("\\t"),
            '\\' if self.quote.is_some() => self.add("\\\\"),
            c if self.quote == Some(c) => self.add(&format!("\\{c}")),
            '\\' | '\'' | '"' => self.add(c.encode_utf8(&mut [0; 4])),
            // One character means that Unicode knows it as one that is seen.
            c if c.escape_debug().count() == 1 => self.add(c.encode_utf8(&mut [0; 4])),
            c => match u32::from(c) {
                code @ 0..=0xff => self.add(&format!("\\x{code:02x}")),
                code @ 0x100..=0xffff => self.add(&format!("\\u{code:04x}")),
                code => self.add(&format!("\\U{code:08x}")),
            },
        }
    }

    fn push_byte(&mut self, byte: u8) {
        self.add(&format!("\\x{byte:02x}"));
    }

    fn add(&mut self, piece: &str) {
        let width = piece.chars().count();
        self.cut = self.cut || width > self.left;
        if !self.cut {
            self.left -= width;
            self.out.push_str(piece);
        }
    }

    fn close(mut self, more: bool) -> String {
        self.out.extend(self.quote);
        if self.cut || more {
            self.out.push_str("...");
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::source::Memory;
    use std::sync::Arc;

    fn source(bytes: &[u8]) -> SharedSource {
        Arc::new(Memory::new(bytes))
    }

    fn listed(bytes: &[u8]) -> (Vec<String>, u64) {
        let mut out = Vec::new();
        let end = list(&source(bytes), 0, &|_| None, &mut out).expect("memory writes");
        let text = String::from_utf8(out).expect("it is text");
        (text.lines().map(str::to_owned).collect(), end)
    }

    fn only(bytes: &[u8]) -> String {
        listed(bytes).0.swap_remove(0)
    }

    #[test]
    fn a_stream_is_listed_to_its_stop_with_its_notes() {
        let stream = b"\x80\x02cposix\nsystem\nX\x02\0\0\0id\x85R.rest";
        let mut out = Vec::new();
        let notes = |at| (at == 0x18).then(|| "calls posix.system\n# no".to_owned());
        let end = list(&source(stream), 0, &notes, &mut out).expect("memory writes");
        let expected = "\
0x0000 PROTO 2
0x0002 GLOBAL 'posix' 'system'
0x0010 BINUNICODE 'id'
0x0017 TUPLE1
0x0018 REDUCE                                     # calls posix.system\\n# no
0x0019 STOP
";
        assert_eq!(String::from_utf8_lossy(&out), expected);
        assert_eq!(end, 0x1a);
    }

    #[test]
    fn arguments_are_written_as_python_writes_them() {
        for (bytes, shown) in [
            (&b"K\xff"[..], "BININT1 255"),
            (b"J\xff\xff\xff\xff", "BININT -1"),
            (b"G\x3f\xf0\0\0\0\0\0\0", "BINFLOAT 1.0"),
            (b"G\x43\x41\xc3\x79\x37\xe0\x80\0", "BINFLOAT 1e+16"),
            (b"G\x3e\xe4\xf8\xb5\x88\xe3\x68\xf1", "BINFLOAT 1e-05"),
            (b"G\xff\xf0\0\0\0\0\0\0", "BINFLOAT -inf"),
            (b"G\x7f\xf8\0\0\0\0\0\0", "BINFLOAT nan"),
            (b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", "LONG1 119547037146038801333356"),
            (b"\x8a\x01\x80", "LONG1 -128"),
            (b"\x8a\0", "LONG1 0"),
            (b"I01\n", "INT True"),
            (b"L12L\n", "LONG 12L"),
            (b"I1  # calls nothing\n", "INT '1  # calls nothing'"),
            (b"S'\\x6f\\163'\n", "STRING 'os'"),
            (b"Sos\n", "STRING 'os'"),
            (b"V\\u006fs\n", "UNICODE 'os'"),
            (b"U\x03a'b", "SHORT_BINSTRING \"a'b\""),
            (b"U\x02\xff\\", "SHORT_BINSTRING '\\xff\\\\'"),
            (b"C\x03\0a\xc3", "SHORT_BINBYTES b'\\x00a\\xc3'"),
            (b"\x96\x01\0\0\0\0\0\0\0a", "BYTEARRAY8 bytearray(b'a')"),
            (b"ca b\nc\n", "GLOBAL 'a b' 'c'"),
        ] {
            assert_eq!(only(bytes).split_once(' ').map(|(_, text)| text), Some(shown));
        }
    }

    #[test]
    fn what_moves_hides_or_turns_is_escaped_and_long_texts_are_cut() {
        let text = "\x1b[2J\u{202e}\u{e0041}\u{9b}é";
        let line = only(&[&[0x8c, u8::try_from(text.len()).unwrap_or(0)], text.as_bytes()].concat());
        assert_eq!(line, "0x0000 SHORT_BINUNICODE '\\x1b[2J\\u202e\\U000e0041\\x9bé'");
        let long = only(&[b"X\x10\x27\0\0".as_slice(), "ü".repeat(5000).as_bytes()].concat());
        assert_eq!(long, format!("0x0000 BINUNICODE '{}'...", "ü".repeat(MAX_LISTED_TEXT_CHARS)));
        let bytes = only(&[b"B\x10\x27\0\0".as_slice(), &[0xfe; 10_000]].concat());
        assert_eq!(bytes, format!("0x0000 BINBYTES b'{}'...", "\\xfe".repeat(MAX_LISTED_TEXT_CHARS / 4)));
    }

    #[test]
    fn a_break_is_the_last_line() {
        for (bytes, why, end) in [
            (&b"N\xff."[..], "0x0001 -- breaks: byte 0xff is no opcode", 2),
            (b"N", "0x0001 -- breaks: the stream ends before STOP", 1),
            (b"NX\xff\0\0\0a", "0x0001 -- breaks: the stream ends before STOP", 6),
            (b"NT\xff\xff\xff\xff", "0x0001 -- breaks: a length is negative or impossible", 6),
            (b"N\x8e\xff\xff\xff\xff\xff\xff\xff\xff", "0x0001 -- breaks: a length is negative or impossible", 10),
        ] {
            let (lines, stopped) = listed(bytes);
            assert_eq!((lines.last().map(String::as_str), stopped, lines.len()), (Some(why), end, 2));
        }
        assert_eq!(list(&source(b"a"), 9, &|_| None, &mut Vec::new()).ok(), Some(1));
    }

    #[test]
    fn an_unreadable_source_is_said_in_the_listing() {
        struct Broken;
        impl Source for Broken {
            fn len(&self) -> u64 {
                10
            }
            fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("torn\x1b"))
            }
        }
        let mut out = Vec::new();
        let broken: SharedSource = Arc::new(Broken);
        list(&broken, 0, &|_| None, &mut out).expect("memory writes");
        assert_eq!(String::from_utf8_lossy(&out), "0x0000 -- cannot be read: torn\\x1b\n");
    }

    #[test]
    fn every_beginning_and_every_change_of_a_stream_is_listed_to_an_end() {
        let stream = b"\x80\x04\x95\x05\0\0\0\0\0\0\0cos\nf\nS'a'\nX\x01\0\0\0a\x8a\x02\x01\x02G\0\0\0\0\0\0\0\0\x85R.";
        for cut in 0..stream.len() {
            let (lines, end) = listed(&stream[..cut]);
            assert!(lines.last().is_some_and(|line| line.contains("-- breaks")) && end <= cut as u64);
            for value in 0..=255 {
                let mut changed = stream.to_vec();
                changed[cut] = value;
                assert!(listed(&changed).1 <= stream.len() as u64);
            }
        }
    }

    #[test]
    fn an_excerpt_holds_the_lines_around_a_place() {
        let stream = source(b"xxK\x01K\x02K\x03K\x04NNN.");
        let around = |at, before, after| -> Vec<String> {
            let lines = excerpt(&stream, 2, at, before, after);
            lines.into_iter().map(|(at, text)| format!("{at} {text}")).collect()
        };
        assert_eq!(around(6, 1, 2), ["4 BININT1 2", "6 BININT1 3", "8 BININT1 4", "10 NONE"]);
        assert_eq!(around(7, 0, 0), ["6 BININT1 3"], "inside of an argument");
        assert_eq!(around(2, 9, 1), ["2 BININT1 1", "4 BININT1 2"]);
        assert_eq!(around(13, 1, 9), ["12 NONE", "13 STOP"]);
        assert_eq!(around(14, 0, 0), ["13 STOP"], "where the stream ends");
        assert_eq!((around(15, 3, 3).len(), around(1, 3, 3).len()), (0, 0));
    }

    #[test]
    fn an_excerpt_at_a_break_says_why_and_one_beyond_it_is_empty() {
        let stream = source(b"NN\xff...");
        let expected = [(1, "NONE".to_owned()), (2, "-- breaks: byte 0xff is no opcode".to_owned())];
        assert_eq!(excerpt(&stream, 0, 2, 1, 1), expected);
        assert_eq!(excerpt(&stream, 0, 1, 0, 3), expected);
        assert_eq!(excerpt(&stream, 0, 4, 1, 1), []);
    }

    #[test]
    fn an_excerpt_far_behind_the_start_is_given_up() {
        let mut stream = vec![b'N'; MAX_EXCERPT_OPCODES + 1];
        stream.push(b'.');
        let near = MAX_EXCERPT_OPCODES as u64 - 1;
        assert_eq!(excerpt(&source(&stream), 0, near, 0, 5), [(near, "NONE".to_owned())]);
        assert_eq!(excerpt(&source(&stream), 0, near + 1, 1, 1), []);
    }
}
