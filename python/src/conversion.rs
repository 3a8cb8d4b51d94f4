//! Between Rust and Python: reports as JSON, errors of threads as exceptions.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use scanner::report::Report;
use serde::Serialize;

/// Runs `work` in threads that end with it. A Python server may fork, and a thread pool does not survive a fork.
pub(crate) fn in_own_threads<T: Send>(len: u64, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    scanner::scan_open::in_own_threads(len, work).map_err(|error| PyOSError::new_err(error.to_string()))
}

/// Serializes a report.
pub(crate) fn to_json<T: Serialize>(value: &T) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// A report of one artifact, as of a scan of several.
pub(crate) fn report_of(artifact: scanner::report::ArtifactReport, bytes_read: u64) -> Report {
    Report::new(vec![artifact], Vec::new(), bytes_read)
}
