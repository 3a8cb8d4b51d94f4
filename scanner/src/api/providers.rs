//! Inputs of a scan. A provider opens inputs that are not files of this machine: addresses, and the objects of Git LFS pointers.
//! The scanner has no network; the caller brings such bytes as a source that can say whether it read them correctly.

use crate::error::Error;
use crate::format::lfs_pointer::Pointer;
use crate::io::bounds::judge::MAX_CLOCK_STEP;
use crate::io::directory::FoundFile;
use crate::io::source::{FileSource, Memory, Source, Stamp, read_vec};
use crate::judge::report::LfsReport;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

/// A source that records what went wrong while it was read. Formats tolerate a failed read and see less because of it, so the
/// scan asks for failures at the end.
pub trait VerifiedSource: Source {
    /// Why the bytes that were read are not reliable: they changed meanwhile, or a read failed.
    fn integrity_error(&self) -> Option<String>;

    /// Whether all reads see the same bytes as long as there is no integrity error. A verdict on these bytes then holds for
    /// their hash.
    fn is_stable(&self) -> bool;
}

/// An open input.
pub struct FetchedInput {
    /// The bytes.
    pub source: Arc<dyn VerifiedSource>,
    /// Its file name: a hint to formats.
    pub name: String,
    /// The SHA-256, if the provider computed it.
    pub sha256: Option<String>,
    /// The Git LFS object that the bytes are.
    pub lfs: Option<LfsReport>,
}

/// Opens inputs that are not files of this machine.
pub trait InputProvider: Sync {
    /// The inputs that are scanned beside files, as reports call them.
    fn inputs(&self) -> Vec<String>;

    /// Opens the input at an index of [`inputs`](Self::inputs). `read` counts the bytes that are fetched.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn open(&self, index: usize, read: &Arc<AtomicU64>) -> Result<FetchedInput, Error>;

    /// Whether it opens the objects of Git LFS pointers.
    fn resolves_pointers(&self) -> bool;

    /// Whether [`prefetch`](Self::prefetch) saves requests: one request to a server may serve many pointers.
    fn wants_prefetch(&self) -> bool {
        false
    }

    /// Called once with all pointers of the scan, before the first [`open_object`](Self::open_object).
    fn prefetch(&self, _pointers: &[(&Path, Pointer)]) {}

    /// Opens the object of the pointer in the file at `path`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn open_object(&self, path: &Path, pointer: &Pointer, read: &Arc<AtomicU64>) -> Result<FetchedInput, Error>;
}

/// A file of this machine, with its length and times when it was opened.
pub struct LocalFile {
    file: FileSource,
    stamp: Stamp,
    /// Changed so long ago that another change would show in its times.
    settled: bool,
}

impl LocalFile {
    /// Opens a file that was listed. `read` counts the bytes that are read.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn open(found: &FoundFile, read: Arc<AtomicU64>) -> io::Result<Self> {
        let file = FileSource::new(found.open()?, read)?;
        let stamp = file.stamp()?;
        let settled = SystemTime::now().checked_sub(MAX_CLOCK_STEP).is_some_and(|then| stamp.changed() < then);
        Ok(Self { file, stamp, settled })
    }
}

impl Source for LocalFile {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(at, buf)
    }
}

impl VerifiedSource for LocalFile {
    fn integrity_error(&self) -> Option<String> {
        match self.file.stamp() {
            Ok(stamp) if stamp == self.stamp => None,
            Ok(_) => Some("the file changed while it was read".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    fn is_stable(&self) -> bool {
        self.settled
    }
}

/// A small file in memory, so that the bytes that are hashed are the bytes that are scanned.
pub struct BufferedFile {
    bytes: Memory,
    file: LocalFile,
}

impl BufferedFile {
    /// Reads a file into memory.
    ///
    /// # Errors
    /// Those of the operating system, or that the length of the file changed.
    pub fn read(file: LocalFile) -> io::Result<Self> {
        let bytes = read_vec(&file, 0, usize::try_from(file.len()).unwrap_or(usize::MAX))?;
        if bytes.len() as u64 != file.len() {
            return Err(io::Error::other("the file changed while it was read"));
        }
        Ok(Self { bytes: Memory::new(bytes), file })
    }
}

impl Source for BufferedFile {
    fn len(&self) -> u64 {
        self.bytes.len()
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.bytes.read_at(at, buf)
    }

    fn in_memory(&self, at: u64, len: usize) -> Option<&[u8]> {
        self.bytes.in_memory(at, len)
    }
}

impl VerifiedSource for BufferedFile {
    fn integrity_error(&self) -> Option<String> {
        self.file.integrity_error()
    }

    fn is_stable(&self) -> bool {
        true
    }
}
