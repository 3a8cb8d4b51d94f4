//! The report of a conversion, as plain data for JSON: each tensor with its source, and all values that were left out.

use crate::convert::{Conversion, OutputContent, WrittenFile};
use crate::error::Error;
use crate::plan::draft::Refused;
use crate::plan::left_out::LeftOut;
use crate::plan::tensor_plan::PlannedTensor;
use scanner::Finding;
use scanner::Verdict;
use scanner::report::{ArtifactReport, Tool};
use serde::Serialize;

/// Name and version of the layout.
const SCHEMA: &str = "modelscan.convert/1";

/// The report of a conversion.
#[derive(Debug, Clone, Serialize)]
pub struct ConvertReport {
    /// Name and version of this layout.
    pub schema: &'static str,
    /// Name and version of the program that wrote it.
    pub tool: Tool,
    /// `written`, `planned` (a dry run), `refused` (because of what a file does when it is checkpoint) or `failed`.
    pub outcome: &'static str,
    /// The message of the error, for `refused` and `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The files that were read.
    pub sources: Vec<SourceReport>,
    /// The files that were or would be written.
    pub results: Vec<ResultReport>,
    /// All tensors, in the order of the results.
    pub tensors: Vec<TensorReport>,
    /// Tied tensors that are written once.
    pub aliases: Vec<TiedTensor>,
    /// Values and tensors that are in no result.
    pub left_out: Vec<LeftOut>,
    /// Number of further values that are in no result.
    pub left_out_more: u64,
    /// Tensors that could not be converted.
    pub refused: Vec<Refused>,
    /// Findings of the scan, for `refused`.
    pub findings: Vec<Finding>,
}

/// A file that was read.
#[derive(Debug, Clone, Serialize)]
pub struct SourceReport {
    /// Path.
    pub path: String,
    /// Format id.
    pub format: &'static str,
    /// Length in bytes.
    pub size: u64,
    /// Verdict of the scan.
    pub verdict: Verdict,
    /// SHA-256, where it was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A file that was written.
#[derive(Debug, Clone, Serialize)]
pub struct ResultReport {
    /// Path.
    pub path: String,
    /// Length in bytes; 0 before it is written.
    pub size: u64,
    /// Path of keys of the part that it holds; absent for all of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// SHA-256, where it was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A tensor.
#[derive(Debug, Clone, Serialize)]
pub struct TensorReport {
    /// Name.
    pub name: String,
    /// Element type in the result, by its safetensors name.
    pub dtype: &'static str,
    /// Length of each dimension.
    pub shape: Vec<u64>,
    /// Length in bytes.
    pub bytes: u64,
    /// Path of the member of the source that holds it; absent for the source itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Offset in bytes of the first element in that member.
    pub offset: u64,
    /// Path of the result that holds it.
    pub result: String,
}

/// A tied tensor: a further name of a tensor.
#[derive(Debug, Clone, Serialize)]
pub struct TiedTensor {
    /// The further name.
    pub name: String,
    /// The name of the tensor that is written.
    pub tensor: String,
}

impl ConvertReport {
    fn empty(outcome: &'static str) -> Self {
        Self {
            schema: SCHEMA,
            tool: Tool { name: "modelscan", version: env!("CARGO_PKG_VERSION") },
            outcome,
            error: None,
            sources: Vec::new(),
            results: Vec::new(),
            tensors: Vec::new(),
            aliases: Vec::new(),
            left_out: Vec::new(),
            left_out_more: 0,
            refused: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// The report of a conversion. `written` holds the files that were written, none for a dry run.
    pub fn from_conversion(conversion: &Conversion, written: &[WrittenFile]) -> Self {
        let mut report = Self::empty(if written.is_empty() { "planned" } else { "written" });
        for (index, output) in conversion.outputs.iter().enumerate() {
            let written = written.get(index);
            let path = output.path.to_string_lossy().into_owned();
            let mut result = ResultReport { path: path.clone(), size: 0, root: None, sha256: None };
            if let Some(written) = written {
                result.size = written.len;
                result.sha256.clone_from(&written.sha256);
            }
            if let OutputContent::Tensors(checkpoint) = &output.content {
                result.root.clone_from(&checkpoint.root);
                let hashes = written.and_then(|written| written.source_sha256.as_deref()).unwrap_or_default();
                for (index, source) in checkpoint.reports().enumerate() {
                    report.sources.push(source_report(source, hashes.get(index).cloned()));
                }
                report.tensors.extend(checkpoint.plan().tensors.iter().map(|tensor| tensor_report(tensor, &path)));
                let aliases = checkpoint.plan().aliases.iter();
                report
                    .aliases
                    .extend(aliases.map(|(name, tensor)| TiedTensor { name: name.clone(), tensor: tensor.clone() }));
                report.left_out.extend(checkpoint.left_out.iter().cloned());
                report.left_out_more += checkpoint.left_out_more;
            }
            report.results.push(result);
        }
        report
    }

    /// The report of a conversion that failed.
    pub fn from_error(error: &Error) -> Self {
        let mut report = Self::empty(if error.is_refusal() { "refused" } else { "failed" });
        report.error = Some(error.to_string());
        match error {
            Error::NotCleared(artifact) => {
                report.sources.push(source_report(artifact, artifact.sha256.clone()));
                report.findings.clone_from(&artifact.findings);
            }
            Error::UnknownCallable(refused) | Error::NotConvertible(refused) => report.refused.clone_from(refused),
            _ => {}
        }
        report
    }
}

fn source_report(report: &ArtifactReport, sha256: Option<String>) -> SourceReport {
    SourceReport {
        path: report.path.clone(),
        format: report.format,
        size: report.size,
        verdict: report.verdict,
        sha256,
    }
}

fn tensor_report(tensor: &PlannedTensor, result: &str) -> TensorReport {
    TensorReport {
        name: tensor.name.clone(),
        dtype: tensor.dtype.name(),
        shape: tensor.shape.clone(),
        bytes: tensor.len(),
        member: tensor.member().map(str::to_owned),
        offset: tensor.member_offset(),
        result: result.to_owned(),
    }
}
