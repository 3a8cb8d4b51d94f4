//! SHA-256 of an open file.

use scanner::hash::hex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are read at once.
pub(crate) const BLOCK: usize = 256 << 10;

/// A hash that is being computed.
#[derive(Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// As lower case hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Hands all bytes of a file to `take`, block by block; gives how many there were.
///
/// # Errors
/// What the operating system or `take` says.
pub(crate) fn blocks(file: &File, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
    let mut buffer = vec![0; BLOCK];
    let mut at = 0u64;
    loop {
        match file.read_at(&mut buffer, at) {
            Ok(0) => return Ok(at),
            Ok(count) => {
                take(buffer.get(..count).unwrap_or_default())?;
                at = at.saturating_add(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The SHA-256 of all of a file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn of(file: &File) -> io::Result<String> {
    let mut hasher = Hasher::default();
    blocks(file, |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    Ok(hasher.finish())
}
