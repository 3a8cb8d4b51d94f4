//! Rules: an opinion on what was seen. Each rule has an id that never changes and a page that tells people what it
//! means; the pages are in [`pages`], what fires them in [`calls`] (events of pickles) and [`facts`] (everything else).

mod arguments;
pub mod calls;
pub mod facts;
pub mod pages;

pub use pages::{Meta, rules};

use crate::finding::{Severity, Verdict};
use crate::pickle::preview;
use crate::pickle::trace::Trace;
use crate::pickle::value::{How, Value};

/// A finding in the making: not yet tied to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// Offset in the member.
    pub at: Option<u64>,
    /// Id of the rule.
    pub rule: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What it says about the artifact.
    pub verdict: Verdict,
    /// The callable in question.
    pub callable: Option<String>,
    /// What was seen.
    pub evidence: Option<String>,
    /// One sentence.
    pub message: String,
}

impl Concern {
    fn at(at: impl Into<Option<u64>>, rule: &'static str, severity: Severity, verdict: Verdict) -> Self {
        Self { at: at.into(), rule, severity, verdict, callable: None, evidence: None, message: String::new() }
    }
}

/// A call and where it stands.
struct Place<'a> {
    trace: &'a Trace,
    at: u64,
    how: How,
    callee: Value,
    args: Value,
}

impl Place<'_> {
    fn preview(&self) -> String {
        preview::call(self.trace, self.how, self.callee, self.args)
    }
}
