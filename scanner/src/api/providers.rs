//! The door to what is no file of this machine: addresses, and the objects that pointers stand for. The scanner knows no
//! network; who calls it brings such bytes as one more source, and says afterwards whether they hold together.

use crate::format::lfs_pointer::Pointer;
use crate::io::directory::FoundFile;
use crate::io::source::{FileSource, Memory, Source, Stamp, read_vec};
use crate::judge::report::LfsReport;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

/// A source that knows what went wrong while it was read. Readers are forgiving, and a read that failed somewhere deep
/// may only have made them see less: whatever failed must come up again at the end.
pub trait VerifiedSource: Source {
    /// Why what was read is not to be relied upon: it changed meanwhile, or a read failed.
    fn integrity_error(&self) -> Option<String>;

    /// Whether all readings of it are sure to have seen the same bytes, as long as there is no fault. What is said of them
    /// may then be said of their hash.
    fn is_stable(&self) -> bool;
}

/// Bytes that somebody brought.
pub struct FetchedInput {
    /// The bytes.
    pub source: Arc<dyn VerifiedSource>,
    /// Their name: a hint like any file's.
    pub name: String,
    /// Their SHA-256, where it was taken on the way.
    pub sha256: Option<String>,
    /// The Git LFS object that they are.
    pub lfs: Option<LfsReport>,
}

/// Whoever brings bytes from elsewhere.
pub trait InputProvider: Sync {
    /// What is to be scanned beside files, as reports call it.
    fn inputs(&self) -> Vec<String>;

    /// Opens one of these places, by its number. `read` counts the bytes that come.
    ///
    /// # Errors
    /// Why it cannot be had, for people; nothing secret.
    fn open(&self, place: usize, read: &Arc<AtomicU64>) -> Result<FetchedInput, String>;

    /// Whether it looks for the objects of pointers at all.
    fn resolves(&self) -> bool;

    /// Whether it wants to know of all pointers before the first one is asked for: one question may serve them all.
    fn gathers(&self) -> bool {
        false
    }

    /// Is told of them.
    fn expect(&self, _pointers: &[(&Path, Pointer)]) {}

    /// Opens the object that the pointer in a file stands for.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn object(&self, path: &Path, pointer: &Pointer, read: &Arc<AtomicU64>) -> Result<FetchedInput, String>;
}

/// A file of this machine, and how it was when it was opened.
pub struct Unchanged {
    file: FileSource,
    stamp: Stamp,
    old: bool,
}

/// Clocks of file systems go in steps: a file that was changed this recently can change again under the same time.
const FRESH: Duration = Duration::from_secs(2);

impl Unchanged {
    /// Opens what was found.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(found: &FoundFile, read: Arc<AtomicU64>) -> io::Result<Self> {
        let file = FileSource::new(found.open()?, read)?;
        let stamp = file.stamp()?;
        let old = SystemTime::now().checked_sub(FRESH).is_some_and(|then| stamp.changed() < then);
        Ok(Self { file, stamp, old })
    }
}

impl Source for Unchanged {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(at, buf)
    }
}

impl VerifiedSource for Unchanged {
    fn integrity_error(&self) -> Option<String> {
        match self.file.stamp() {
            Ok(stamp) if stamp == self.stamp => None,
            Ok(_) => Some("the file changed while it was read".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    fn is_stable(&self) -> bool {
        self.old
    }
}

/// A small file, read whole: what is hashed and what is looked at are the same bytes.
pub struct Gathered {
    bytes: Memory,
    file: Unchanged,
}

impl Gathered {
    /// Reads all of a file.
    ///
    /// # Errors
    /// What the operating system says, or that the file has another length by now.
    pub fn read(file: Unchanged) -> io::Result<Self> {
        let bytes = read_vec(&file, 0, usize::try_from(file.len()).unwrap_or(usize::MAX))?;
        if bytes.len() as u64 != file.len() {
            return Err(io::Error::other("the file changed while it was read"));
        }
        Ok(Self { bytes: Memory::new(bytes), file })
    }
}

impl Source for Gathered {
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

impl VerifiedSource for Gathered {
    fn integrity_error(&self) -> Option<String> {
        self.file.integrity_error()
    }

    fn is_stable(&self) -> bool {
        true
    }
}
