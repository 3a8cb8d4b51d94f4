//! A scan report as JUnit XML, as Jenkins and GitLab read it: a test case for each file. One fails when a finding
//! fails the gate, is an error when something of it could not be read, and is skipped when no format claims it.

use super::{Look, escape, place};
use scanner::report::{ArtifactReport, Report};
use std::fmt::Write as _;
use std::io::{self, Write};

pub(super) fn write(report: &Report, look: Look<'_>, out: &mut dyn Write) -> io::Result<()> {
    let states: Vec<_> = report.artifacts.iter().map(|artifact| State::of(artifact, look)).collect();
    let count = |state| states.iter().filter(|one| **one == state).count();
    let errors = count(State::NotRead) + report.errors.len();
    let numbers = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{errors}\"",
        states.len() + report.errors.len(),
        count(State::Failed)
    );
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"modelscan\" {numbers}>")?;
    writeln!(out, "  <testsuite name=\"modelscan\" {numbers} skipped=\"{}\">", count(State::Unknown))?;
    for (artifact, state) in report.artifacts.iter().zip(states) {
        case(artifact, state, look, out)?;
    }
    for error in &report.errors {
        let (path, message) = (xml(&place::relative(&error.path, look.base)), xml(&error.message));
        writeln!(out, "    <testcase classname=\"modelscan\" name=\"{path}\">")?;
        writeln!(out, "      <error type=\"error\" message=\"{message}\"/>\n    </testcase>")?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Passed,
    Failed,
    NotRead,
    Unknown,
}

impl State {
    /// As with the exit code, a finding goes before what could not be read.
    fn of(artifact: &ArtifactReport, look: Look<'_>) -> Self {
        let fails = |finding: &scanner::Finding| finding.suppressed.is_none() && finding.severity >= look.fail_on;
        if artifact.findings.iter().any(fails) {
            Self::Failed
        } else if artifact.is_incomplete() {
            Self::NotRead
        } else if artifact.is_unknown() {
            Self::Unknown
        } else {
            Self::Passed
        }
    }
}

fn case(artifact: &ArtifactReport, state: State, look: Look<'_>, out: &mut dyn Write) -> io::Result<()> {
    let path = place::relative(&artifact.path, look.base);
    write!(out, "    <testcase classname=\"modelscan.{}\" name=\"{}\"", xml(artifact.format), xml(&path))?;
    let (said, unread) = (findings(artifact), not_read(artifact));
    if state == State::Passed && said.is_empty() {
        return writeln!(out, "/>");
    }
    writeln!(out, ">")?;
    match state {
        State::Failed => {
            let gravest = artifact.findings.iter().filter(|finding| finding.suppressed.is_none());
            // The first of the gravest.
            let gravest = gravest.rev().max_by_key(|finding| finding.severity);
            let (rule, message) = gravest.map_or(("", ""), |finding| (finding.rule, finding.message.as_str()));
            let (rule, message) = (xml(rule), xml(message));
            writeln!(out, "      <failure type=\"{rule}\" message=\"{message}\">{said}</failure>")?;
            if !unread.is_empty() {
                writeln!(out, "      <system-err>{unread}</system-err>")?;
            }
        }
        State::NotRead => {
            writeln!(out, "      <error type=\"not-read\" message=\"not all of it could be read\">{unread}</error>")?;
        }
        State::Unknown => writeln!(out, "      <skipped message=\"no known format\"/>")?,
        State::Passed => {}
    }
    if state != State::Failed && !said.is_empty() {
        writeln!(out, "      <system-out>{said}</system-out>")?;
    }
    writeln!(out, "    </testcase>")
}

fn findings(artifact: &ArtifactReport) -> String {
    let mut text = String::new();
    for finding in &artifact.findings {
        let at = finding.offset.map(|offset| format!(" byte {offset:#x}")).unwrap_or_default();
        let (level, rule) = (finding.severity.as_str(), finding.rule);
        let place = place::shown(&artifact.path, finding.member.as_deref());
        _ = write!(text, "\n{level}[{rule}]: {}\n  in {}{at}", xml(&finding.message), xml(&place));
        let accepted = finding.suppressed.as_ref();
        for (name, note) in
            [("evidence", finding.evidence.as_ref()), ("accepted", accepted), ("help", finding.help.as_ref())]
        {
            if let Some(note) = note {
                _ = write!(text, "\n  {name}: {}", xml(note));
            }
        }
    }
    text
}

fn not_read(artifact: &ArtifactReport) -> String {
    let mut text = String::new();
    for part in &artifact.not_read {
        let place = place::shown(&artifact.path, part.member.as_deref());
        _ = write!(text, "\n{} was not read: {}", xml(&place), xml(&part.reason));
    }
    text
}

/// Text in XML. What XML forbids even when it is escaped is spelled out by `escape` before.
fn xml(raw: &str) -> String {
    let text = escape::text(raw).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(xml("\"/><a>&\u{0}\u{b}\u{ffff}]]>"), "&quot;/&gt;&lt;a&gt;&amp;\\u{0}\\u{b}\\u{ffff}]]&gt;");
    }
}
