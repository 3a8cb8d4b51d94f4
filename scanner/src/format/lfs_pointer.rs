//! Git LFS pointers: a few lines of text in the place of a large file that was not fetched.
//!
//! A scan of the pointer says nothing about the model, so it is always unread.

use super::{Format, Head, Recognition};
use crate::fact::Unread;
use crate::io::artifact::Artifact;
use crate::io::source::{Source, read_vec};
use crate::observe::format_info::FormatInfo;
use crate::observe::observations::Observations;
use std::io;

/// Git LFS pointers.
pub struct LfsPointer;

/// Pointers are shorter than this by their specification.
pub const MAX_POINTER_BYTES: usize = 1024;

/// What a pointer says of its object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pointer {
    /// The SHA-256 of the object: 64 hexadecimal digits, in lower case.
    pub oid: String,
    /// Its size.
    pub size: u64,
}

impl Pointer {
    /// Reads bytes that are a pointer; `None` if they are something else.
    ///
    /// # Errors
    /// As [`Source::read_at`].
    pub fn read(source: &dyn Source) -> io::Result<Option<Self>> {
        if source.len() >= MAX_POINTER_BYTES as u64 {
            return Ok(None);
        }
        Ok(parse(&read_vec(source, 0, MAX_POINTER_BYTES)?)
            .map(|(oid, size)| Self { oid: oid.to_ascii_lowercase(), size }))
    }
}

/// Git LFS pointers.
pub static INFO: FormatInfo = FormatInfo {
    id: "lfs-pointer",
    name: "Git LFS pointer",
    is_pointer: true,
    doc_judged: "no: the model is elsewhere (--lfs-from, --lfs-download)",
    is_provable: false,
    ..FormatInfo::DATA
};

impl Format for LfsPointer {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        let short = head.artifact.source.len() < MAX_POINTER_BYTES as u64;
        if short && parse(head.start).is_some() { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let text = read_vec(&*artifact.source, 0, MAX_POINTER_BYTES).unwrap_or_default();
        if let Some((oid, size)) = parse(&text) {
            observations.unread(0, Unread::LfsPointer { oid, size });
        }
    }
}

/// The object's hash and size.
fn parse(text: &[u8]) -> Option<(String, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut lines = text.lines();
    let version = lines.next()?.strip_prefix("version ")?;
    if !matches!(version.trim_end(), "https://git-lfs.github.com/spec/v1" | "https://hawser.github.com/spec/v1") {
        return None;
    }
    let value = |key: &str| lines.clone().find_map(|line| line.strip_prefix(key)).map(str::trim_end);
    let oid = value("oid sha256:")?;
    let is_hash = oid.len() == 64 && oid.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some(())?;
    Some((oid.to_owned(), value("size ")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";

    #[test]
    fn a_pointer_gives_hash_and_size() {
        let text = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 12345\n");
        assert_eq!(parse(text.as_bytes()), Some((OID.to_owned(), 12345)));
        for cut in 0..text.len() - 1 {
            // Digits may be missing from the size without anybody noticing.
            assert!(parse(&text.as_bytes()[..cut]).is_none_or(|(_, size)| cut > text.len() - 7 && size < 12345));
        }
    }

    #[test]
    fn other_text_is_no_pointer() {
        for text in ["version 1\n", "version https://git-lfs.github.com/spec/v1\noid sha256:zz\nsize 1\n", ""] {
            assert_eq!(parse(text.as_bytes()), None);
        }
    }
}
