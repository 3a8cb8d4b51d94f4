//! A header with sizes, offsets, types or names that its format forbids.

use super::{RuleInfo, rate};
use crate::fact::Deviation;
use crate::finding::{RawFinding, Severity};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "structure-violation",
    severity: Severity::Medium,
    summary: "a header breaks the rules of its format",
    why: "\
Sizes, offsets, types or names are such as the format forbids, or the bytes do not bear them out. Loaders
written in C have been taken over by such headers. High where a reader may be led to foreign bytes, info
where honest files do it too.",
    example: "two tensors of a safetensors file that share bytes",
    help: "fetch the file again and compare its checksum with the publisher's; if it is the same, do not give it to a native loader",
};

/// `what` names the field and its value.
pub(crate) fn finding(deviation: Deviation, what: &str) -> RawFinding {
    let (severity, verdict) = rate(deviation);
    INFO.finding(severity, verdict, what)
}
