//! An entry whose path leaves the folder that the archive is unpacked to.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "path-escape",
    severity: Severity::High,
    summary: "a path leads out of its folder",
    why: "\
Whoever unpacks the archive may write to, or read from, a place outside of the folder that was chosen: a
path with `..`, an absolute path, a drive, or a link that points away. So do files of startup scripts and
keys get replaced.",
    example: "model.zip::../../.bashrc",
    help: "do not unpack it; if its source is trusted, ask for an archive with plain relative paths and without links",
};

/// `what` says where the path leads.
pub(crate) fn finding(path: &str, what: &str) -> RawFinding {
    INFO.finding(Severity::High, Verdict::Unproven, what).evidence(path.to_owned())
}
