//! Bytes that the scanner did not read: encrypted, broken, unsupported, over a limit, or absent.

use super::RuleInfo;
use crate::fact::Unread;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "not-fully-read",
    severity: Severity::Low,
    summary: "part of the file was not read",
    why: "\
It is encrypted, broken, packed by a method that is not supported, over a limit, or not there at all (a Git
LFS pointer). Nothing is known about what was not read, so the file is not called clean.",
    example: "model.zip::archive/data.pkl is encrypted",
    help: "remove the reason that the message gives (decrypt, repack, fetch with `git lfs pull`, raise the limit: modelscan scan --help lists them) and scan again; until then treat the file as unknown",
};

/// Of a Git LFS pointer nothing was scanned; of everything else, a part.
pub(crate) fn finding(why: &Unread) -> RawFinding {
    let verdict = if matches!(why, Unread::LfsPointer { .. }) { Verdict::NotScanned } else { Verdict::Unproven };
    INFO.finding(Severity::Low, verdict, why.to_string())
}
