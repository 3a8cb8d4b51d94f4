//! The severities of the Python tool.

use serde::Serialize;

/// A severity, in its spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub(crate) const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }

    /// The severity of a finding. `None` for one that is not an issue there: each issue fails the run.
    pub(crate) const fn of_finding(severity: scanner::Severity) -> Option<Self> {
        match severity {
            scanner::Severity::Critical => Some(Self::Critical),
            scanner::Severity::High => Some(Self::High),
            scanner::Severity::Medium => Some(Self::Medium),
            scanner::Severity::Low | scanner::Severity::Info => None,
        }
    }
}
