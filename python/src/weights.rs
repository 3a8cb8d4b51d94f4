//! The tensors of a scanned file: their offsets in the file, or their bytes.

use crate::conversion::{report_of, to_json};
use loader::{Checkpoint, Error, PlannedTensor};
use pyo3::exceptions::{PyIndexError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyByteArray;

/// The tensors of a file that was scanned and accepted.
#[pyclass(frozen, module = "modelscan_rs._native")]
pub(crate) struct Weights {
    loaded: Checkpoint,
}

/// Name, safetensors dtype, shape, length in bytes, and the offset in the file if the bytes are contiguous there.
type TensorTuple = (String, &'static str, Vec<u64>, u64, Option<u64>);

#[pymethods]
impl Weights {
    fn tensors(&self) -> Vec<TensorTuple> {
        let tuple = |planned: &PlannedTensor| {
            let offset = planned.file_range().map(|(offset, _)| offset);
            (planned.name.clone(), planned.dtype.name(), planned.shape.clone(), planned.len(), offset)
        };
        self.loaded.plan().tensors.iter().map(tuple).collect()
    }

    /// Pairs of a second name of a tensor and the name in `tensors`.
    fn aliases(&self) -> Vec<(String, String)> {
        self.loaded.plan().aliases.iter().map(|(alias, name)| (alias.clone(), name.clone())).collect()
    }

    /// Whether the file holds a dict from names to tensors and nothing else.
    #[getter]
    fn flat(&self) -> bool {
        self.loaded.flat
    }

    /// Path and reason of each value that is not a tensor, or a tensor that cannot be read.
    fn left_out(&self) -> Vec<(String, String)> {
        self.loaded.left_out.iter().map(|left| (left.name.clone(), left.why.to_string())).collect()
    }

    /// The bytes of a tensor by its index in `tensors`, little-endian and in row-major order.
    fn read<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyByteArray>> {
        let planned = self.loaded.plan().tensors.get(index).ok_or_else(|| PyIndexError::new_err(index))?;
        let len = usize::try_from(planned.len()).map_err(|error| PyOSError::new_err(error.to_string()))?;
        PyByteArray::new_with(py, len, |bytes| Ok(py.detach(|| self.loaded.read_into(planned, bytes))?))
    }

    /// Whether the length and times of the file are those of the scan.
    fn unchanged(&self) -> PyResult<bool> {
        Ok(self.loaded.unchanged()?)
    }
}

impl Weights {
    pub(crate) fn new(loaded: Checkpoint) -> Self {
        Self { loaded }
    }
}

/// The Python exception: `OSError` for an error of the operating system, else `ValueError` with a kind, a text and a report
/// as JSON or None, for `modelscan_rs` to make its own exception of.
pub(crate) fn to_exception(error: Error) -> PyErr {
    let text = error.to_string();
    let (kind, report) = match error {
        Error::Io { error, .. } => match error.raw_os_error() {
            Some(code) => return PyOSError::new_err((code, text)),
            None => return PyOSError::new_err(text),
        },
        Error::NotCleared(report) => ("not-cleared", to_json(&report_of(*report, 0)).ok()),
        Error::UnknownCallable(_) => ("unknown", None),
        Error::Usage { .. } => ("usage", None),
        Error::NotConvertible(_) => ("not-convertible", None),
        _ => ("failed", None),
    };
    PyValueError::new_err((kind, text, report))
}
