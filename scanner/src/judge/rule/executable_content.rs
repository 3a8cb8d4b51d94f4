//! Machine code or a script among the members of a model.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "executable-content",
    severity: Severity::Critical,
    summary: "machine code or a script among the weights",
    why: "\
A program (ELF, PE, Mach-O) or a script with an interpreter line stands where a model should be. A model
does not need one; something else in the artifact may start it.",
    example: "model.zip::archive/data/0 starts with 7f 45 4c 46 (ELF)",
    help: "do not load or run it, and find out who put it there; weights are data and need no program beside them",
};

/// `kind` is the file format of the program: `ELF`, `PE`, `Mach-O`, `script`.
pub(crate) fn finding(kind: &str) -> RawFinding {
    INFO.finding(Severity::Critical, Verdict::Dangerous, format!("machine code or a script: {kind}"))
}
