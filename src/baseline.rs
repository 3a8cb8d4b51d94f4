//! A baseline as it stands in its file: what was found, with enough beside each fingerprint for a person to review it.

use super::escape;
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
    pub(crate) findings: Vec<Known>,
}

/// Findings with one fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    /// The file.
    pub(crate) path: String,
    /// The path inside of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<String>,
    /// The rule.
    pub(crate) rule: String,
    /// The callable in question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) callable: Option<String>,
    /// How often; one more is new.
    pub(crate) count: u64,
    /// What counts.
    pub(crate) fingerprint: String,
}

impl Baseline {
    /// Of the findings that `wanted` chooses.
    pub(crate) fn of(report: &Report, wanted: impl Fn(&scanner::Finding) -> bool) -> Self {
        let mut known: BTreeMap<String, Known> = BTreeMap::new();
        for artifact in &report.artifacts {
            for finding in artifact.findings.iter().filter(|finding| wanted(finding)) {
                let entry = known.entry(finding.fingerprint.clone()).or_insert_with(|| Known {
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

    /// Reads one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(text).map_err(|error| format!("it is no baseline: {error}"))?;
        if read.schema == SCHEMA {
            Ok(read)
        } else {
            Err(format!("it is no baseline: its schema is {:?}", read.schema))
        }
    }

    /// Fingerprints and how often each was there.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.findings.iter().map(|known| (known.fingerprint.clone(), known.count)).collect()
    }

    /// As JSON.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", escape::json(&serde_json::to_string_pretty(self)?))
    }
}
