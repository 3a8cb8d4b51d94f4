//! The baseline file: known findings, each with its fingerprint and enough text for a review.

use crate::error::CommandError;
use crate::escape;
use scanner::report::Report;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};

const SCHEMA: &str = "modelscan.baseline/1";

/// The findings of an earlier scan.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    schema: String,
    pub(crate) findings: Vec<KnownFinding>,
}

/// Findings with one fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownFinding {
    /// The file.
    pub(crate) path: String,
    /// The path within the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<String>,
    /// The rule.
    pub(crate) rule: String,
    /// The callable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) callable: Option<String>,
    /// Occurrences. Another one is a new finding.
    pub(crate) count: u64,
    /// The identity of the finding.
    pub(crate) fingerprint: String,
}

impl Baseline {
    /// The findings of a report that `select` returns true for.
    pub(crate) fn from_report(report: &Report, select: impl Fn(&scanner::Finding) -> bool) -> Self {
        let mut known: BTreeMap<String, KnownFinding> = BTreeMap::new();
        for artifact in &report.artifacts {
            for finding in artifact.findings.iter().filter(|finding| select(finding)) {
                let entry = known.entry(finding.fingerprint.clone()).or_insert_with(|| KnownFinding {
                    path: artifact.path.clone(),
                    member: finding.member.clone(),
                    rule: finding.rule.to_owned(),
                    callable: finding.callable.clone(),
                    count: 0,
                    fingerprint: finding.fingerprint.clone(),
                });
                entry.count = entry.count.saturating_add(1).saturating_add(finding.count);
            }
        }
        let mut findings: Vec<_> = known.into_values().collect();
        findings.sort();
        Self { schema: SCHEMA.to_owned(), findings }
    }

    /// Parses a baseline.
    pub(crate) fn parse(text: &str) -> Result<Self, CommandError> {
        let invalid = |reason: String| CommandError::usage(format!("it is no baseline: {reason}"));
        let baseline: Self = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        if baseline.schema == SCHEMA {
            Ok(baseline)
        } else {
            Err(invalid(format!("its schema is {:?}", baseline.schema)))
        }
    }

    /// The occurrences of each fingerprint.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.findings.iter().map(|known| (known.fingerprint.clone(), known.count)).collect()
    }

    /// Writes the baseline as JSON.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", escape::json(&serde_json::to_string_pretty(self)?))
    }
}
