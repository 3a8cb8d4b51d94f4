//! A pickle makes Python call a method without a call opcode: by a state, by items, by a changed import.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "implicit-call",
    severity: Severity::High,
    summary: "a pickle makes Python call something without calling it",
    why: "\
Setting attributes, adding items and using keys all run methods of the object that is changed. A pickle that
plants such a method, or changes an object that the whole process shares, gets a call that shows no REDUCE.
Critical where the changed object is an imported module, class or function.",
    example: "\
an object of argparse.Namespace gets the attribute `append` = os.system,
then APPENDS 'id' calls it",
    help: "do not load it; no pickler writes this. Ask the publisher for the weights as safetensors",
};

/// `BUILD`, `APPEND` or `SETITEM` on an import changes it for the whole process.
pub(crate) fn changed_import(name: &str) -> RawFinding {
    let message = format!("pickle changes the imported object {name} for the whole process");
    INFO.finding(Severity::Critical, Verdict::Dangerous, message)
}

/// A state sets an attribute that Python calls later, such as `append` or `__reduce__`.
pub(crate) fn planted_attribute(attribute: &str) -> RawFinding {
    finding(format!("pickle plants the attribute {attribute}, which Python calls later"))
}

/// A state for the result of a persistent id: `__setstate__` of a class that only the loader knows.
pub(crate) fn state_of_loader_object() -> RawFinding {
    finding("pickle gives a state to an object of the loader")
}

/// Items for the result of a persistent id: `append` or `__setitem__` of a class that only the loader knows.
pub(crate) fn items_of_loader_object() -> RawFinding {
    finding("pickle adds items to an object of the loader")
}

/// Items for an object whose `append` or `__setitem__` may do more than keep the item.
pub(crate) fn items_of_other_object(name: Option<&str>) -> RawFinding {
    finding(format!("pickle adds items to {}, which is no container", name.unwrap_or("an object")))
}

fn finding(message: impl Into<String>) -> RawFinding {
    INFO.finding(Severity::High, Verdict::Unproven, message)
}
