//! Bytes of a pickle that unpicklers read differently.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "reader-disagreement",
    severity: Severity::High,
    summary: "different Pythons read this pickle differently",
    why: "\
The unpicklers of CPython (C and Python, old and new), PyPy and the tools that list pickles do not agree on
some odd notations. There a file can do harm in one of them and look harmless in another. No pickler writes
these. Critical where a frame is cut so that whole opcodes are seen by some readers only.",
    example: "\
I0x10 is 16 in one reader and an error in another
an argument that crosses the end of its frame",
    help: "do not load it; if you made it yourself, load it where it was made and save it again with pickle or torch.save",
};

/// A notation that is a value in one unpickler and another value, or an error, in the next.
pub(crate) fn anomaly(what: &str) -> RawFinding {
    INFO.finding(Severity::High, Verdict::Unproven, what)
}

/// The C unpickler reads on past the frame, the Python one stops at its end: they read different opcodes from there.
pub(crate) fn straddled_frame() -> RawFinding {
    let message = "an argument crosses the end of its frame: some Pythons read other opcodes from there";
    INFO.finding(Severity::Critical, Verdict::Unproven, message)
}
