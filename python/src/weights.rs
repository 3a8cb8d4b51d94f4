//! The tensors of a file that was cleared: where each stands, or its bytes.

use crate::report_of;
use loader::{Checkpoint, Error, PlannedTensor};
use pyo3::exceptions::{PyIndexError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyByteArray;

/// Tensors of a file that was cleared.
#[pyclass(frozen, module = "modelscan_rs._native")]
pub(crate) struct Weights {
    loaded: Checkpoint,
}

/// Name, type, shape, bytes, and where it stands in the file as it is.
type Row = (String, &'static str, Vec<u64>, u64, Option<u64>);

#[pymethods]
impl Weights {
    /// Each tensor: name, type in the words of safetensors, shape, length in bytes, and its offset in the file where it
    /// stands there as it is.
    fn tensors(&self) -> Vec<Row> {
        let row = |planned: &PlannedTensor| {
            let in_file = planned.file_range().map(|(at, _)| at);
            (planned.name.clone(), planned.dtype.name(), planned.shape.clone(), planned.len(), in_file)
        };
        self.loaded.plan().tensors.iter().map(row).collect()
    }

    /// Names of tensors that go by another name.
    fn aliases(&self) -> Vec<(String, String)> {
        self.loaded.plan().aliases.iter().map(|(alias, name)| (alias.clone(), name.clone())).collect()
    }

    /// Whether the file holds a dict from names to tensors and nothing else.
    #[getter]
    fn flat(&self) -> bool {
        self.loaded.flat
    }

    /// What is no tensor, or none that can be had: path and reason.
    fn left_out(&self) -> Vec<(String, String)> {
        self.loaded.left_out.iter().map(|left| (left.name.clone(), left.why.to_string())).collect()
    }

    /// The bytes of a tensor by its place in the list, wherever and however they stand in the file.
    fn read<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyByteArray>> {
        let planned = self.loaded.plan().tensors.get(index).ok_or_else(|| PyIndexError::new_err(index))?;
        let len = usize::try_from(planned.len()).map_err(|error| PyOSError::new_err(error.to_string()))?;
        PyByteArray::new_with(py, len, |bytes| Ok(py.detach(|| self.loaded.read_into(planned, bytes))?))
    }

    /// Whether the file is still the one that was cleared, as far as its length and times tell.
    fn unchanged(&self) -> PyResult<bool> {
        Ok(self.loaded.unchanged()?)
    }
}

impl Weights {
    pub(crate) fn new(loaded: Checkpoint) -> Self {
        Self { loaded }
    }
}

/// As an exception: `OSError` for the operating system, else `ValueError` with kind, text and report for `modelscan_rs` to
/// make its own of.
pub(crate) fn raised(error: Error) -> PyErr {
    let text = error.to_string();
    let (kind, report) = match error {
        Error::Io { error, .. } => match error.raw_os_error() {
            Some(code) => return PyOSError::new_err((code, text)),
            None => return PyOSError::new_err(text),
        },
        Error::NotCleared(report) => ("not-cleared", crate::json(&report_of(*report, 0)).ok()),
        Error::UnknownCallable(_) => ("unknown", None),
        Error::Usage { .. } => ("usage", None),
        Error::NotConvertible(_) => ("not-convertible", None),
        _ => ("failed", None),
    };
    PyValueError::new_err((kind, text, report))
}
