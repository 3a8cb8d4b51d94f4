//! A numpy array of Python objects: a pickle in an array file.

use super::RuleInfo;
use crate::finding::{RawFinding, Severity, Verdict};

pub(crate) const INFO: RuleInfo = RuleInfo {
    id: "object-array",
    severity: Severity::Info,
    summary: "an array of Python objects",
    why: "\
numpy stores arrays of objects as a pickle, and refuses to load them unless allow_pickle=True is given. The
pickle inside was judged like any other; this line says only that it is there.",
    example: "numpy.save('names.npy', numpy.array(['a', None], dtype=object))",
    help: "never give allow_pickle=True for files from strangers; store texts and numbers as arrays of their own type",
};

/// The pickle in it is judged on its own.
pub(crate) fn finding() -> RawFinding {
    INFO.finding(Severity::Info, Verdict::Clean, "an array of objects: loading it takes allow_pickle=True")
}
