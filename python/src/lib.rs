//! The native module of the Python package: it scans, loads and converts files.
//!
//! Reports are returned as JSON, and tensors as file offsets or bytes. The Python code makes classes, arrays and exceptions of
//! them. The interpreter lock is released while a file is read.
#![deny(unsafe_code)]

mod artifact;
mod conversion;
mod weights;

use conversion::{in_own_threads, to_json};
use loader::convert::ConvertOptions;
use loader::report::ConvertReport;
use loader::{Dtype, LoadOptions, PlanOptions, WriteOptions};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use scanner::{ScanOptions, scan};
use std::path::PathBuf;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<artifact::Artifact>()?;
    module.add_class::<weights::Weights>()?;
    module.add_function(wrap_pyfunction!(scan_paths, module)?)?;
    module.add_function(wrap_pyfunction!(convert, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}

/// Scans files and folders. Returns the report as JSON.
#[pyfunction]
fn scan_paths(py: Python<'_>, paths: Vec<PathBuf>, sha256: bool, jobs: usize) -> PyResult<String> {
    let report = py.detach(|| {
        let options = ScanOptions { hash: sha256, jobs: jobs.max(2), ..ScanOptions::default() };
        scan(&paths, &options)
    });
    to_json(&report)
}

/// Converts files or folders. Returns the report of the conversion as JSON.
#[pyfunction]
#[pyo3(signature = (inputs, out, *, root, dtype, expand_tied, allow_unproven, verify, sha256, force))]
#[expect(clippy::too_many_arguments, clippy::fn_params_excessive_bools, reason = "the options of the command, by name")]
fn convert(
    py: Python<'_>,
    inputs: Vec<PathBuf>,
    out: PathBuf,
    root: Option<String>,
    dtype: Option<&str>,
    expand_tied: bool,
    allow_unproven: bool,
    verify: bool,
    sha256: bool,
    force: bool,
) -> PyResult<String> {
    let dtype = match dtype {
        None => None,
        Some("f16" | "float16") => Dtype::from_name("F16"),
        Some("bf16" | "bfloat16") => Dtype::from_name("BF16"),
        Some("f32" | "float32") => Dtype::from_name("F32"),
        Some(other) => return Err(PyValueError::new_err(format!("dtype is f16, bf16 or f32, not {other}"))),
    };
    let policy =
        LoadOptions { allow_unproven, root, plan: PlanOptions { dtype, expand_tied }, ..LoadOptions::default() };
    let write = WriteOptions { sha256, ..WriteOptions::default() };
    let options = ConvertOptions { write, verify, force };
    let report = py.detach(|| {
        in_own_threads(u64::MAX, || {
            let plan = loader::convert::plan(&inputs, &out, &policy)?;
            let written = plan.write(&options)?;
            Ok(ConvertReport::from_conversion(&plan, &written))
        })
    })?;
    to_json(&report.map_err(weights::to_exception)?)
}
