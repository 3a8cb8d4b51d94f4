//! From what was seen to what is said: findings, a verdict, and what was not read.

use crate::examine::{Examination, Looked};
use crate::io::limits::Limits;
use crate::judge::finding::{Concern, Finding, Verdict, fingerprint};
use crate::judge::report::{ArtifactReport, NotRead, UNKNOWN_FORMAT};
use crate::judge::rule::{facts, rules};
use crate::pickle::listing;
use std::collections::{HashMap, HashSet};

const EXCERPTS: usize = 8;

/// Judges a file. The findings are raw: what the user's policy says of them comes after.
pub fn judge(examination: &Examination, path: &str, limits: &Limits) -> ArtifactReport {
    let root = examination.looked.first();
    let size = root.map_or(0, |root| root.size);
    let mut findings = Vec::new();
    let mut not_read = Vec::new();
    for looked in &examination.looked {
        let member = looked.chain.path();
        let mut shown = 0;
        for (concern, stream) in concerns(looked) {
            let mut finding = finding(concern, path, member, stream);
            // Each excerpt decodes from the start of its stream: the first ones of a member are what people read.
            if shown < EXCERPTS {
                shown += 1;
                excerpt(looked, stream, &mut finding);
            }
            findings.push(finding);
        }
        not_read.extend(looked.unread.iter().map(|(offset, why)| NotRead {
            member: member.map(str::to_owned),
            offset: *offset,
            reason: why.to_string(),
        }));
    }
    let format = root.and_then(|root| root.format).unwrap_or(if size == 0 { "empty" } else { UNKNOWN_FORMAT });
    let worst = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Clean);
    let mut verdict = worst;
    if matches!(format, UNKNOWN_FORMAT | "empty") && worst <= Verdict::NotScanned {
        let reason = if size == 0 { "an empty file" } else { "not a format that is known" };
        if not_read.is_empty() {
            not_read.push(NotRead { member: None, offset: None, reason: reason.to_owned() });
        }
        verdict = Verdict::NotScanned;
    }
    let findings = cap(findings, limits.findings);
    ArtifactReport { path: path.to_owned(), format, size, verdict, sha256: None, lfs: None, findings, not_read }
}

fn concerns(looked: &Looked) -> Vec<(Concern, Option<u64>)> {
    let facts = looked.facts.iter().filter_map(|(at, fact)| Some((facts::fact(*at, fact)?, None)));
    let unread = looked.unread.iter().map(|(at, why)| (facts::unread(*at, why), None));
    let mut first = (0, 0);
    let streams = looked.pickles.iter().enumerate().flat_map(|(index, heard)| {
        // The lossy and the plain reading of a stream start where the first one did, and say mostly the same.
        if heard.trace.start > first.1 {
            first = (index, heard.trace.start);
        }
        let index = first.0;
        heard.concerns.iter().map(move |concern| (concern.clone(), Some(index as u64)))
    });
    let mut said = HashSet::new();
    facts.chain(unread).chain(streams).filter(|one| said.insert(one.clone())).collect()
}

fn finding(concern: Concern, path: &str, member: Option<&str>, stream: Option<u64>) -> Finding {
    let help = rules().iter().find(|rule| rule.id == concern.rule).map(|rule| rule.help.to_owned());
    Finding {
        fingerprint: fingerprint(concern.rule, path, member, concern.callable.as_deref(), stream),
        rule: concern.rule,
        severity: concern.severity,
        member: member.map(str::to_owned),
        stream,
        offset: concern.at,
        callable: concern.callable,
        evidence: concern.evidence,
        message: concern.message,
        help,
        verdict: concern.verdict,
        suppressed: None,
        count: concern.count,
        lines: Vec::new(),
    }
}

/// The listing around a finding in a pickle.
fn excerpt(looked: &Looked, stream: Option<u64>, finding: &mut Finding) {
    let (Some(_), Some(at)) = (stream, finding.offset) else { return };
    let within = |start: u64, length: u64| start <= at && at < start + length.max(1);
    let Some(heard) = looked.pickles.iter().find(|heard| within(heard.trace.start, heard.trace.length)) else { return };
    let lines = listing::excerpt(&heard.trace.source, heard.trace.start, at, 3, 1);
    finding.lines = lines
        .into_iter()
        .map(|(offset, text)| {
            let note = (offset == at).then(|| finding.evidence.clone().or_else(|| finding.callable.clone())).flatten();
            crate::judge::finding::Line { offset, text, note }
        })
        .collect();
}

/// At most so many findings of a rule; the last one that stays counts the others.
fn cap(findings: Vec<Finding>, limit: usize) -> Vec<Finding> {
    let mut counts: HashMap<&'static str, (usize, usize)> = HashMap::new();
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        let (count, last) = counts.entry(finding.rule).or_insert((0, 0));
        *count += 1;
        if *count <= limit {
            *last = kept.len();
            kept.push(finding);
        } else if let Some(last) = kept.get_mut(*last) {
            last.count += 1;
        }
    }
    kept
}
