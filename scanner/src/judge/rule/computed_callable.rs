//! A pickle imports, calls or changes an object that no reading of the file can name.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "computed-callable",
    severity: Severity::Critical,
    summary: "a pickle imports or calls something that it computes",
    why: "\
The module, the name or the function itself is the result of an earlier step, so no reading of the file can
tell what would run. Picklers write every name as a plain text. What is only used as a key is medium, an
object out of the loader's extension table is high.",
    example: "\
getattr(posix, 'sys' + 'tem')('id')
a STACK_GLOBAL whose name is the result of a REDUCE",
    help: "do not load it; ask the publisher for the weights as safetensors. If it has to be loaded, contain it: modelscan run -- python load.py",
};

/// The module or the name of an import is the result of an earlier step.
pub(crate) fn import() -> RawFinding {
    finding(Severity::Critical, "pickle imports a name that it computes, so nothing says what it is")
}

/// The callee is an import with a computed name.
pub(crate) fn call() -> RawFinding {
    finding(Severity::Critical, "pickle calls something whose name it computes")
}

/// The callee is the result of an earlier call.
pub(crate) fn call_of_result() -> RawFinding {
    finding(Severity::Critical, "pickle calls what another call returned, so nothing says what it is")
}

/// The callee, or the object that is changed, is unknown.
pub(crate) fn unknown_object() -> RawFinding {
    finding(Severity::Critical, "pickle calls or changes something that cannot be known")
}

/// Python calls `__hash__` of a key.
pub(crate) fn unknown_key() -> RawFinding {
    finding(Severity::Medium, "pickle uses something unknown as a key")
}

/// `EXT1`, `EXT2`, `EXT4`: the extension table belongs to the loading program.
pub(crate) fn extension() -> RawFinding {
    finding(Severity::High, "pickle asks for an object of the loader's extension table")
}

/// A state has more items than are kept, so the dangerous attribute may be among the others.
pub(crate) fn untracked_attribute() -> RawFinding {
    finding(Severity::High, "pickle plants an attribute, among too many to follow, which Python calls later")
}

fn finding(severity: Severity, message: &str) -> RawFinding {
    INFO.finding(severity, Verdict::Unproven, message)
}
