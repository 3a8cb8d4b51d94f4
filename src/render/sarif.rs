//! A scan report as SARIF 2.1.0, as GitHub's code scanning reads it.
//!
//! Code scanning needs a line for each result, and binary files have none: each result is at line 1, with its byte offset if that is
//! one of the file itself; an offset within a member is in a related location. Code scanning ignores suppressions, so accepted
//! findings are written only with `--show-suppressed`. It sorts alerts by a number of the rule, and recognizes them by a
//! fingerprint, which it would otherwise compute from source lines.

use super::location;
use super::options::RenderOptions;
use crate::escape;
use scanner::report::{ArtifactReport, NotRead, Report};
use scanner::{Finding, Severity};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Results that code scanning accepts in a run.
const MAX_RESULTS: usize = 25_000;
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn write(report: &Report, options: RenderOptions<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut files = ArtifactIndex::new(report, options);
    let (mut kept, total) = location::most_severe(report, MAX_RESULTS, options.show_suppressed);
    // In the order of the report again.
    kept.sort_by(|a, b| (&a.0.path, sort_key(a.1)).cmp(&(&b.0.path, sort_key(b.1))));
    let suppressed = kept.iter().any(|(_, finding)| finding.suppressed.is_some());
    let mut seen = HashMap::new();
    let results: Vec<Value> = kept
        .iter()
        .map(|(artifact, finding)| {
            let nth = seen.entry(finding.fingerprint.as_str()).and_modify(|nth| *nth += 1).or_insert(1);
            result(artifact, finding, *nth, suppressed, &mut files)
        })
        .collect();
    let notifications = notifications(report, total, &files);
    let run = json!({
        "tool": {"driver": {
            "name": report.tool.name, "version": report.tool.version, "semanticVersion": report.tool.version,
            "rules": scanner::rules().iter().map(rule).collect::<Vec<_>>(),
            "notifications": [{"id": "error"}, {"id": "not-read"}, {"id": "results-cut"}],
        }},
        "automationDetails": {"id": "modelscan/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [{
            "executionSuccessful": report.errors.is_empty(),
            "toolExecutionNotifications": notifications,
        }],
        "artifacts": files.artifacts,
        "results": results,
        "properties": {"verdict": report.verdict, "summary": report.summary},
    });
    let log = json!({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]});
    writeln!(out, "{}", escape::json(&serde_json::to_string_pretty(&log)?))
}

fn sort_key(finding: &Finding) -> impl Ord + '_ {
    (finding.member.as_deref(), finding.offset, finding.rule, finding.callable.as_deref(), finding.message.as_str())
}

/// The number that sorts alerts, fixed for a rule: from 9 critical, from 7 high, from 4 medium.
fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "3.0",
        Severity::Info => "0.5",
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Low => "warning",
        Severity::Info => "note",
    }
}

fn rule(meta: &scanner::RuleInfo) -> Value {
    let scanner::RuleInfo { id, severity, summary, why, example, help } = meta;
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    // A callable that the scanner does not know may be harmless.
    let precision = if *severity >= Severity::High { "high" } else { "medium" };
    json!({
        "id": id,
        "name": id,
        "shortDescription": {"text": summary},
        "fullDescription": {"text": why.chars().take(1_000).collect::<String>()},
        "help": {
            "text": format!("{why}\n\nExample:\n{example}\n\nWhat to do: {help}"),
            "markdown": format!("{why}\n\n```text\n{example}\n```\n\n**What to do.** {help}"),
        },
        "defaultConfiguration": {"level": level(*severity)},
        "properties": {
            "tags": ["security", "machine-learning", "supply-chain"],
            "precision": precision,
            "security-severity": security_severity(*severity),
        },
    })
}

/// The files and members that results point to.
struct ArtifactIndex<'a> {
    options: RenderOptions<'a>,
    artifacts: Vec<Value>,
    roots: HashMap<String, usize>,
    members: BTreeMap<(usize, String), usize>,
}

impl<'a> ArtifactIndex<'a> {
    fn new(report: &Report, options: RenderOptions<'a>) -> Self {
        let mut files = Self { options, artifacts: Vec::new(), roots: HashMap::new(), members: BTreeMap::new() };
        for artifact in &report.artifacts {
            let mut entry = json!({
                "location": {"uri": location::uri(&artifact.path, options.working_dir)},
                "length": artifact.size,
                "roles": ["analysisTarget"],
                "properties": {"format": artifact.format, "verdict": artifact.verdict, "lfs": artifact.lfs},
            });
            if let (Some(hash), Some(entry)) = (&artifact.sha256, entry.as_object_mut()) {
                entry.insert("hashes".to_owned(), json!({"sha-256": hash}));
            }
            files.roots.insert(artifact.path.clone(), files.artifacts.len());
            files.artifacts.push(entry);
        }
        files
    }

    fn root(&self, path: &str) -> Option<usize> {
        self.roots.get(path).copied()
    }

    /// The index of a member. Adds it, with all containers around it, if it is new.
    fn member(&mut self, path: &str, member: &str) -> Option<usize> {
        let mut index = self.root(path)?;
        for name in member.split("::") {
            let next = self.members.get(&(index, name.to_owned())).copied();
            index = next.unwrap_or_else(|| {
                let mut uri = String::from("/");
                location::percent_encode(name.trim_start_matches('/'), &mut uri);
                self.artifacts.push(json!({"location": {"uri": uri}, "parentIndex": index}));
                self.members.insert((index, name.to_owned()), self.artifacts.len() - 1);
                self.artifacts.len() - 1
            });
        }
        Some(index)
    }

    fn physical(&self, path: &str, line: u64, offset: Option<u64>) -> Value {
        let mut location = json!({"uri": location::uri(path, self.options.working_dir)});
        if let (Some(index), Some(location)) = (self.root(path), location.as_object_mut()) {
            location.insert("index".to_owned(), json!(index));
        }
        let mut region = json!({"startLine": line, "startColumn": 1, "endLine": line, "endColumn": 1});
        if let (Some(offset), Some(region)) = (offset, region.as_object_mut()) {
            region.insert("byteOffset".to_owned(), json!(offset));
        }
        json!({"artifactLocation": location, "region": region})
    }
}

/// Escapes text that SARIF viewers would show as a link.
fn escape_links(raw: &str) -> String {
    escape::text(raw).replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]")
}

fn result(
    artifact: &ArtifactReport,
    finding: &Finding,
    nth: u64,
    suppressed: bool,
    files: &mut ArtifactIndex<'_>,
) -> Value {
    let index = scanner::rules().iter().position(|rule| rule.id == finding.rule);
    // The offset of a Git LFS object is not one of the pointer file.
    let offset_in_file = if finding.member.is_none() && artifact.lfs.is_none() { finding.offset } else { None };
    let mut location = Map::new();
    location.insert(
        "physicalLocation".to_owned(),
        files.physical(&artifact.path, location::annotation_line(artifact), offset_in_file),
    );
    let mut result = Map::new();
    if let Some(member) = &finding.member {
        let full_name = location::display_path(&artifact.path, Some(member));
        let name = member.rsplit("::").next().unwrap_or(member);
        location.insert(
            "logicalLocations".to_owned(),
            json!([{"name": escape::text(name), "fullyQualifiedName": full_name, "kind": "member"}]),
        );
        if let (Some(index), Some(offset)) = (files.member(&artifact.path, member), finding.offset) {
            let physical = json!({"artifactLocation": {"index": index}, "region": {"byteOffset": offset}});
            result.insert("relatedLocations".to_owned(), json!([{"physicalLocation": physical}]));
        }
    }
    // Equal findings are alerts of their own.
    let fingerprint = if nth == 1 { finding.fingerprint.clone() } else { format!("{}:{nth}", finding.fingerprint) };
    let rest = json!({
        "ruleId": finding.rule,
        "level": level(finding.severity),
        "rank": rank(finding.severity),
        "message": message(artifact, finding),
        "locations": [location],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint, "modelscan/v1": finding.fingerprint},
        "properties": {
            "severity": finding.severity, "member": finding.member, "offset": finding.offset,
            "callable": finding.callable, "evidence": finding.evidence, "count": finding.count,
        },
    });
    if let Value::Object(rest) = rest {
        result.extend(rest);
    }
    if let Some(index) = index {
        result.insert("ruleIndex".to_owned(), json!(index));
    }
    if suppressed {
        // If one result has this property, all have it.
        let suppressions = finding.suppressed.iter();
        let suppressions = suppressions
            .map(|why| json!({"kind": "external", "status": "accepted", "justification": escape_links(why)}));
        result.insert("suppressions".to_owned(), suppressions.collect());
    }
    Value::Object(result)
}

fn rank(severity: Severity) -> f64 {
    match severity {
        Severity::Critical => 95.0,
        Severity::High => 80.0,
        Severity::Medium => 55.0,
        Severity::Low => 30.0,
        Severity::Info => 5.0,
    }
}

/// The first sentence is the title of the alert.
fn message(artifact: &ArtifactReport, finding: &Finding) -> Value {
    let mut text = format!("{}.", escape_links(&finding.message));
    let at = finding.offset.map(|offset| format!(" byte {offset:#x}")).unwrap_or_default();
    let shown = location::display_path(&artifact.path, finding.member.as_deref());
    _ = write!(text, " In {}{at}.", escape_links(&shown));
    if finding.count > 0 {
        _ = write!(text, " {} more like this in this file.", finding.count);
    }
    if let Some(help) = &finding.help {
        _ = write!(text, " What to do: {}.", escape_links(help));
    }
    let mut markdown = String::new();
    for line in std::iter::once(&finding.message).chain(&finding.evidence) {
        _ = writeln!(markdown, "{}\n", super::markdown::code(line));
    }
    _ = writeln!(markdown, "In {}{at}\n", super::markdown::code(&shown));
    super::markdown::listing(finding, &mut markdown);
    if let Some(help) = &finding.help {
        _ = write!(markdown, "What to do: {help}");
    }
    json!({"text": text, "markdown": markdown.trim_end()})
}

/// Errors, unread parts, and results beyond [`MAX_RESULTS`].
fn notifications(report: &Report, total: usize, files: &ArtifactIndex<'_>) -> Vec<Value> {
    let mut all = Vec::new();
    for error in &report.errors {
        let location = json!({"physicalLocation": files.physical(&error.path, 1, None)});
        let text = format!("{}: {}", escape_links(&error.path), escape_links(&error.message));
        all.push(notification("error", "error", text, Some(location)));
    }
    for artifact in report.artifacts.iter().filter(|artifact| artifact.is_incomplete()) {
        for NotRead { member, offset, reason } in &artifact.not_read {
            let offset_in_file = if member.is_none() && artifact.lfs.is_none() { *offset } else { None };
            let location = json!({"physicalLocation": files.physical(&artifact.path, location::annotation_line(artifact), offset_in_file)});
            let shown = location::display_path(&artifact.path, member.as_deref());
            let at = offset.map(|offset| format!(" from byte {offset:#x}")).unwrap_or_default();
            let text = format!("{} was not read{at}: {}", escape_links(&shown), escape_links(reason));
            all.push(notification("not-read", "warning", text, Some(location)));
        }
    }
    if total > MAX_RESULTS {
        let text = format!("{} of {total} findings are left out; the gravest are here", total - MAX_RESULTS);
        all.push(notification("results-cut", "warning", text, None));
    }
    all
}

fn notification(id: &str, level: &str, text: String, location: Option<Value>) -> Value {
    let index = ["error", "not-read", "results-cut"].iter().position(|known| *known == id);
    let locations: Vec<Value> = location.into_iter().collect();
    json!({"descriptor": {"id": id, "index": index}, "level": level, "message": {"text": text}, "locations": locations})
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanner::Verdict;

    #[test]
    fn the_most_severe_results_are_kept_and_the_others_counted() {
        let finding = |index: u64, severity| Finding {
            rule: "unknown-callable",
            severity,
            member: None,
            stream: None,
            offset: Some(index),
            callable: None,
            evidence: None,
            message: "[a](b)".into(),
            help: None,
            fingerprint: format!("{index}"),
            verdict: Verdict::Unproven,
            suppressed: None,
            count: 0,
            lines: Vec::new(),
        };
        let many = MAX_RESULTS as u64 + 2;
        let severity = |index| if index == many - 1 { Severity::Critical } else { Severity::Medium };
        let artifact = ArtifactReport {
            path: "a.pkl".into(),
            format: "pickle",
            size: 1,
            verdict: Verdict::Unproven,
            sha256: None,
            lfs: None,
            findings: (0..many).map(|index| finding(index, severity(index))).collect(),
            not_read: Vec::new(),
        };
        let mut out = Vec::new();
        write(&Report::new(vec![artifact], vec![], 0), RenderOptions::default(), &mut out).expect("memory writes");
        let log: Value = serde_json::from_slice(&out).expect("it is JSON");
        let results = log["runs"][0]["results"].as_array().expect("there are results");
        assert_eq!((results.len(), &results[MAX_RESULTS - 1]["level"]), (MAX_RESULTS, &json!("error")));
        assert_eq!(results[0]["message"]["text"], "\\[a\\](b). In a.pkl byte 0x0.");
        let notification = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
        assert_eq!(notification["message"]["text"], "2 of 25002 findings are left out; the gravest are here");
    }
}
