//! SHA-256 as lower-case hexadecimal digits: of sources, of readers, and of bytes put together.

use crate::io::source::Source;
use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// Bytes read at once.
const BLOCK_BYTES: usize = 256 << 10;

/// A SHA-256 that is being computed.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes that were added, as 64 hexadecimal digits.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The SHA-256 of all bytes of a source.
///
/// # Errors
/// As [`Source::read_at`].
pub fn of(source: &dyn Source) -> io::Result<String> {
    of_read_at(|at, buf| source.read_at(at, buf), &|| false)
}

/// The SHA-256 of all bytes that a reader gives, and how many they are.
///
/// # Errors
/// As [`Read::read`].
pub fn of_read(reader: &mut dyn Read) -> io::Result<(String, u64)> {
    let (mut hasher, mut buffer, mut len) = (Hasher::default(), vec![0; BLOCK_BYTES], 0);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), len)),
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
                len += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The SHA-256 of all bytes that `read` gives at offsets, up to the first read of no bytes. `is_stopped` is asked before
/// each block.
///
/// # Errors
/// As `read`; [`io::ErrorKind::Interrupted`] when it was stopped.
pub fn of_read_at(
    mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
    is_stopped: &dyn Fn() -> bool,
) -> io::Result<String> {
    let (mut hasher, mut buffer, mut at) = (Hasher::default(), vec![0; BLOCK_BYTES], 0);
    loop {
        if is_stopped() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match read(at, &mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether text is a SHA-256 as this module writes it: 64 lower-case hexadecimal digits.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Hexadecimal digits in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::source::Memory;

    #[test]
    fn sources_and_readers_have_the_same_hash() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of(&Memory::new(*b"abc")).expect("memory reads"), expected);
        assert_eq!(of_read(&mut &b"abc"[..]).expect("memory reads"), (expected.to_owned(), 3));
        let stopped = of_read_at(|_, _| Ok(0), &|| true).map_err(|error| error.kind());
        assert_eq!(stopped, Err(io::ErrorKind::Interrupted));
    }
}
