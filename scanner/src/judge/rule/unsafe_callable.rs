//! A name that a table knows to do harm, in a pickle or in the configuration of a model.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "unsafe-callable",
    severity: Severity::Critical,
    summary: "a pickle or configuration uses a function that does harm",
    why: "\
Loading this file imports or calls something that runs commands or code, or hands over a function that does.
That happens while it is loaded, before any weight can be used. High where it reads or writes files, opens
connections or drives another function. In the configuration of a Keras model it is a Lambda layer, whose
function is byte code, or a function that Keras looks up by its name.",
    example: "\
class Payload:
    def __reduce__(self):
        return os.system, ('id',)

{\"class_name\": \"function\", \"module\": \"keras.utils\", \"config\": \"get_file\"}",
    help: "do not load it. Delete it, tell where you have it from, and if it was loaded already, treat that machine as taken over; ask the publisher for the weights as safetensors",
};

/// `action` is subject and verb (`pickle calls`). `reason` says what the callable does.
pub(crate) fn named(severity: Severity, action: &str, name: &str, reason: Option<&str>) -> RawFinding {
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    INFO.finding(severity, Verdict::Dangerous, format!("{action} {name}{reason}"))
}
