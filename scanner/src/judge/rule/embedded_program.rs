//! A program in the language of the format, as TorchScript has one.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "embedded-program",
    severity: Severity::Medium,
    summary: "the model brings a program of its own",
    why: "\
Formats such as TorchScript store operations in a language of their own, and these run when the model is
used. It is no Python, but it can read and write files, and no scanner proves what it does.",
    example: "model.pt::model/code/__torch__/net.py",
    help: "take it from a source you trust, or ask for plain weights; run it contained: modelscan run -- python predict.py",
};

/// `what` names the program.
pub(crate) fn finding(what: &str) -> RawFinding {
    INFO.finding(Severity::Medium, Verdict::Unproven, what)
}
