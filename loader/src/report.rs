//! What a conversion did, as plain data: each tensor with where it came from, and what was left out.

use crate::convert::{Conversion, OutputContent, WrittenFile};
use crate::error::Error;
use crate::plan::draft::{LeftOut, Refused};
use crate::plan::tensor_plan::PlannedTensor;
use scanner::Finding;
use scanner::Verdict;
use scanner::report::{ArtifactReport, Tool};
use serde::Serialize;

/// Name and version of the layout.
const SCHEMA: &str = "modelscan.convert/1";

/// What a conversion did.
#[derive(Debug, Clone, Serialize)]
pub struct ConvertReport {
    /// Name and version of this layout.
    pub schema: &'static str,
    /// Who wrote it.
    pub tool: Tool,
    /// `written`, `planned` (a dry run), `refused` (because of what a file would do), `failed`.
    pub outcome: &'static str,
    /// Why, where nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The files that were read.
    pub sources: Vec<SourceReport>,
    /// The files that were written, or will be.
    pub results: Vec<ResultReport>,
    /// All tensors, in the order of the results.
    pub tensors: Vec<TensorReport>,
    /// Names that stand for a tensor of another name.
    pub aliases: Vec<Alias>,
    /// What is in no result, and why.
    pub left_out: Vec<LeftOut>,
    /// Things left out that have no line of their own.
    pub left_out_more: u64,
    /// Tensors that could not be converted.
    pub refused: Vec<Refused>,
    /// What the scanner found, where that is why.
    pub findings: Vec<Finding>,
}

/// A file that was read.
#[derive(Debug, Clone, Serialize)]
pub struct SourceReport {
    /// Its path.
    pub path: String,
    /// Its format.
    pub format: &'static str,
    /// Its bytes.
    pub size: u64,
    /// What the scanner says of it.
    pub verdict: Verdict,
    /// Its SHA-256, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A file that was written.
#[derive(Debug, Clone, Serialize)]
pub struct ResultReport {
    /// Its path.
    pub path: String,
    /// Its bytes; 0 before it is written.
    pub size: u64,
    /// The part of the source that it holds, where that is not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Its SHA-256, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A tensor.
#[derive(Debug, Clone, Serialize)]
pub struct TensorReport {
    /// Its name.
    pub name: String,
    /// Its type in the result.
    pub dtype: &'static str,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its bytes.
    pub bytes: u64,
    /// Where it came from: the path inside the source, absent for the source itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Where its first element stands in that member.
    pub offset: u64,
    /// The result that holds it.
    pub result: String,
}

/// A name that stands for a tensor of another name.
#[derive(Debug, Clone, Serialize)]
pub struct Alias {
    /// The name.
    pub name: String,
    /// The tensor that is written.
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

    /// Of results that were planned, and of those that were written.
    pub fn from_conversion(jobs: &Conversion, done: &[WrittenFile]) -> Self {
        let mut report = Self::empty(if done.is_empty() { "planned" } else { "written" });
        for (index, job) in jobs.outputs.iter().enumerate() {
            let done = done.get(index);
            let path = job.path.to_string_lossy().into_owned();
            let mut result = ResultReport { path: path.clone(), size: 0, root: None, sha256: None };
            if let Some(done) = done {
                result.size = done.len;
                result.sha256.clone_from(&done.sha256);
            }
            if let OutputContent::Tensors(loaded) = &job.content {
                result.root.clone_from(&loaded.root);
                let hashes = done.and_then(|done| done.source_sha256.as_deref()).unwrap_or_default();
                for (index, source) in loaded.reports().enumerate() {
                    report.sources.push(source_report(source, hashes.get(index).cloned()));
                }
                report.tensors.extend(loaded.plan().tensors.iter().map(|tensor| tensor_report(tensor, &path)));
                let aliases = loaded.plan().aliases.iter();
                report
                    .aliases
                    .extend(aliases.map(|(name, tensor)| Alias { name: name.clone(), tensor: tensor.clone() }));
                report.left_out.extend(loaded.left_out.iter().cloned());
                report.left_out_more += loaded.left_out_more;
            }
            report.results.push(result);
        }
        report
    }

    /// Of what went wrong.
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
