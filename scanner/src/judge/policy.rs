//! The decisions of the user: the severity that fails the gate, and the accepted findings, each with a reason.
//!
//! A policy changes no verdict. An accepted finding stays in the report, marked with the reason.

use crate::finding::{Finding, Severity, Verdict};
pub use crate::judge::path_pattern::PathPattern;
use crate::judge::rule::not_fully_read;
use std::collections::BTreeMap;

/// The reason of a finding that the baseline has.
pub const IN_BASELINE: &str = "in the baseline";

/// The rule of bytes that were not read. A baseline never has it.
pub const NOT_READ: &str = not_fully_read::INFO.id;

/// The gate and the accepted findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The lowest severity that fails the gate.
    pub fail_on: Severity,
    /// Callables that are accepted although they are not known to be inert.
    pub allow: Vec<AllowCallable>,
    /// Findings that are accepted.
    pub ignore: Vec<Ignore>,
    /// Fingerprints of the baseline, and how often each occurs.
    pub baseline: BTreeMap<String, u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { fail_on: Severity::Medium, allow: Vec::new(), ignore: Vec::new(), baseline: BTreeMap::new() }
    }
}

/// An accepted callable: exactly this pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowCallable {
    /// Its module.
    pub module: String,
    /// Its name in that module.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Accepted findings. All conditions that are set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ignore {
    /// Id of the rule.
    pub rule: Option<String>,
    /// The path.
    pub path: Option<PathPattern>,
    /// SHA-256 of the whole file.
    pub sha256: Option<String>,
    /// The callable, `module.name`.
    pub callable: Option<String>,
    /// Why.
    pub reason: String,
    /// Last day on which it holds, `YYYY-MM-DD`.
    pub expires: Option<String>,
}

impl AllowCallable {
    /// Whether it accepts the finding. A dangerous finding takes an [`Ignore`].
    pub fn covers(&self, finding: &Finding) -> bool {
        let named = finding.callable.as_deref().and_then(|callable| callable.strip_prefix(self.module.as_str()));
        finding.verdict < Verdict::Dangerous
            && named.and_then(|rest| rest.strip_prefix('.')).is_some_and(|name| name == self.name)
    }
}

impl Ignore {
    /// Whether it accepts a finding in the file at `path`. A condition on the hash fails without one.
    pub fn covers(&self, finding: &Finding, path: &str, sha256: Option<&str>) -> bool {
        let equal = |expected: &Option<String>, found: Option<&str>| {
            expected.as_deref().is_none_or(|expected| found.is_some_and(|found| expected.eq_ignore_ascii_case(found)))
        };
        let some = self.rule.is_some() || self.path.is_some() || self.sha256.is_some() || self.callable.is_some();
        some && self.rule.as_deref().is_none_or(|rule| rule == finding.rule)
            && self.callable.as_deref().is_none_or(|callable| finding.callable.as_deref() == Some(callable))
            && equal(&self.sha256, sha256)
            && self.path.as_ref().is_none_or(|pattern| pattern.matches(path))
    }
}

impl Policy {
    /// Whether a decision depends on the hash of each file.
    pub fn needs_sha256(&self) -> bool {
        self.ignore.iter().any(|ignore| ignore.sha256.is_some())
    }

    /// Marks the accepted findings of one file. The first decision that covers a finding gives the reason.
    pub fn apply(&self, findings: &mut [Finding], path: &str, sha256: Option<&str>) {
        for finding in findings.iter_mut() {
            let ignored =
                self.ignore.iter().find(|ignore| ignore.covers(finding, path, sha256)).map(|ignore| &ignore.reason);
            let allowed = || self.allow.iter().find(|allow| allow.covers(finding)).map(|allow| &allow.reason);
            if let Some(reason) = ignored.or_else(allowed) {
                finding.suppressed = Some(reason.clone());
            }
        }
        self.apply_baseline(findings);
    }

    /// Marks findings as often as the baseline has their fingerprint. A finding with a count stands for as many others, and all
    /// of them must be in the baseline: a new finding must not hide behind a known one.
    fn apply_baseline(&self, findings: &mut [Finding]) {
        let mut used: BTreeMap<&str, u64> = BTreeMap::new();
        for finding in findings.iter_mut().filter(|finding| finding.suppressed.is_none() && finding.rule != NOT_READ) {
            let Some((print, times)) = self.baseline.get_key_value(&finding.fingerprint) else { continue };
            let used = used.entry(print).or_default();
            let with = used.saturating_add(finding.count).saturating_add(1);
            if with <= *times {
                *used = with;
                finding.suppressed = Some(IN_BASELINE.to_owned());
            }
        }
    }

    /// Whether the finding fails the gate.
    pub fn fails(&self, finding: &Finding) -> bool {
        finding.suppressed.is_none() && finding.severity >= self.fail_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(callable: &str, verdict: Verdict) -> Finding {
        Finding {
            rule: "unknown-callable",
            severity: Severity::Medium,
            member: None,
            stream: None,
            offset: None,
            callable: Some(callable.into()),
            evidence: None,
            message: String::new(),
            help: None,
            fingerprint: String::new(),
            verdict,
            suppressed: None,
            count: 0,
            lines: Vec::new(),
        }
    }

    fn allow(module: &str, name: &str) -> AllowCallable {
        AllowCallable { module: module.into(), name: name.into(), reason: "reviewed".into() }
    }

    #[test]
    fn an_allowed_callable_is_exactly_that_pair_and_its_verdict_stays() {
        let policy = Policy { allow: vec![allow("a.b", "C")], ..Policy::default() };
        let mut findings = ["a.b.C", "a.b.CD", "a.bC", "a.b.C.d"].map(|name| finding(name, Verdict::Unproven));
        policy.apply(&mut findings, "x.pkl", None);
        assert_eq!(findings.each_ref().map(|f| f.suppressed.is_some()), [true, false, false, false]);
        assert_eq!(findings.each_ref().map(|f| f.verdict), [Verdict::Unproven; 4]);
        assert_eq!(findings.each_ref().map(|f| policy.fails(f)), [false, true, true, true]);
    }

    #[test]
    fn a_dangerous_callable_is_ignored_but_never_allowed() {
        let mut findings = [finding("os.system", Verdict::Dangerous)];
        Policy { allow: vec![allow("os", "system")], ..Policy::default() }.apply(&mut findings, "x", None);
        assert_eq!(findings[0].suppressed, None);
        let ignore = Ignore { callable: Some("os.system".into()), reason: "test".into(), ..Ignore::default() };
        Policy { ignore: vec![ignore], ..Policy::default() }.apply(&mut findings, "x", None);
        assert_eq!((findings[0].suppressed.as_deref(), findings[0].verdict), (Some("test"), Verdict::Dangerous));
    }

    #[test]
    fn every_condition_of_an_ignore_must_hold_and_none_is_not_enough() {
        let ignored = finding("a.b", Verdict::Unproven);
        let rule = Some("unknown-callable".to_owned());
        let both = Ignore { rule: rule.clone(), sha256: Some("AB".into()), ..Ignore::default() };
        assert!(both.covers(&ignored, "x", Some("ab")));
        assert!(!both.covers(&ignored, "x", Some("cd")) && !both.covers(&ignored, "x", None));
        assert!(!Ignore { rule, path: PathPattern::new("y").ok(), ..Ignore::default() }.covers(&ignored, "x", None));
        assert!(!Ignore::default().covers(&ignored, "x", None));
    }

    #[test]
    fn a_baseline_covers_a_fingerprint_as_often_as_it_was_there() {
        let baseline = BTreeMap::from([("f".to_owned(), 3)]);
        let policy = Policy { baseline, ..Policy::default() };
        let one = |count| Finding { fingerprint: "f".into(), count, ..finding("os.system", Verdict::Dangerous) };
        let covered = |mut findings: Vec<Finding>| {
            policy.apply(&mut findings, "x", None);
            findings.iter().map(|finding| finding.suppressed.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(covered(vec![one(0), one(1), one(0)]), [true, true, false]);
        assert_eq!(covered(vec![one(0), one(2)]), [true, false]);
        assert_eq!(covered(vec![Finding { fingerprint: "g".into(), ..one(0) }]), [false]);
    }
}
