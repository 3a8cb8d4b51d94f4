//! The text and number notations of pickle, read as the most permissive unpickler reads them.

use super::value::TextEncoding;
use std::borrow::Cow;

/// The text of a literal. `None` where no encoding that a loader uses by default decodes it.
pub fn decode(encoding: TextEncoding, bytes: &[u8]) -> Option<String> {
    match encoding {
        TextEncoding::Utf8 => String::from_utf8(bytes.to_vec()).ok(),
        TextEncoding::Native => Some(native(bytes)),
        TextEncoding::Quoted => Some(native(&unquote(bytes)?)),
        TextEncoding::RawUnicodeEscape => raw_unicode_escape(bytes),
    }
}

/// As [`decode`], without a copy where the bytes are the text.
pub fn decode_borrowed(encoding: TextEncoding, bytes: &[u8]) -> Option<Cow<'_, str>> {
    match (encoding, std::str::from_utf8(bytes)) {
        (TextEncoding::Utf8 | TextEncoding::Native, Ok(text)) => Some(Cow::Borrowed(text)),
        (TextEncoding::Utf8, Err(_)) => None,
        _ => decode(encoding, bytes).map(Cow::Owned),
    }
}

/// A Python 2 `str`: UTF-8 (ASCII included) where it is valid, latin-1 otherwise, as loaders are usually configured.
fn native(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// The bytes of a quoted STRING line, escapes resolved.
pub fn unquote(line: &[u8]) -> Option<Vec<u8>> {
    // cPickle of Python 2 strips blanks, and takes bytes from 0x80 on for such, from behind the quote.
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte >= 0x80;
    let end = line.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
    let line = line.get(..end)?;
    let (quote, rest) = line.split_first()?;
    let (last, inner) = rest.split_last()?;
    if last != quote || !matches!(quote, b'\'' | b'"') {
        return None;
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next()? {
            b'\n' => {}
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'x' => {
                let high = hex(bytes.next()?)?;
                out.push(high << 4 | hex(bytes.next()?)?);
            }
            digit @ b'0'..=b'7' => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    let Some(next) = bytes.next_if(|next| (b'0'..=b'7').contains(next)) else {
                        break;
                    };
                    value = value * 8 + u32::from(next - b'0');
                }
                out.push((value & 0xff) as u8);
            }
            other @ (b'\\' | b'\'' | b'"') => out.push(other),
            other => out.extend([b'\\', other]),
        }
    }
    Some(out)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The text of a UNICODE line: latin-1 with `\uXXXX` and `\UXXXXXXXX`.
fn raw_unicode_escape(line: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    // A backslash starts an escape only behind an even number of others.
    let mut escaped = false;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        let digits = match (byte, tail.first()) {
            (b'\\', Some(b'u')) if !escaped => 4,
            (b'\\', Some(b'U')) if !escaped => 8,
            _ => {
                escaped = *byte == b'\\' && !escaped;
                out.push(char::from(*byte));
                continue;
            }
        };
        let code = std::str::from_utf8(tail.get(1..=digits)?).ok()?;
        if !code.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        // A lone surrogate has no Rust text; the replacement keeps the name from matching anything.
        out.push(char::from_u32(u32::from_str_radix(code, 16).ok()?).unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = tail.get(digits + 1..)?;
    }
    Some(out)
}

/// A text number, and whether every unpickler reads the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParsedNumber<T> {
    /// The value; `None` when it has to be kept as digits.
    pub value: Option<T>,
    /// Written as CPython's pickler writes it.
    pub canonical: bool,
}

/// The int of an INT, LONG, GET or PUT line. `None` when no unpickler takes it.
pub fn int(line: &[u8]) -> Option<ParsedNumber<i64>> {
    // The C unpickler stops at a NUL.
    let (line, cut) = before_nul(line);
    let text = std::str::from_utf8(line).ok()?;
    // Python 2 takes either case of its suffix, and blanks around.
    let bare = text.trim_end_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    let (text, cut) = match (bare.strip_suffix(['L', 'l']), text.strip_suffix('L')) {
        (_, Some(digits)) => (digits, cut),
        (Some(digits), None) => (digits, true),
        (None, None) => (text, cut),
    };
    let plain = text.strip_prefix('-').unwrap_or(text);
    let canonical = !cut
        && !plain.is_empty()
        && plain.bytes().all(|byte| byte.is_ascii_digit())
        && (plain == "0" || !plain.starts_with('0') || plain == "00" || plain == "01");
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}' || c == '\0');
    let (negative, digits) = match trimmed.strip_prefix(['-', '+']) {
        Some(digits) => (trimmed.starts_with('-'), digits),
        None => (false, trimmed),
    };
    let lower = digits.to_ascii_lowercase().replace('_', "");
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, lower.get(2..)?),
        Some("0o") => (8, lower.get(2..)?),
        Some("0b") => (2, lower.get(2..)?),
        _ => (10, lower.as_str()),
    };
    if body.is_empty() || !body.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let value = i64::from_str_radix(body, radix).ok().map(|value| if negative { -value } else { value });
    Some(ParsedNumber { value, canonical })
}

fn before_nul(line: &[u8]) -> (&[u8], bool) {
    match line.iter().position(|byte| *byte == 0) {
        Some(nul) if nul > 0 => (line.get(..nul).unwrap_or_default(), true),
        _ => (line, false),
    }
}

/// The float of a FLOAT line.
pub fn float(line: &[u8]) -> Option<ParsedNumber<f64>> {
    let (line, cut) = before_nul(line);
    let text = std::str::from_utf8(line).ok()?;
    let trimmed = text.trim().replace('_', "");
    let value = trimmed.parse::<f64>().ok()?;
    Some(ParsedNumber { value: Some(value), canonical: !cut && trimmed == text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_before_names_are_compared() {
        assert_eq!(decode(TextEncoding::Quoted, br"'\x6f\163'"), Some("os".to_owned()));
        assert_eq!(decode(TextEncoding::RawUnicodeEscape, br"\u006f\U00000073"), Some("os".to_owned()));
        assert_eq!(decode(TextEncoding::Quoted, b"os"), None);
        assert_eq!(decode(TextEncoding::Native, b"\xff"), Some("\u{ff}".to_owned()));
    }

    #[test]
    fn numbers_are_read_as_the_most_permissive_unpickler_reads_them() {
        assert_eq!(int(b"0x10"), Some(ParsedNumber { value: Some(16), canonical: false }));
        assert_eq!(int(b"12L"), Some(ParsedNumber { value: Some(12), canonical: true }));
        assert_eq!(int(b" 7 "), Some(ParsedNumber { value: Some(7), canonical: false }));
        assert_eq!(int(b"1_0"), Some(ParsedNumber { value: Some(10), canonical: false }));
        assert_eq!(int(b"abc"), None);
        assert_eq!(int(b"99999999999999999999"), Some(ParsedNumber { value: None, canonical: true }));
        assert!(float(b" 1.5").is_some_and(|number| !number.canonical));
    }
}
