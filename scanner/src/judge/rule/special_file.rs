//! A socket, FIFO or device, which the scanner does not open.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "special-file",
    severity: Severity::Medium,
    summary: "a socket, FIFO or device among the files",
    why: "\
Such a file holds nothing. Opening one may block for ever or act on a device, so it was not opened. No model
contains one.",
    example: "models/weights.bin is a FIFO",
    help: "remove it, or leave it out of what is scanned; do not let a loader open the folder as it is",
};

/// `kind` is `socket`, `FIFO` or `device`.
pub(crate) fn finding(kind: &str) -> RawFinding {
    INFO.finding(Severity::Medium, Verdict::Unproven, format!("a {kind}, which was not opened"))
}
