//! The report on a file: its findings, its verdict, and the parts that were not read.

use crate::finding::{Finding, Line, RawFinding, Verdict, fingerprint};
use crate::io::bounds::judge::{MAX_EXCERPTS, MAX_OPCODES_AFTER, MAX_OPCODES_BEFORE};
use crate::io::limits::Limits;
use crate::judge::decide::facts;
use crate::judge::report::{ArtifactReport, EMPTY_FORMAT, NotRead, UNKNOWN_FORMAT};
use crate::judge::rule::rules;
use crate::observe::examined::{Examination, ExaminedArtifact};
use crate::pickle::listing;
use std::collections::{HashMap, HashSet};

/// The report on an examined file. The policy of the user is applied later and changes no verdict.
pub fn judge_artifact(examination: &Examination, path: &str, limits: &Limits) -> ArtifactReport {
    let root = examination.artifacts.first();
    let size = root.map_or(0, |root| root.size);
    let mut findings = Vec::new();
    let mut not_read = Vec::new();
    for examined in &examination.artifacts {
        let member = examined.member_path.path();
        let mut shown = 0;
        for (raw_finding, stream) in raw_findings(examined) {
            let mut finding = with_place(raw_finding, path, member, stream);
            // Each excerpt decodes from the start of its stream: the first ones of a member are what people read.
            if shown < MAX_EXCERPTS {
                shown += 1;
                add_excerpt(examined, stream, &mut finding);
            }
            findings.push(finding);
        }
        not_read.extend(examined.unread.iter().map(|(offset, why)| NotRead {
            member: member.map(str::to_owned),
            offset: *offset,
            reason: why.to_string(),
        }));
    }
    let format = root.and_then(|root| root.format).unwrap_or(if size == 0 { EMPTY_FORMAT } else { UNKNOWN_FORMAT });
    let worst = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Clean);
    let mut verdict = worst;
    if matches!(format, UNKNOWN_FORMAT | EMPTY_FORMAT) && worst <= Verdict::NotScanned {
        let reason = if size == 0 { "an empty file" } else { "not a format that is known" };
        if not_read.is_empty() {
            not_read.push(NotRead { member: None, offset: None, reason: reason.to_owned() });
        }
        verdict = Verdict::NotScanned;
    }
    let findings = cap_by_rule(findings, limits.findings);
    ArtifactReport { path: path.to_owned(), format, size, verdict, sha256: None, lfs: None, findings, not_read }
}

fn raw_findings(examined: &ExaminedArtifact) -> Vec<(RawFinding, Option<u64>)> {
    let facts = examined.facts.iter().filter_map(|(at, fact)| Some((facts::finding_on_fact(*at, fact)?, None)));
    let unread = examined.unread.iter().map(|(at, why)| (facts::finding_on_unread(*at, why), None));
    let mut first = (0, 0);
    let streams = examined.pickles.iter().enumerate().flat_map(|(index, stream)| {
        // Further readings of a stream start where the first one did, and have mostly the same findings.
        if stream.trace.start > first.1 {
            first = (index, stream.trace.start);
        }
        let index = first.0;
        stream.raw_findings.iter().map(move |raw_finding| (raw_finding.clone(), Some(index as u64)))
    });
    let mut reported = HashSet::new();
    facts.chain(unread).chain(streams).filter(|finding| reported.insert(finding.clone())).collect()
}

fn with_place(raw_finding: RawFinding, path: &str, member: Option<&str>, stream: Option<u64>) -> Finding {
    let help = rules().iter().find(|rule| rule.id == raw_finding.rule).map(|rule| rule.help.to_owned());
    Finding {
        fingerprint: fingerprint(raw_finding.rule, path, member, raw_finding.callable.as_deref(), stream),
        rule: raw_finding.rule,
        severity: raw_finding.severity,
        member: member.map(str::to_owned),
        stream,
        offset: raw_finding.at,
        callable: raw_finding.callable,
        evidence: raw_finding.evidence,
        message: raw_finding.message,
        help,
        verdict: raw_finding.verdict,
        suppressed: None,
        count: raw_finding.count,
        lines: Vec::new(),
    }
}

/// Adds the opcodes around a finding in a pickle.
fn add_excerpt(examined: &ExaminedArtifact, stream: Option<u64>, finding: &mut Finding) {
    let (Some(_), Some(at)) = (stream, finding.offset) else { return };
    let within = |start: u64, length: u64| start <= at && at < start + length.max(1);
    let Some(stream) = examined.pickles.iter().find(|stream| within(stream.trace.start, stream.trace.length)) else {
        return;
    };
    let lines = listing::excerpt(&stream.trace.source, stream.trace.start, at, MAX_OPCODES_BEFORE, MAX_OPCODES_AFTER);
    finding.lines = lines
        .into_iter()
        .map(|(offset, text)| {
            let note = (offset == at).then(|| finding.evidence.clone().or_else(|| finding.callable.clone())).flatten();
            Line { offset, text, note }
        })
        .collect();
}

/// Keeps at most `limit` findings of each rule. The last one that is kept counts the others.
fn cap_by_rule(findings: Vec<Finding>, limit: usize) -> Vec<Finding> {
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
