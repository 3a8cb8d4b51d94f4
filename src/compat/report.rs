//! A scan report in the terms of the Python tool: files scanned and skipped, issues, errors.

use super::settings::Settings;
use crate::date;
use crate::exit::Exit;
use scanner::report::{ArtifactReport, Report};
use scanner::{Finding, Severity, Verdict};
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;

/// The severities of that tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Grade {
    Low,
    Medium,
    High,
    Critical,
}

impl Grade {
    pub(crate) const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

/// One issue. The fields stand in the order in which that tool writes them.
#[derive(Debug, Serialize)]
pub(crate) struct Issue {
    pub(crate) description: String,
    pub(crate) operator: String,
    pub(crate) module: String,
    pub(crate) source: String,
    pub(crate) scanner: &'static str,
    pub(crate) severity: Grade,
}

/// Something that went wrong, or a file that was skipped.
#[derive(Debug, Serialize)]
pub(crate) struct Note {
    pub(crate) category: &'static str,
    pub(crate) description: String,
    pub(crate) source: String,
}

/// Everything that tool would say.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) input_path: String,
    pub(crate) absolute_path: String,
    pub(crate) timestamp: String,
    /// Files and the scanner that looked at them.
    pub(crate) looked_at: Vec<(String, &'static str)>,
    pub(crate) scanned: Vec<String>,
    pub(crate) issues: Vec<Issue>,
    pub(crate) errors: Vec<Note>,
    pub(crate) skipped: Vec<Note>,
}

impl Answer {
    /// Its exit codes, in its order.
    pub(crate) fn exit(&self) -> Exit {
        if self.scanned.is_empty() {
            Exit::NothingKnown
        } else if !self.errors.is_empty() {
            Exit::Incomplete
        } else if !self.issues.is_empty() {
            Exit::Finding
        } else {
            Exit::Clean
        }
    }
}

/// Translates a report of the scan of `path`, which was given as `input`.
pub(super) fn answer(report: &Report, settings: &Settings, input: &Path, path: &Path) -> Answer {
    let base = if path.is_file() { path.parent().unwrap_or(path) } else { path };
    let relative =
        |path: &str| Path::new(path).strip_prefix(base).map_or(path.into(), Path::to_string_lossy).into_owned();
    let mut answer = Answer {
        input_path: input.to_string_lossy().into_owned(),
        absolute_path: base.to_string_lossy().into_owned(),
        timestamp: date::timestamp(),
        looked_at: Vec::new(),
        scanned: Vec::new(),
        issues: Vec::new(),
        errors: Vec::new(),
        skipped: Vec::new(),
    };
    for artifact in &report.artifacts {
        let source = relative(&artifact.path);
        if artifact.is_unknown() {
            let description = "Model Scan did not scan file".to_owned();
            answer.skipped.push(Note { category: "SCAN_NOT_SUPPORTED", description, source });
            continue;
        }
        answer.looked_at.push((artifact.path.clone(), scanner_of(artifact)));
        let before = answer.issues.len();
        let issues = artifact.findings.iter().filter_map(|finding| issue(artifact, finding, &source, settings));
        answer.issues.extend(once_each(issues));
        if !artifact.is_incomplete() || answer.issues.len() > before {
            answer.scanned.push(source.clone());
        }
        if artifact.is_incomplete() {
            for part in &artifact.not_read {
                let source = member_of(&source, part.member.as_deref());
                let description = part.reason.clone();
                answer.errors.push(Note { category: category_of(artifact), description, source });
            }
        }
    }
    for error in &report.errors {
        let (source, description) = (relative(&error.path), error.message.clone());
        answer.errors.push(Note { category: "PATH", description, source });
    }
    answer
}

/// There, an operator is one issue of its file however often it is used; here the gravest use stands for all.
fn once_each(issues: impl Iterator<Item = Issue>) -> Vec<Issue> {
    let mut kept: Vec<Issue> = Vec::new();
    let mut places: HashMap<(String, String, String, String), usize> = HashMap::new();
    for issue in issues {
        let of_operator = issue.description.starts_with("Use of ");
        let said = if of_operator { String::new() } else { issue.description.clone() };
        let key = (issue.source.clone(), issue.module.clone(), issue.operator.clone(), said);
        match places.get(&key).and_then(|place| kept.get_mut(*place)) {
            Some(known) if known.severity < issue.severity => *known = issue,
            Some(_) => {}
            None => {
                _ = places.insert(key, kept.len());
                kept.push(issue);
            }
        }
    }
    kept
}

/// Only what matters is an issue there: each one fails the run.
fn issue(artifact: &ArtifactReport, finding: &Finding, source: &str, settings: &Settings) -> Option<Issue> {
    if finding.suppressed.is_some() {
        return None;
    }
    let (module, operator) = finding
        .callable
        .as_deref()
        .map_or((artifact.format, finding.rule), |callable| callable.rsplit_once('.').unwrap_or(("", callable)));
    let own = match finding.severity {
        Severity::Critical => Some(Grade::Critical),
        Severity::High => Some(Grade::High),
        Severity::Medium => Some(Grade::Medium),
        Severity::Low | Severity::Info => None,
    };
    let severity = own.max(finding.callable.as_ref().and_then(|_| settings.grade(module, operator)))?;
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

/// The nearest of that tool's scanners: scripts tell formats apart by it.
fn scanner_of(artifact: &ArtifactReport) -> &'static str {
    match artifact.format {
        format if format.starts_with("torch") => "modelscan.scanners.PyTorchUnsafeOpScan",
        "npy" | "npz" | "numpy" => "modelscan.scanners.NumpyUnsafeOpScan",
        "hdf5" | "keras-h5" => "modelscan.scanners.H5LambdaDetectScan",
        "keras" => "modelscan.scanners.KerasLambdaDetectScan",
        "saved-model" => "modelscan.scanners.SavedModelTensorflowOpScan",
        _ => "modelscan.scanners.PickleUnsafeOpScan",
    }
}

fn category_of(artifact: &ArtifactReport) -> &'static str {
    match artifact.format {
        "pickle" | "joblib" => "PICKLE_GENOPS",
        _ => "MODEL_SCAN",
    }
}
