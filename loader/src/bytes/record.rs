//! A run of bytes that holds elements of tensors: a record of an archive, a range of a file, a literal of a pickle, or bytes
//! that the loader made.

use scanner::source::{Memory, SharedSource};
use std::io;
use std::sync::Arc;

/// A range of a source. It never reaches out of the source: see [`Record::new`].
#[derive(Clone)]
pub(crate) struct ByteRecord {
    source: SharedSource,
    start: u64,
    len: u64,
    /// Whether numbers are big-endian.
    pub(crate) big_endian: bool,
    /// CRC-32 of all bytes, where the archive gives one.
    pub(crate) crc32: Option<u32>,
    /// The path inside the file; `None` for the file itself.
    pub(crate) member: Option<Arc<str>>,
    /// Offset of the first byte in that member.
    pub(crate) member_offset: u64,
    /// Offset of the first byte in the file; `None` where the record is unpacked or in memory.
    pub(crate) file_offset: Option<u64>,
}

impl ByteRecord {
    /// The range `start .. start + len` of a source; `None` where it reaches out of it.
    pub(crate) fn new(source: SharedSource, start: u64, len: u64) -> Option<Self> {
        let inside = start.checked_add(len).is_some_and(|end| end <= source.len());
        inside.then_some(Self {
            source,
            start,
            len,
            big_endian: false,
            crc32: None,
            member: None,
            member_offset: start,
            file_offset: None,
        })
    }

    /// Bytes in memory that are part of no file.
    pub(crate) fn from_bytes(bytes: Arc<[u8]>) -> Self {
        let (len, source) = (bytes.len() as u64, Arc::new(Memory::new(bytes.to_vec())));
        Self {
            source,
            start: 0,
            len,
            big_endian: false,
            crc32: None,
            member: None,
            member_offset: 0,
            file_offset: None,
        }
    }

    /// Number of bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Offset of the first byte in its source.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Fills `buf` from offset `at` of the record on.
    ///
    /// # Errors
    /// When the record ends before, the file got shorter, or reading fails.
    pub(crate) fn read_exact_at(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(buf.len() as u64).filter(|end| *end <= self.len);
        if end.is_none() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the end of a record"));
        }
        let count = self.source.read_at(self.start + at, buf)?;
        if count < buf.len() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than when it was opened"));
        }
        Ok(())
    }
}
