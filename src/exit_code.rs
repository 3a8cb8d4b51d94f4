//! The exit codes. Where several hold, usage goes first, then findings: an error never hides a finding.

use scanner::policy::Policy;
use scanner::report::Report;
use std::process::ExitCode;

/// How a run of the command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was read, and nothing fails the gate.
    Clean,
    /// A finding fails the gate.
    Finding,
    /// Something could not be read whole.
    Incomplete,
    /// Nothing there that the scanner knows.
    NothingKnown,
    /// The command line or the configuration is wrong.
    Usage,
    /// The code of a command that ran in the sandbox, or of the sandbox itself.
    Command(u8),
}

impl Exit {
    /// The code for a report.
    pub(crate) fn of(report: &Report, policy: &Policy) -> Self {
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

    /// The code when the report could not be written: a finding still goes first.
    pub(crate) fn unwritten(self) -> Self {
        if self == Self::Finding { self } else { Self::Incomplete }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Clean => 0,
            Exit::Finding => 1,
            Exit::Incomplete => 2,
            Exit::NothingKnown => 3,
            Exit::Usage => 4,
            Exit::Command(code) => code,
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

    fn code(format: &'static str, findings: Vec<Finding>, unread: bool, error: bool) -> Exit {
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
        Exit::of(&Report::new(vec![artifact], if error { errors } else { vec![] }, 0), &Policy::default())
    }

    #[test]
    fn a_finding_goes_before_what_could_not_be_read() {
        assert_eq!(code("pickle", vec![finding(Severity::Medium, false)], true, true), Exit::Finding);
    }

    #[test]
    fn a_finding_below_the_gate_or_accepted_does_not_fail_and_does_not_hide_what_was_not_read() {
        for finding in [finding(Severity::Low, false), finding(Severity::Critical, true)] {
            assert_eq!(code("pickle", vec![finding.clone()], false, false), Exit::Clean);
            assert_eq!(code("pickle", vec![finding], true, false), Exit::Incomplete);
        }
    }

    #[test]
    fn an_error_goes_before_nothing_known() {
        assert_eq!(code(UNKNOWN_FORMAT, vec![], true, false), Exit::NothingKnown);
        assert_eq!(code(UNKNOWN_FORMAT, vec![], true, true), Exit::Incomplete);
        assert_eq!(code("pickle", vec![], false, true), Exit::Incomplete);
    }
}
