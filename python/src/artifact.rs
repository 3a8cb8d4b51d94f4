//! An open file or bytes of Python, to scan and to load from.

use crate::conversion::{in_own_threads, report_of, to_json};
use crate::weights::{Weights, to_exception};
use loader::{LoadOptions, open_file, with_loader_limits};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use scanner::Limits;
use scanner::Verdict;
use scanner::directory::open_named;
use scanner::scan_open::OpenInput;
use scanner::source::{FileSource, Source};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file through one descriptor, or bytes in memory.
#[pyclass(frozen, module = "modelscan_rs._native")]
pub(crate) struct Artifact {
    opened: OpenInput,
    path: PathBuf,
    bytes_read: Arc<AtomicU64>,
}

/// A Python `bytes` object, which is immutable.
struct PyBytesSource(PyBackedBytes);

impl Source for PyBytesSource {
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
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let (file, _) = py.detach(|| open_named(&path))?;
        let file = file.file().try_clone()?;
        Self::from_file(file, path)
    }

    /// Opens the regular file of a descriptor again. The caller keeps the descriptor.
    #[staticmethod]
    fn from_descriptor(descriptor: i32, path: PathBuf) -> PyResult<Self> {
        // Safe code cannot take ownership of a descriptor number. This path opens the same file, even after a rename or
        // removal.
        let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
        let file = OpenOptions::new().read(true).open(Path::new(folder).join(descriptor.to_string()))?;
        if !file.metadata()?.is_file() {
            return Err(PyOSError::new_err(format!("{}: not a regular file", path.display())));
        }
        Self::from_file(file, path)
    }

    /// `path` is the name in reports.
    #[staticmethod]
    fn from_bytes(bytes: Bound<'_, PyBytes>, path: PathBuf) -> Self {
        let opened = OpenInput::Bytes(Arc::new(PyBytesSource(bytes.into())));
        Self { opened, path, bytes_read: Arc::default() }
    }

    /// The descriptor of the file, valid as long as this object.
    fn fileno(&self) -> PyResult<i32> {
        Ok(self.file()?.file().as_raw_fd())
    }

    /// Device, inode, length in bytes, and the modification and status change times in nanoseconds since 1970.
    fn stat_signature(&self) -> PyResult<(u64, u64, u64, i64, i64)> {
        let meta = self.file()?.file().metadata()?;
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        let mtime = nanoseconds(meta.mtime(), meta.mtime_nsec());
        let ctime = nanoseconds(meta.ctime(), meta.ctime_nsec());
        Ok((meta.dev(), meta.ino(), meta.len(), mtime, ctime))
    }

    /// Scans from byte `start` on. Returns the verdict, whether every byte was read, the report as JSON, and the modules
    /// and names that an unpickler would import.
    fn scan(&self, py: Python<'_>, start: u64, sha256: bool) -> PyResult<ScanTuple> {
        let scanned = py.detach(|| -> io::Result<_> {
            let path = self.path.to_string_lossy();
            let mut scanned = self.opened.scan(&path, start, &Limits::default())?;
            // The limits of the loader allow the largest state dicts. A file that fills them takes long to scan, so they
            // apply only to a file that needs them.
            if scanned.report.verdict == Verdict::Unproven && !scanned.report.not_read.is_empty() {
                scanned = self.opened.scan(&path, start, &with_loader_limits(&Limits::default()))?;
            }
            if sha256 {
                scanned.report.sha256 = Some(self.opened.sha256()?);
            }
            Ok(scanned)
        })?;
        let (verdict, complete) = (scanned.report.verdict.as_str(), scanned.report.not_read.is_empty());
        let bytes_read = match &self.opened {
            OpenInput::File(_) => self.bytes_read.swap(0, Ordering::Relaxed),
            OpenInput::Bytes(_) => scanned.report.size,
        };
        let report = to_json(&report_of(scanned.report, bytes_read))?;
        Ok((verdict, complete, report, scanned.imports.into_iter().collect()))
    }

    /// The SHA-256 of the whole content, in hex.
    fn sha256(&self, py: Python<'_>) -> PyResult<String> {
        Ok(py.detach(|| self.opened.sha256())?)
    }

    /// Scans the file and plans its tensors. Refuses a file that is not clean.
    #[pyo3(signature = (*, root, allow_unproven))]
    fn load(&self, py: Python<'_>, root: Option<String>, allow_unproven: bool) -> PyResult<Weights> {
        let file = self.file()?.file().try_clone()?;
        let policy = LoadOptions { root, allow_unproven, ..LoadOptions::default() };
        let len = self.opened.source().len();
        let loaded = py.detach(|| in_own_threads(len, || open_file(file, &self.path, &policy)))?;
        Ok(Weights::new(loaded.map_err(to_exception)?))
    }
}

/// Verdict, complete, report, imports: see `Artifact::scan`.
type ScanTuple = (&'static str, bool, String, Vec<(String, String)>);

impl Artifact {
    fn from_file(file: File, path: PathBuf) -> PyResult<Self> {
        let bytes_read = Arc::new(AtomicU64::new(0));
        let opened = OpenInput::File(Arc::new(FileSource::new(file, bytes_read.clone())?));
        Ok(Self { opened, path, bytes_read })
    }

    fn file(&self) -> PyResult<&FileSource> {
        match &self.opened {
            OpenInput::File(file) => Ok(file),
            OpenInput::Bytes(_) => Err(PyValueError::new_err("bytes in memory have no descriptor")),
        }
    }
}
