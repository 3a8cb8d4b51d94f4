//! A pickle that ends early, or that no pickler writes.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "malformed-pickle",
    severity: Severity::Low,
    summary: "a pickle breaks, or is written as no pickler writes it",
    why: "\
A pickle runs as it is read: all that stands before the break has happened when the error is raised. Files
are cut by broken downloads, and also on purpose, because some scanners give up at the break and report
nothing. All up to that place was judged.",
    example: "cos\\nsystem\\n(S'id'\\ntR followed by no STOP",
    help: "fetch the file again and compare its checksum with the publisher's; if it is the same, it was made so, and should not be loaded",
};

/// All unpicklers read it alike; no pickler writes it.
pub(crate) fn anomaly(what: &str) -> RawFinding {
    INFO.finding(Severity::Low, Verdict::Unproven, what)
}

/// Every unpickler raises an error there, after it ran what comes before.
pub(crate) fn broken(why: &str) -> RawFinding {
    let message = format!("the pickle breaks: {why}; everything before that runs when it is loaded");
    INFO.finding(Severity::Low, Verdict::Unproven, message)
}
