//! The model names a file, folder or address outside of itself.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "external-reference",
    severity: Severity::High,
    summary: "the model reads something outside of itself",
    why: "\
It names a file, a folder or an address that is not part of it. A loader that follows the name reads, and
may later give away, whatever stands there on your machine; and what was scanned is not all of the model.",
    example: "an ONNX tensor with external data at ../../etc/passwd",
    help: "look at the target: if it is a file that belongs to the model, put it beside the model and scan both; otherwise do not load it",
};

/// `what` says where the reference is and what it is for.
pub(crate) fn finding(target: &str, what: &str) -> RawFinding {
    INFO.finding(Severity::High, Verdict::Unproven, what).evidence(target.to_owned())
}
