//! Few bytes that grow to very many, on the disk or in memory.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "decompression-bomb",
    severity: Severity::High,
    summary: "a few packed bytes unpack to very many",
    why: "\
Weights hardly compress. A member that grows hundreds of times when it is unpacked is there to fill the
memory or the disk of whoever loads it. Unpacking stopped at the limit, so what lies behind was not read.",
    example: "a gzip stream of 10 KB that unpacks to 10 GB of zeros",
    help: "do not unpack or load it; if so many equal bytes are expected, scan again with a higher --limit-ratio",
};

/// `what` gives the packed and the unpacked size.
pub(crate) fn unpacked(what: &str) -> RawFinding {
    INFO.finding(Severity::High, Verdict::Unproven, what)
}

/// References that multiply: ten lists, each with ten references to the next one, print as 10^10 items.
pub(crate) fn value(nodes: u64) -> RawFinding {
    let message = format!("a value that grows to {nodes} nodes when it is copied, printed or compared");
    INFO.finding(Severity::High, Verdict::Unproven, message)
}
