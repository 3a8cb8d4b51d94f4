//! SHA-256 in lower-case hexadecimal: of a whole source, or of bytes as they pass by.

use crate::io::source::Source;
use sha2::{Digest, Sha256};
use std::io;

/// Bytes that are read from a source at a time.
const BLOCK_BYTES: usize = 256 << 10;

/// A SHA-256 over bytes that come in pieces.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest, as 64 lower-case hexadecimal digits.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The SHA-256 of all bytes of a source.
///
/// # Errors
/// As [`Source::read_at`].
pub fn of(source: &dyn Source) -> io::Result<String> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut at = 0;
    loop {
        let count = source.read_at(at, &mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
        at += count as u64;
    }
    Ok(hasher.finish())
}

/// Whether text is a SHA-256 as this module writes it: 64 lower-case hexadecimal digits.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Hexadecimal digits in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
