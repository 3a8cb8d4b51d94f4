//! Something open: a file through one descriptor, or bytes that Python holds.

use crate::weights::{Weights, raised};
use crate::{apart, json, report_of};
use loader::{Policy, open_file};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use scanner::Limits;
use scanner::Verdict;
use scanner::directory::open_named;
use scanner::scan_open::Opened;
use scanner::source::{FileSource, Source};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An artifact that is open.
#[pyclass(frozen, module = "modelscan_rs._native")]
pub(crate) struct Artifact {
    opened: Opened,
    path: PathBuf,
    read: Arc<AtomicU64>,
}

/// Bytes of Python, which never change.
struct Held(PyBackedBytes);

impl Source for Held {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(at).unwrap_or(usize::MAX).min(self.0.len());
        let rest = self.0.get(start..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn in_memory(&self, at: u64, len: usize) -> Option<&[u8]> {
        let at = usize::try_from(at).ok()?;
        self.0.get(at..at.checked_add(len)?)
    }
}

#[pymethods]
impl Artifact {
    /// Opens a file by its path, once.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let (file, _) = py.detach(|| open_named(&path))?;
        let file = file.file().try_clone()?;
        Self::of(file, path)
    }

    /// The file behind a descriptor, which stays the caller's.
    #[staticmethod]
    fn of_descriptor(descriptor: i32, path: PathBuf) -> PyResult<Self> {
        // A descriptor that is a number cannot be taken over by safe code: this one goes to the same file, whatever name
        // that has now or had.
        let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
        let file = OpenOptions::new().read(true).open(Path::new(folder).join(descriptor.to_string()))?;
        if !file.metadata()?.is_file() {
            return Err(PyOSError::new_err(format!("{}: no regular file", path.display())));
        }
        Self::of(file, path)
    }

    /// Bytes in memory.
    #[staticmethod]
    fn of_bytes(bytes: Bound<'_, PyBytes>, path: PathBuf) -> Self {
        let opened = Opened::Bytes(Arc::new(Held(bytes.into())));
        Self { opened, path, read: Arc::default() }
    }

    /// The descriptor of the file: valid as long as this object, which reads through it.
    fn fileno(&self) -> PyResult<i32> {
        Ok(self.file()?.file().as_raw_fd())
    }

    /// Device, inode, length, and the times of the last change to the content and to the inode in nanoseconds.
    fn stamp(&self) -> PyResult<(u64, u64, u64, i64, i64)> {
        let meta = self.file()?.file().metadata()?;
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        let (changed, moved) =
            (nanoseconds(meta.mtime(), meta.mtime_nsec()), nanoseconds(meta.ctime(), meta.ctime_nsec()));
        Ok((meta.dev(), meta.ino(), meta.len(), changed, moved))
    }

    /// Scans from `start` on. Gives the verdict, whether all of it was read, the report as JSON, and the names that an
    /// unpickler would ask for.
    fn scan(&self, py: Python<'_>, start: u64, sha256: bool) -> PyResult<Scanned> {
        let look = py.detach(|| -> io::Result<_> {
            let path = self.path.to_string_lossy();
            let mut look = self.opened.scan(&path, start, &Limits::default())?;
            // Room for all values of the largest state dicts takes time to fill, so only what needs it gets it.
            if look.report.verdict == Verdict::Unproven && !look.report.not_read.is_empty() {
                look = self.opened.scan(&path, start, &Policy::default().roomy())?;
            }
            if sha256 {
                look.report.sha256 = Some(self.opened.sha256()?);
            }
            Ok(look)
        })?;
        let (verdict, whole) = (look.report.verdict.as_str(), look.report.not_read.is_empty());
        let read = match &self.opened {
            Opened::File(_) => self.read.swap(0, Ordering::Relaxed),
            Opened::Bytes(_) => look.report.size,
        };
        let report = json(&report_of(look.report, read))?;
        Ok((verdict, whole, report, look.imports.into_iter().collect()))
    }

    /// The SHA-256 of all of it.
    fn sha256(&self, py: Python<'_>) -> PyResult<String> {
        Ok(py.detach(|| self.opened.sha256())?)
    }

    /// Has the file cleared, and plans its tensors.
    #[pyo3(signature = (*, root, allow_unproven))]
    fn load(&self, py: Python<'_>, root: Option<String>, allow_unproven: bool) -> PyResult<Weights> {
        let file = self.file()?.file().try_clone()?;
        let policy = Policy { root, allow_unproven, ..Policy::default() };
        let len = self.opened.source().len();
        let loaded = py.detach(|| apart(len, || open_file(file, &self.path, &policy)))?;
        Ok(Weights::new(loaded.map_err(raised)?))
    }
}

type Scanned = (&'static str, bool, String, Vec<(String, String)>);

impl Artifact {
    fn of(file: File, path: PathBuf) -> PyResult<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let opened = Opened::File(Arc::new(FileSource::new(file, read.clone())?));
        Ok(Self { opened, path, read })
    }

    fn file(&self) -> PyResult<&FileSource> {
        match &self.opened {
            Opened::File(file) => Ok(file),
            Opened::Bytes(_) => Err(PyValueError::new_err("bytes in memory have no descriptor")),
        }
    }
}
