//! SHA-256 as people write it: of all bytes of a source, and of what is put together here.

use crate::io::source::Source;
use sha2::{Digest, Sha256};
use std::io;

/// The SHA-256 of all bytes of a source.
///
/// # Errors
/// As [`Source::read_at`].
pub fn of(source: &dyn Source) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut at = 0;
    loop {
        let count = source.read_at(at, &mut buffer)?;
        if count == 0 {
            break;
        }
        hash.update(buffer.get(..count).unwrap_or_default());
        at += count as u64;
    }
    Ok(hex(&hash.finalize()))
}

/// Hexadecimal digits in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
