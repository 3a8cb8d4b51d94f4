//! The vocabulary of findings: severity, verdict, the finding of a rule before and after it is tied to a file. Data only;
//! rules are in `judge`.
//!
//! Text in a finding is raw: it holds names from untrusted files, and a renderer must escape it. A fingerprint identifies a finding
//! from one scan to the next, so it covers nothing that changes when a model is saved again: no offset, no size, no message.

use crate::io::hash::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Unusual, and seen in honest files.
    Low,
    /// Not known to be harmless.
    Medium,
    /// Misleads a reader, or gives an attacker a hold.
    High,
    /// Does harm when the file is loaded.
    Critical,
}

impl Severity {
    /// All of them, from the mildest.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What is known about an artifact. From the best to the worst, so that the worst of several is the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All of it was read, and every callable it would reach is known to be inert.
    Clean,
    /// Nothing of it was read.
    NotScanned,
    /// Something is unknown, unreadable or computed.
    Unproven,
    /// It would do harm.
    Dangerous,
}

impl Verdict {
    /// The word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::NotScanned => "not_scanned",
            Self::Unproven => "unproven",
            Self::Dangerous => "dangerous",
        }
    }
}

/// One line of the annotated listing under a finding in the text report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Offset of the opcode in its member.
    pub offset: u64,
    /// The opcode and its argument.
    pub text: String,
    /// What it does, where that is the point of the finding.
    pub note: Option<String>,
}

/// A finding of a rule on a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Id of the rule.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The path inside the artifact; `None` for the file itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Which of the pickles in a row it is about; a part of the fingerprint.
    #[serde(skip)]
    pub stream: Option<u64>,
    /// Bytes from the start of that member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The callable in question, `module.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callable: Option<String>,
    /// What was seen, as source code or a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// One sentence: lower case, no full stop.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The same from one scan to the next, see [`fingerprint`].
    pub fingerprint: String,
    /// What this finding alone says about the artifact.
    #[serde(skip)]
    pub verdict: Verdict,
    /// The reason for which the user's policy keeps it from failing the gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
    /// How many further findings are equal to this one and are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub count: u64,
    /// The opcodes around the offset.
    #[serde(skip)]
    pub lines: Vec<Line>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A finding of a rule on one artifact, before `judge` ties it to a file. Made by the constructors of the rules alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RawFinding {
    /// Offset in the artifact.
    pub at: Option<u64>,
    /// Id of the rule.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The verdict on an artifact that has this finding alone.
    pub verdict: Verdict,
    /// The callable in question.
    pub callable: Option<String>,
    /// What was seen, as source code or a path.
    pub evidence: Option<String>,
    /// One sentence: lower case, no full stop.
    pub message: String,
    /// How many further times the same was seen.
    pub count: u64,
}

impl RawFinding {
    pub(crate) fn at(self, at: impl Into<Option<u64>>) -> Self {
        Self { at: at.into(), ..self }
    }

    pub(crate) fn callable(self, callable: impl Into<Option<String>>) -> Self {
        Self { callable: callable.into(), ..self }
    }

    pub(crate) fn evidence(self, evidence: impl Into<Option<String>>) -> Self {
        Self { evidence: evidence.into(), ..self }
    }
}

/// The fingerprint of a finding: 128 bits of SHA-256 over the rule and the place, in hexadecimal.
///
/// Each part is preceded by its length: a name from a stranger cannot imitate the border between two parts.
pub fn fingerprint(
    rule: &str,
    path: &str,
    member: Option<&str>,
    callable: Option<&str>,
    stream: Option<u64>,
) -> String {
    let stream = stream.map(|index| index.to_string());
    let mut hash = Sha256::new();
    for part in [Some(rule), Some(path), member, callable, stream.as_deref()] {
        match part {
            None => hash.update([0]),
            Some(text) => {
                hash.update([1]);
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
    }
    hex(hash.finalize().get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_32_hexadecimal_digits_and_does_not_change_between_releases() {
        let print = fingerprint("unsafe-callable", "a.pt", Some("archive/data.pkl"), Some("posix.system"), Some(0));
        assert_eq!(print, "e5bb5d2fed38084237f4237824b2125e");
    }

    #[test]
    fn names_cannot_imitate_the_border_between_parts() {
        let one = fingerprint("r", "ab", Some("c"), None, None);
        assert_ne!(one, fingerprint("r", "a", Some("bc"), None, None));
        assert_ne!(one, fingerprint("r", "ab", None, Some("c"), None));
        assert_ne!(fingerprint("r", "a", Some(""), None, None), fingerprint("r", "a", None, None, None));
    }

    #[test]
    fn severities_and_verdicts_are_ordered_from_the_mildest() {
        assert!(Severity::Medium < Severity::High && Severity::Info < Severity::Low);
        assert!(Verdict::Clean < Verdict::Unproven && Verdict::Unproven < Verdict::Dangerous);
    }
}
