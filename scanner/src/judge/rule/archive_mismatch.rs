//! Readers of one archive see different contents.

use super::{RuleInfo, rate};
use crate::fact::Deviation;
use crate::finding::{RawFinding, Severity};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "archive-mismatch",
    severity: Severity::High,
    summary: "readers of this archive see different contents",
    why: "\
A zip file describes each entry twice, and nothing makes the two agree: Python, torch and streaming tools
then unpack different bytes under one name. Honest writers never do this; it is how a payload is shown to
the loader and hidden from the scanner. All the contents that some reader would see were scanned.
Deviations that lead no reader elsewhere are medium or info.",
    example: "\
the directory at the end says   archive/data.pkl  at byte 4096
the header at byte 0 says       archive/data.pkl  too, with other bytes behind it",
    help: "do not load the archive as it is; if its source is trusted, unpack it, compare the entries with the original and pack them again with an ordinary tool",
};

/// `what` names the two views of the archive that differ.
pub(crate) fn finding(deviation: Deviation, what: &str) -> RawFinding {
    let (severity, verdict) = rate(deviation);
    INFO.finding(severity, verdict, what)
}
