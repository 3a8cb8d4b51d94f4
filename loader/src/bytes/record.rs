//! A run of bytes that numbers are read from: a record of an archive, a range of a file, a literal, or bytes made here.

use scanner::source::{Memory, SharedSource};
use std::io;
use std::sync::Arc;

/// Bytes with a known place and length. All of it lies inside its source: see [`Record::new`].
#[derive(Clone)]
pub(crate) struct Record {
    source: SharedSource,
    start: u64,
    len: u64,
    /// The bytes of each number stand the other way round.
    pub(crate) big_endian: bool,
    /// CRC-32 of all of it, where the archive says one.
    pub(crate) crc32: Option<u32>,
    /// The path inside the file; `None` for the file itself.
    pub(crate) member: Option<Arc<str>>,
    /// Where it starts in that member.
    pub(crate) member_offset: u64,
    /// Where it starts in the file, when it stands there as it is.
    pub(crate) file_offset: Option<u64>,
}

impl Record {
    /// The range `at .. at + len` of a source; `None` where it runs over its end.
    pub(crate) fn new(source: SharedSource, at: u64, len: u64) -> Option<Self> {
        let inside = at.checked_add(len).is_some_and(|end| end <= source.len());
        inside.then_some(Self {
            source,
            start: at,
            len,
            big_endian: false,
            crc32: None,
            member: None,
            member_offset: at,
            file_offset: None,
        })
    }

    /// Bytes that stand in no file.
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

    /// How many bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Where it starts in its source: what is read in this order is read forward.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Reads exactly `buf` at `at`.
    ///
    /// # Errors
    /// When that is past the end, the file got shorter, or reading fails.
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
