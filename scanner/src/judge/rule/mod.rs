//! Rules: an opinion on what was seen. Each rule has an id that never changes and a page that tells people what it
//! means; the pages are in [`pages`], what fires them in [`calls`] (events of pickles) and [`facts`] (everything else).

mod arguments;
pub mod calls;
mod configured;
pub mod facts;
pub mod pages;
pub mod state_keys;

pub use pages::{RuleInfo, rules};

pub use crate::judge::finding::RawFinding;
use crate::pickle::preview;
use crate::pickle::trace::Trace;
use crate::pickle::value::{CallKind, Value};

/// A call and where it stands.
struct CallSite<'a> {
    trace: &'a Trace,
    at: u64,
    how: CallKind,
    callee: Value,
    args: Value,
}

impl CallSite<'_> {
    fn preview(&self) -> String {
        preview::call(self.trace, self.how, self.callee, self.args)
    }
}
