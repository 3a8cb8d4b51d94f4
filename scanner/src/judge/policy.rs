//! What the user decided: what fails the gate, and which findings are known and accepted, each with a reason.
//!
//! A policy silences, it never absolves: a finding it names stays in the report, marked, and the verdict of the
//! artifact stays what it was. Nothing here can make an artifact clean.

use crate::judge::finding::{Finding, Severity, Verdict};
use std::collections::BTreeMap;

/// The reason that stands under a finding of the baseline.
pub const IN_BASELINE: &str = "in the baseline";

/// The rule of what was not read: in no baseline.
pub const NOT_READ: &str = "not-fully-read";

/// The user's decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Findings from this severity up fail the gate.
    pub fail_on: Severity,
    /// Callables that are accepted although they are not known to be inert.
    pub allow: Vec<AllowCallable>,
    /// Findings that are accepted.
    pub ignore: Vec<Ignore>,
    /// Fingerprints that were there before, and how often.
    pub baseline: BTreeMap<String, u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { fail_on: Severity::Medium, allow: Vec::new(), ignore: Vec::new(), baseline: BTreeMap::new() }
    }
}

/// A callable that is accepted: exactly this pair, nothing that only looks like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowCallable {
    /// Its module.
    pub module: String,
    /// Its name in that module.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Findings that are accepted. All of the conditions that are set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ignore {
    /// Id of the rule.
    pub rule: Option<String>,
    /// Pattern for the path: `*` and `?` within a name, `**` across folders; it matches whole names from the right.
    pub path: Option<String>,
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
    /// Whether it accepts the finding. What is known to do harm is not accepted this way: that takes an `ignore`.
    pub fn covers(&self, finding: &Finding) -> bool {
        let named = finding.callable.as_deref().and_then(|callable| callable.strip_prefix(self.module.as_str()));
        finding.verdict < Verdict::Dangerous
            && named.and_then(|rest| rest.strip_prefix('.')).is_some_and(|name| name == self.name)
    }
}

impl Ignore {
    /// Whether it accepts a finding in the file at `path`. Without a hash, a condition on the hash does not hold.
    pub fn covers(&self, finding: &Finding, path: &str, sha256: Option<&str>) -> bool {
        let equal = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found.is_some_and(|found| wanted.eq_ignore_ascii_case(found)))
        };
        let some = self.rule.is_some() || self.path.is_some() || self.sha256.is_some() || self.callable.is_some();
        some && self.rule.as_deref().is_none_or(|rule| rule == finding.rule)
            && self.callable.as_deref().is_none_or(|callable| finding.callable.as_deref() == Some(callable))
            && equal(&self.sha256, sha256)
            && self.path.as_deref().is_none_or(|pattern| path_matches(pattern, path))
    }
}

impl Policy {
    /// Whether the hash of each file is needed to decide.
    pub fn needs_sha256(&self) -> bool {
        self.ignore.iter().any(|ignore| ignore.sha256.is_some())
    }

    /// Marks what the user accepted in the findings of one file. The first decision that fits gives the reason.
    pub fn apply(&self, findings: &mut [Finding], path: &str, sha256: Option<&str>) {
        for finding in findings.iter_mut() {
            let ignored = self.ignore.iter().find(|ignore| ignore.covers(finding, path, sha256)).map(|i| &i.reason);
            let allowed = || self.allow.iter().find(|allow| allow.covers(finding)).map(|allow| &allow.reason);
            if let Some(reason) = ignored.or_else(allowed) {
                finding.suppressed = Some(reason.clone());
            }
        }
        self.apply_baseline(findings);
    }

    /// As often as the fingerprint was there before. A finding that stands for others that are not listed counts as
    /// all of them: what is new must not hide behind what is known. What was not read is never known.
    fn apply_baseline(&self, findings: &mut [Finding]) {
        let mut used: BTreeMap<&str, u64> = BTreeMap::new();
        for finding in findings.iter_mut().filter(|finding| finding.suppressed.is_none() && finding.rule != NOT_READ) {
            let Some((print, there)) = self.baseline.get_key_value(&finding.fingerprint) else { continue };
            let used = used.entry(print).or_default();
            let with = used.saturating_add(finding.count).saturating_add(1);
            if with <= *there {
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

/// Matches whole names from the right, as gitignore does: `*.pt` matches in any folder, `/a/*.pt` only there.
fn path_matches(pattern: &str, path: &str) -> bool {
    let path = path.strip_prefix("./").unwrap_or(path).as_bytes();
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern).as_bytes();
    let starts = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
    std::iter::once(0).chain(starts).any(|start| glob(pattern, path.get(start..).unwrap_or_default()))
}

/// `*` is any run within a name, `**` any run, `?` any one byte of a name. Backs up to the last star of each kind
/// only, so the cost is at most the product of both lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut deep: Option<(usize, usize)> = None;
    loop {
        let (want, have) = (pattern.get(p).copied(), text.get(t).copied());
        match (want, have) {
            (None, None) => return true,
            (Some(b'*'), _) if pattern.get(p + 1) == Some(&b'*') => {
                p += 2;
                (deep, star) = (Some((p, t)), None);
            }
            (Some(b'*'), _) => {
                p += 1;
                star = Some((p, t));
            }
            (Some(want), Some(have)) if want == have || (want == b'?' && have != b'/') => {
                p += 1;
                t += 1;
            }
            _ => {
                let further = |from: Option<(usize, usize)>, across: bool| {
                    from.filter(|(_, at)| text.get(*at).is_some_and(|byte| across || *byte != b'/'))
                        .map(|(after, at)| (after, at + 1))
                };
                if let Some(next) = further(star, false) {
                    star = Some(next);
                    (p, t) = next;
                } else if let Some(next) = further(deep, true) {
                    (deep, star) = (Some(next), None);
                    (p, t) = next;
                } else {
                    return false;
                }
            }
        }
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
    fn what_is_known_to_do_harm_cannot_be_allowed_only_ignored() {
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
        assert!(!Ignore { rule, path: Some("y".into()), ..Ignore::default() }.covers(&ignored, "x", None));
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

    #[test]
    fn patterns_match_whole_names_from_the_right() {
        for (pattern, path) in [
            ("*.pt", "a/b.pt"),
            ("b.pt", "a/b.pt"),
            ("a/*.pt", "./a/b.pt"),
            ("a/**", "a/b/c.pt"),
            ("a/**/d?.pt", "x/a/b/c/d1.pt"),
            ("**", "a/b"),
            ("/m/*.pt", "/m/a.pt"),
        ] {
            assert!(path_matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("b.pt", "ab.pt"), ("a/*", "a/b/c"), ("*.pt", "a.pt/b"), ("?", "ab"), ("", "a"), ("/m/*.pt", "x/m/a.pt2")]
        {
            assert!(!path_matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_of_stars_takes_no_time() {
        let (pattern, path) = ("*a".repeat(50) + "b", "a".repeat(5_000));
        assert!(!path_matches(&pattern, &path));
    }
}
