//! A scan report in the terms of the Python tool: files scanned and skipped, issues, errors.

use super::settings::Settings;
use super::severity::Severity;
use crate::date;
use crate::exit_code::ExitCode;
use scanner::formats::{Container, Library, TensorStore};
use scanner::report::{ArtifactReport, Report};
use scanner::{Finding, Verdict};
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;

/// One issue. The fields are in the order of that tool.
#[derive(Debug, Serialize)]
pub(crate) struct Issue {
    pub(crate) description: String,
    pub(crate) operator: String,
    pub(crate) module: String,
    pub(crate) source: String,
    pub(crate) scanner: &'static str,
    pub(crate) severity: Severity,
}

/// An error, or a skipped file.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorOrSkip {
    pub(crate) category: &'static str,
    pub(crate) description: String,
    pub(crate) source: String,
}

/// The report of that tool.
#[derive(Debug)]
pub(crate) struct CompatReport {
    pub(crate) input_path: String,
    pub(crate) absolute_path: String,
    pub(crate) timestamp: String,
    /// Files with a known format, and the scanner class for each.
    pub(crate) scanner_of_file: Vec<(String, &'static str)>,
    pub(crate) scanned: Vec<String>,
    pub(crate) issues: Vec<Issue>,
    pub(crate) errors: Vec<ErrorOrSkip>,
    pub(crate) skipped: Vec<ErrorOrSkip>,
}

impl CompatReport {
    /// The exit code of that tool.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.scanned.is_empty() {
            ExitCode::NothingKnown
        } else if !self.errors.is_empty() {
            ExitCode::Incomplete
        } else if !self.issues.is_empty() {
            ExitCode::Finding
        } else {
            ExitCode::Clean
        }
    }
}

impl CompatReport {
    /// Translates the report of a scan of `path`, which is `input` on the command line.
    pub(crate) fn from_scan(report: &Report, settings: &Settings, input: &Path, path: &Path) -> Self {
        let base = if path.is_file() { path.parent().unwrap_or(path) } else { path };
        let relative =
            |path: &str| Path::new(path).strip_prefix(base).map_or(path.into(), Path::to_string_lossy).into_owned();
        let mut compat = Self {
            input_path: input.to_string_lossy().into_owned(),
            absolute_path: base.to_string_lossy().into_owned(),
            timestamp: date::utc_timestamp(),
            scanner_of_file: Vec::new(),
            scanned: Vec::new(),
            issues: Vec::new(),
            errors: Vec::new(),
            skipped: Vec::new(),
        };
        for artifact in &report.artifacts {
            compat.add_artifact(artifact, relative(&artifact.path), settings);
        }
        for error in &report.errors {
            let (source, description) = (relative(&error.path), error.message.clone());
            compat.errors.push(ErrorOrSkip { category: "PATH", description, source });
        }
        compat
    }

    fn add_artifact(&mut self, artifact: &ArtifactReport, source: String, settings: &Settings) {
        if artifact.is_unknown() {
            let description = "Model Scan did not scan file".to_owned();
            self.skipped.push(ErrorOrSkip { category: "SCAN_NOT_SUPPORTED", description, source });
            return;
        }
        self.scanner_of_file.push((artifact.path.clone(), scanner_of(artifact)));
        let issues = artifact.findings.iter().filter_map(|finding| issue(artifact, finding, &source, settings));
        let issues = deduplicate(issues);
        let has_issues = !issues.is_empty();
        self.issues.extend(issues);
        if !artifact.is_incomplete() || has_issues {
            self.scanned.push(source.clone());
        }
        if artifact.is_incomplete() {
            for part in &artifact.not_read {
                let source = member_of(&source, part.member.as_deref());
                let description = part.reason.clone();
                self.errors.push(ErrorOrSkip { category: category_of(artifact), description, source });
            }
        }
    }
}

/// Keeps one issue for each operator of a file, the most severe one, as that tool does.
fn deduplicate(issues: impl Iterator<Item = Issue>) -> Vec<Issue> {
    let mut kept: Vec<Issue> = Vec::new();
    let mut positions: HashMap<(String, String, String, String), usize> = HashMap::new();
    for issue in issues {
        let of_operator = issue.description.starts_with("Use of ");
        let text = if of_operator { String::new() } else { issue.description.clone() };
        let key = (issue.source.clone(), issue.module.clone(), issue.operator.clone(), text);
        match positions.get(&key).and_then(|position| kept.get_mut(*position)) {
            Some(known) if known.severity < issue.severity => *known = issue,
            Some(_) => {}
            None => {
                _ = positions.insert(key, kept.len());
                kept.push(issue);
            }
        }
    }
    kept
}

/// The issue of a finding. `None` if it is accepted or not severe enough.
fn issue(artifact: &ArtifactReport, finding: &Finding, source: &str, settings: &Settings) -> Option<Issue> {
    if finding.suppressed.is_some() {
        return None;
    }
    let (module, operator) = finding
        .callable
        .as_deref()
        .map_or((artifact.format, finding.rule), |callable| callable.rsplit_once('.').unwrap_or(("", callable)));
    let from_settings = finding.callable.as_ref().and_then(|_| settings.severity_of(module, operator));
    let severity = Severity::of_finding(finding.severity).max(from_settings)?;
    let description = match (&finding.callable, finding.verdict) {
        (Some(_), Verdict::Dangerous) => format!("Use of unsafe operator '{operator}' from module '{module}'"),
        (Some(_), _) => format!("Use of unknown operator '{operator}' from module '{module}'"),
        (None, _) => finding.message.clone(),
    };
    Some(Issue {
        description,
        operator: operator.to_owned(),
        module: module.to_owned(),
        source: member_of(source, finding.member.as_deref()),
        scanner: scanner_of(artifact),
        severity,
    })
}

/// That tool writes `file.pt:archive/data.pkl`.
fn member_of(source: &str, member: Option<&str>) -> String {
    member.map_or_else(|| source.to_owned(), |member| format!("{source}:{}", member.replace("::", ":")))
}

/// The most similar scanner class of that tool, by which scripts recognize formats.
fn scanner_of(artifact: &ArtifactReport) -> &'static str {
    let info = artifact.format_info();
    match info.map(|info| (info.library, info.container)) {
        Some((Library::Torch, _)) => "modelscan.scanners.PyTorchUnsafeOpScan",
        Some((Library::Numpy, _)) => "modelscan.scanners.NumpyUnsafeOpScan",
        Some((Library::Keras, Container::Model)) => "modelscan.scanners.KerasLambdaDetectScan",
        Some((Library::Keras | Library::Pickle | Library::Other, _)) | None => "modelscan.scanners.PickleUnsafeOpScan",
    }
}

fn category_of(artifact: &ArtifactReport) -> &'static str {
    match artifact.format_info().and_then(|info| info.tensors) {
        Some(TensorStore::Pickle) => "PICKLE_GENOPS",
        _ => "MODEL_SCAN",
    }
}
