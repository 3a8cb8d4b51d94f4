//! Rules, a file each: the page that `modelscan rule` prints, and a constructor for each finding that the rule raises.
//! `judge::decide` calls the constructors; a rule decides nothing itself. `tests/rules/` has a file of the same name
//! for each rule.

pub mod all;
pub(crate) mod archive_mismatch;
pub(crate) mod computed_callable;
pub(crate) mod decompression_bomb;
pub(crate) mod embedded_code;
pub(crate) mod embedded_program;
pub(crate) mod executable_content;
pub(crate) mod external_reference;
pub(crate) mod format_mismatch;
pub(crate) mod implicit_call;
pub(crate) mod malformed_pickle;
pub(crate) mod not_fully_read;
pub(crate) mod object_array;
pub(crate) mod path_escape;
pub(crate) mod polyglot;
pub(crate) mod reader_disagreement;
pub(crate) mod special_file;
pub(crate) mod structure_violation;
pub(crate) mod trailing_data;
pub(crate) mod unexpected_arguments;
pub(crate) mod unknown_callable;
pub(crate) mod unsafe_callable;

pub use all::rules;

use crate::fact::Deviation;
use crate::finding::{RawFinding, Severity, Verdict};

/// The page of a rule. The id never changes: people write it into their configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleInfo {
    /// Words in lower case, joined by hyphens.
    pub id: &'static str,
    /// The usual severity; `why` says when a finding is milder or worse.
    pub severity: Severity,
    /// At most 70 characters.
    pub summary: &'static str,
    /// Why it matters. Lines of at most 110 characters.
    pub why: &'static str,
    /// An input that fires the rule.
    pub example: &'static str,
    /// What to do, on one line of at most 400 characters: reports print it under each finding and cut it there.
    pub help: &'static str,
}

impl RuleInfo {
    /// The only way to make a [`RawFinding`]: its rule always has a page.
    fn finding(&self, severity: Severity, verdict: Verdict, message: impl Into<String>) -> RawFinding {
        RawFinding {
            at: None,
            rule: self.id,
            severity,
            verdict,
            callable: None,
            evidence: None,
            message: message.into(),
            count: 0,
        }
    }
}

/// Severity and verdict of a structure that is not as its format says.
const fn rate(deviation: Deviation) -> (Severity, Verdict) {
    match deviation {
        Deviation::Unusual => (Severity::Info, Verdict::Clean),
        Deviation::Wrong => (Severity::Medium, Verdict::Unproven),
        Deviation::Misleading => (Severity::High, Verdict::Unproven),
    }
}
