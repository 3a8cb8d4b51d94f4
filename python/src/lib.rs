//! What Python sees of modelscan, in few words: an open artifact that can be scanned and loaded, folders that can be scanned,
//! files that can be converted. Reports cross as JSON, tensors as places in the file or as bytes; `modelscan_rs` makes classes,
//! arrays and exceptions of them. The interpreter is free while anything is read.
#![deny(unsafe_code)]

mod artifact;
mod weights;

use loader::convert::ConvertOptions;
use loader::report::ConvertReport;
use loader::{Dtype, PlanOptions, Policy, WriteOptions};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use scanner::report::Report;
use scanner::{ScanOptions, scan};
use serde::Serialize;
use std::path::PathBuf;

/// The module.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<artifact::Artifact>()?;
    module.add_class::<weights::Weights>()?;
    module.add_function(wrap_pyfunction!(scan_paths, module)?)?;
    module.add_function(wrap_pyfunction!(convert, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}

/// Scans files and folders by their paths; gives the report of the contract as JSON.
#[pyfunction]
fn scan_paths(py: Python<'_>, paths: Vec<PathBuf>, sha256: bool, jobs: usize) -> PyResult<String> {
    let report = py.detach(|| {
        let options = ScanOptions { hash: sha256, jobs: jobs.max(2), ..ScanOptions::default() };
        scan(&paths, &options)
    });
    json(&report)
}

/// Converts files or folders; gives the report of the conversion as JSON.
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
        Some("f16" | "float16") => Dtype::named("F16"),
        Some("bf16" | "bfloat16") => Dtype::named("BF16"),
        Some("f32" | "float32") => Dtype::named("F32"),
        Some(other) => return Err(PyValueError::new_err(format!("dtype is f16, bf16 or f32, not {other}"))),
    };
    let policy = Policy { allow_unproven, root, plan: PlanOptions { dtype, expand_tied }, ..Policy::default() };
    let write = WriteOptions { sha256, ..WriteOptions::default() };
    let options = ConvertOptions { write, verify, force };
    let done = py.detach(|| {
        apart(u64::MAX, || {
            let jobs = loader::convert::plan(&inputs, &out, &policy)?;
            let done = jobs.write(&options)?;
            Ok(ConvertReport::of(&jobs, &done))
        })
    })?;
    json(&done.map_err(weights::raised)?)
}

fn apart<T: Send>(len: u64, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    scanner::scan_open::in_own_threads(len, work).map_err(|error| PyOSError::new_err(error.to_string()))
}

fn json<T: Serialize>(value: &T) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The report about one artifact, in the words of a scan of many.
fn report_of(artifact: scanner::report::ArtifactReport, read: u64) -> Report {
    Report::new(vec![artifact], Vec::new(), read)
}
