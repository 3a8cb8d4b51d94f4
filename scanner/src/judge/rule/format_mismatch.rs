//! The extension promises one format, the content is another.

use super::{RuleInfo, rate};
use crate::fact::Deviation;
use crate::finding::{RawFinding, Severity};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "format-mismatch",
    severity: Severity::Medium,
    summary: "the name says one format and the content is another",
    why: "\
Programs and people choose by the name: a file called .safetensors is taken for harmless and loaded without
a second look, and other scanners skip what their list of names does not know. High where what was found
acts when it is loaded, info where it is a common habit.",
    example: "model.safetensors starts with 80 04 95: it is a pickle",
    help: "find out why the name is wrong; give the file the name of its content and scan it again before anything loads it",
};

/// `claimed` is the format of the name, `found` the format of the content.
pub(crate) fn finding(deviation: Deviation, claimed: &str, found: &str) -> RawFinding {
    let (severity, verdict) = rate(deviation);
    INFO.finding(severity, verdict, format!("the name says {claimed}, the content is {found}"))
}
