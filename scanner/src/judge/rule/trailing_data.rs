//! Bytes after the end of the format.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "trailing-data",
    severity: Severity::Medium,
    summary: "bytes behind the end that no reader looks at",
    why: "\
Nothing that loads this format reads them, so nobody sees what they are: a second file, a payload that
another part fetches, or what a copying tool left over.",
    example: "4096 bytes behind the last tensor of model.safetensors",
    help: "look at the bytes from the place that is named; rewrite the file without them, for example with modelscan convert",
};

/// `length` in bytes; `what` says what they look like.
pub(crate) fn finding(length: u64, what: &str) -> RawFinding {
    let message = format!("{length} bytes behind the end that no reader looks at: {what}");
    INFO.finding(Severity::Medium, Verdict::Unproven, message)
}
