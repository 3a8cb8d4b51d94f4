//! Which texts and bytes in a pickle may be artifacts: decided on their first bytes, because every literal of every
//! pickle passes here.

/// What a literal looks like, and so how its content is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiteralKind {
    /// The bytes, unchanged.
    Raw,
    /// UTF-8 text whose characters are the bytes: how protocol 2 writes bytes (`_codecs.encode(text, 'latin1')`).
    Latin1,
    /// Base64 text.
    Base64,
    /// A marshalled code object.
    Code,
}

const MAGIC: &[&[u8]] = &[
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"BZh",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
    b"7z\xbc\xaf\x27\x1c",
    b"\x93NUMPY",
    b"\x7fELF",
    b"\x5d\0\0",
];

/// The first bytes of all that is looked for below.
const FIRST: &[u8] = b"\x80P\x1fB\xfd\x28\x047\x93\x7f\x5dxci(}]\xe3\xc2gUH";

/// How a literal with this start is examined. `head` holds its first 32 bytes at most.
pub fn classify(head: &[u8], text: bool) -> Option<LiteralKind> {
    // Every literal of every pickle passes here, and nearly all end here.
    if !head.first().is_some_and(|first| FIRST.contains(first)) {
        return None;
    }
    if let [0x80, protocol, next, ..] = head
        && *protocol <= 5
        && super::opcode::lookup(*next).is_some()
    {
        return Some(LiteralKind::Raw);
    }
    if MAGIC.iter().any(|magic| head.starts_with(magic)) || zlib(head) || text_pickle(head) {
        return Some(LiteralKind::Raw);
    }
    if code(head) {
        return Some(LiteralKind::Code);
    }
    if text {
        if let [0xc2, 0x80, protocol, ..] = head
            && *protocol <= 5
        {
            return Some(LiteralKind::Latin1);
        }
        if head.starts_with(b"\x1f\xc2\x8b") || head.starts_with(b"\xc2\x93NUMPY") || head.starts_with(b"x\xc2\x9c") {
            return Some(LiteralKind::Latin1);
        }
    }
    // Base64 of 80 0[2-5], PK\3\4 and gzip.
    let base64 = [&b"gA"[..], b"UEsDB", b"H4sI"].iter().any(|start| head.starts_with(start));
    let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-\n\r".contains(byte);
    (base64 && head.len() >= 24 && head.iter().all(alphabet)).then_some(LiteralKind::Base64)
}

fn zlib(head: &[u8]) -> bool {
    matches!(head, [0x78, flags @ (0x01 | 0x5e | 0x9c | 0xda), ..] if (0x7800 | u16::from(*flags)) % 31 == 0)
}

/// A protocol 0 stream starts with an import, or with a mark or container and an import: two lines of names.
fn text_pickle(head: &[u8]) -> bool {
    let lines = match head {
        [b'c' | b'i', lines @ ..] | [b'(' | b'}' | b']', b'c' | b'i', lines @ ..] => lines,
        _ => return false,
    };
    let name =
        |line: &[u8]| !line.is_empty() && line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(byte));
    let mut lines = lines.split(|byte| *byte == b'\n');
    lines.next().is_some_and(name) && lines.next().is_some_and(name)
}

/// `e3` and five small counts, as marshal writes a code object of Python 3.
fn code(head: &[u8]) -> bool {
    let Some((0xe3 | 0x63, counts)) = head.split_first() else {
        return false;
    };
    let mut small = counts.chunks_exact(4).take(5);
    let fits = small.all(|count| matches!(count, [_, low, 0, 0] if *low < 16));
    fits && counts.len() > 20 && counts.get(20).is_some_and(|next| matches!(next & 0x7f, b's' | b'z' | 0) || *next == 0)
}

/// The bytes of base64 text, line ends and both alphabets allowed; stops at the first other character.
pub fn unbase64(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'\n' | b'\r' => continue,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_starts_with_one_of_the_first_bytes() {
        let all: Vec<u8> = (0..=u8::MAX)
            .filter(|byte| {
                let mut code = vec![*byte];
                code.extend([0; 30]);
                let text = |rest: &[u8]| [&[*byte][..], rest].concat();
                let starts = MAGIC.iter().any(|magic| magic.first() == Some(byte)) || zlib(&text(&[0x9c]));
                starts
                    || text_pickle(&text(b"os\nsystem\n"))
                    || text_pickle(&text(b"cos\nsystem\n"))
                    || self::code(&code)
            })
            .chain(*b"\x80\xc2gUHx")
            .collect();
        assert!(all.iter().all(|byte| FIRST.contains(byte)), "{all:x?}");
    }

    #[test]
    fn nested_artifacts_are_noticed_and_numbers_are_not() {
        assert_eq!(classify(b"\x80\x04\x95\0\0\0\0\0\0\0\0cos\n", false), Some(LiteralKind::Raw));
        assert_eq!(classify("\u{80}\u{2}cos\nsystem\nxxxx".as_bytes(), true), Some(LiteralKind::Latin1));
        assert_eq!(classify(b"cos\nsystem\n(S'id'\ntR.", true), Some(LiteralKind::Raw));
        assert_eq!(classify(b"convolution.weight\n", true), None);
        assert_eq!(classify(b"gASVIAAAAAAAAACMBXBvc2l4lIwG", true), Some(LiteralKind::Base64));
        assert_eq!(classify(&[0xe3, 0, 0, 0, 0xe4, 0, 0, 0, 0xe5, 0, 0, 0], false), None);
        assert_eq!(unbase64(b"gASV"), [0x80, 4, 0x95]);
    }
}
