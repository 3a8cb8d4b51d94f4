//! Exit codes. If several apply, wrong usage comes first, then findings: an error never hides a finding.

use scanner::policy::Policy;
use scanner::report::Report;

/// How the command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Everything was read, and nothing fails the gate.
    Clean,
    /// A finding fails the gate.
    Finding,
    /// Something could not be read completely.
    Incomplete,
    /// No file has a known format.
    NothingKnown,
    /// The command line or the configuration is wrong.
    Usage,
    /// The code of a command that ran in the sandbox, or of the sandbox itself.
    Command(u8),
}

impl ExitCode {
    /// The code of `scan`.
    pub(crate) fn of_report(report: &Report, policy: &Policy) -> Self {
        let artifacts = &report.artifacts;
        if artifacts.iter().flat_map(|artifact| &artifact.findings).any(|finding| policy.fails(finding)) {
            Self::Finding
        } else if !report.errors.is_empty() || artifacts.iter().any(|artifact| artifact.is_incomplete()) {
            Self::Incomplete
        } else if artifacts.iter().all(|artifact| artifact.is_unknown()) {
            Self::NothingKnown
        } else {
            Self::Clean
        }
    }

    /// The code if the report could not be written. A finding still comes first.
    pub(crate) fn after_failed_write(self) -> Self {
        if self == Self::Finding { self } else { Self::Incomplete }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(match code {
            ExitCode::Clean => 0,
            ExitCode::Finding => 1,
            ExitCode::Incomplete => 2,
            ExitCode::NothingKnown => 3,
            ExitCode::Usage => 4,
            ExitCode::Command(code) => code,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanner::report::{ArtifactReport, NotRead, ScanError, UNKNOWN_FORMAT};
    use scanner::{Finding, Severity, Verdict};

    fn finding(severity: Severity, suppressed: bool) -> Finding {
        Finding {
            rule: "r",
            severity,
            member: None,
            stream: None,
            offset: None,
            callable: None,
            evidence: None,
            message: String::new(),
            help: None,
            fingerprint: String::new(),
            verdict: Verdict::Unproven,
            suppressed: suppressed.then(|| "known".to_owned()),
            count: 0,
            lines: vec![],
        }
    }

    fn code(format: &'static str, findings: Vec<Finding>, unread: bool, error: bool) -> ExitCode {
        let not_read = NotRead { member: None, offset: None, reason: "broken".into() };
        let artifact = ArtifactReport {
            path: "a".into(),
            format,
            size: 1,
            verdict: if format == UNKNOWN_FORMAT { Verdict::NotScanned } else { Verdict::Unproven },
            sha256: None,
            lfs: None,
            findings,
            not_read: if unread { vec![not_read] } else { vec![] },
        };
        let errors = vec![ScanError { path: "b".into(), message: "permission denied".into() }];
        ExitCode::of_report(&Report::new(vec![artifact], if error { errors } else { vec![] }, 0), &Policy::default())
    }

    #[test]
    fn a_finding_comes_before_unread_parts() {
        assert_eq!(code("pickle", vec![finding(Severity::Medium, false)], true, true), ExitCode::Finding);
    }

    #[test]
    fn a_low_or_accepted_finding_neither_fails_nor_hides_unread_parts() {
        for finding in [finding(Severity::Low, false), finding(Severity::Critical, true)] {
            assert_eq!(code("pickle", vec![finding.clone()], false, false), ExitCode::Clean);
            assert_eq!(code("pickle", vec![finding], true, false), ExitCode::Incomplete);
        }
    }

    #[test]
    fn an_error_comes_before_nothing_known() {
        assert_eq!(code(UNKNOWN_FORMAT, vec![], true, false), ExitCode::NothingKnown);
        assert_eq!(code(UNKNOWN_FORMAT, vec![], true, true), ExitCode::Incomplete);
        assert_eq!(code("pickle", vec![], false, true), ExitCode::Incomplete);
    }
}
