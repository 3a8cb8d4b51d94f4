//! All bytes of an open file: block by block, or as their SHA-256.

use scanner::hash;
use scanner::source::{FileSource, Source};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Bytes that are read at a time.
const BLOCK_BYTES: usize = 256 << 10;

/// A source of its own over an open file.
pub(crate) fn source(file: &File) -> io::Result<FileSource> {
    FileSource::new(file.try_clone()?, Arc::default())
}

/// Calls `take` with each block of a file, in order.
///
/// # Errors
/// When the file cannot be read, or `take` fails.
pub(crate) fn for_each_block(file: &FileSource, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut at = 0u64;
    loop {
        let count = file.read_at(at, &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        take(buffer.get(..count).unwrap_or_default())?;
        at = at.saturating_add(count as u64);
    }
}

/// The SHA-256 of a file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn sha256(file: &File) -> io::Result<String> {
    hash::of(&source(file)?)
}
