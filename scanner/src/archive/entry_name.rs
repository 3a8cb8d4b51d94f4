//! Names of archive entries: which of them leave their folder, and which of them are one name to some reader.
//!
//! Nothing is ever written under these names here. Whoever unpacks the archive does, on systems where `\` divides a
//! path, where `aux` is a device and where a name ends at its first NUL.

use std::borrow::Cow;

/// The name as text: UTF-8 where it is that, else every byte a character, so that no two names become one.
pub(in crate::archive) fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// What the name would do that no plain relative path does.
pub(in crate::archive) fn escape_reason(name: &str) -> Option<&'static str> {
    if is_ordinary(name) {
        return None;
    }
    if name.starts_with(['/', '\\']) {
        return Some("is an absolute path");
    }
    let bytes = name.as_bytes();
    if bytes.get(1) == Some(&b':') && bytes.first().is_some_and(u8::is_ascii_alphabetic) {
        return Some("names a drive");
    }
    if name.split(['/', '\\']).any(|part| part.trim_end_matches(' ') == "..") {
        return Some("climbs out of its folder");
    }
    if name.split(['/', '\\']).any(is_device) {
        return Some("is the name of a device");
    }
    name.chars().any(char::is_control).then_some("holds control characters")
}

/// Whether all parts of a name are letters, digits, `_`, `-` and `.`, start with a letter, digit or underscore, and are
/// not devices. Thousands of records have such names, so this is the fast path.
fn is_ordinary(name: &str) -> bool {
    name.split('/').all(|part| {
        let start = part.bytes().next().unwrap_or(b'.');
        (start.is_ascii_alphanumeric() || start == b'_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
            && !(matches!(start | 0x20, b'c' | b'p' | b'a' | b'n' | b'l') && is_device(part))
    })
}

/// Names that Windows takes for devices, with any extension.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().trim_end();
    let numbered = match stem.as_bytes() {
        [name @ .., b'1'..=b'9'] => name.eq_ignore_ascii_case(b"com") || name.eq_ignore_ascii_case(b"lpt"),
        _ => false,
    };
    let devices = ["con", "prn", "aux", "nul", "conin$", "conout$"];
    numbered || devices.iter().any(|device| stem.eq_ignore_ascii_case(device))
}

/// The name as the least exact reader sees it, but for letter case: `\` divides, a NUL ends, dots and spaces at the
/// end of a part go.
pub(in crate::archive) fn normalized(name: &str) -> String {
    let name = name.split('\0').next().unwrap_or_default().replace('\\', "/");
    let parts = name.split('/').filter(|part| !part.is_empty() && *part != ".");
    let mut plain = parts.map(|part| part.trim_end_matches(['.', ' '])).collect::<Vec<_>>().join("/");
    // A folder and a file of one name are the same path to all readers, but honest writers list folders with the slash.
    if name.ends_with('/') {
        plain.push('/');
    }
    plain
}

/// The normalized name without letter case: equal for names that are one to some reader.
pub(in crate::archive) fn case_folded(name: &str) -> Cow<'_, str> {
    // Thousands of records have a folded name already: small letters and digits, in parts that are not empty and do not
    // end in a dot.
    let mut before = b'/';
    let folded = name.bytes().all(|byte| {
        let fits = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => true,
            b'/' | b'.' => before.is_ascii_alphanumeric(),
            _ => false,
        };
        before = byte;
        fits
    });
    if folded && before != b'/' && before != b'.' { name.into() } else { normalized(name).to_lowercase().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_their_folder_are_told_from_those_that_do_not() {
        for name in
            ["/etc/passwd", "\\x", "C:x", "a/../../b", "a\\..\\b", ".. /x", "aux", "a/COM1.txt", "a\nb", "nul\0"]
        {
            assert!(escape_reason(name).is_some(), "{name:?}");
        }
        for name in ["archive/data.pkl", "a..b", "...", "auxiliary", "com0", "a/.data/serialization_id", "com10"] {
            assert_eq!(escape_reason(name), None, "{name:?}");
        }
        for name in
            ["con", "CON.txt", "a/prn", "Aux", "nul.x", "LPT9", "conin$", "a/CONOUT$", "/a", "..", "a/..", "a ", "C:x"]
        {
            assert!(!is_ordinary(name), "{name:?}");
        }
        assert!(
            is_ordinary("archive/data/17") && is_ordinary("a/console.txt") && !is_ordinary("") && !is_ordinary("a//b")
        );
    }

    #[test]
    fn names_that_some_reader_takes_for_one_are_one() {
        for name in ["a/data.pkl.", "a\\data.pkl", "a//data.pkl", "./a/data.pkl", "a/data.pkl\0.txt", "a/data.pkl "] {
            assert_eq!(normalized(name), "a/data.pkl", "{name:?}");
        }
        for name in [
            "a/b", "A/b", "a/.b", "a/b.", "a.", "a/b/", "/a", "a./b", "a.b/c", "a//b", "", ".", "a_/b", "..", "\u{130}",
        ] {
            assert_eq!(case_folded(name), normalized(name).to_lowercase(), "{name:?}");
        }
    }
}
