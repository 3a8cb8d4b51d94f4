//! Bytes that several formats claim, at least one of which acts when it is loaded.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "polyglot",
    severity: Severity::Critical,
    summary: "the same bytes are several formats at once",
    why: "\
Different programs load different things from this file, so that one of them can be harmless and the other
not. No writer does this by accident.",
    example: "a pickle with a zip archive behind it: pickle.load reads the first, zipfile the second",
    help: "do not load it with any program; ask the publisher for a file of one format",
};

/// `formats` are the ids of all formats that claim the bytes.
pub(crate) fn finding(formats: &[&str]) -> RawFinding {
    let message = format!("the same bytes are {}: different programs load different things", formats.join(" and "));
    INFO.finding(Severity::Critical, Verdict::Unproven, message)
}
