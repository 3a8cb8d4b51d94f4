//! A harmless function with arguments that no pickler writes.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "unexpected-arguments",
    severity: Severity::High,
    summary: "a harmless function with arguments that no pickler gives it",
    why: "\
Some functions are inert only with the arguments that picklers write: a codec may be a name that runs an
import, a default factory is called later, a size may reach beyond its storage. Here the arguments are
others. Medium where there were too many to keep and check.",
    example: "collections.defaultdict(os.system)",
    help: "do not load it unless the evidence is explained; if an ordinary library wrote this file, please report it as a false alarm with the evidence line",
};

/// `what` names the wrong argument.
pub(crate) fn wrong(name: &str, what: &str) -> RawFinding {
    finding(Severity::High, format!("pickle gives {name} arguments that no pickler writes: {what}"))
}

/// The arguments exceed what the scanner keeps, so it cannot check them.
pub(crate) fn unchecked(name: &str) -> RawFinding {
    let what = "more arguments than are kept";
    finding(Severity::Medium, format!("pickle gives {name} arguments that no pickler writes: {what}"))
}

/// A persistent id is an argument to the loader's `persistent_load`.
pub(crate) fn persistent_id(what: &str) -> RawFinding {
    finding(Severity::High, format!("pickle asks the loader for an object by {what}"))
}

/// The state of a numpy array whose shape and data differ in size.
pub(crate) fn array_state(what: &str) -> RawFinding {
    finding(Severity::High, format!("pickle gives an array a state that no pickler writes: {what}"))
}

fn finding(severity: Severity, message: String) -> RawFinding {
    INFO.finding(severity, Verdict::Unproven, message)
}
