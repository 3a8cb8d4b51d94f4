//! A scan report as JUnit XML for Jenkins and GitLab: a test case for each file. It fails if a finding fails the gate, is an error if part
//! of the file could not be read, and is skipped if the format is unknown.

use super::location;
use super::options::RenderOptions;
use crate::escape;
use scanner::report::{ArtifactReport, Report};
use std::fmt::Write as _;
use std::io::{self, Write};

pub(super) fn write(report: &Report, options: RenderOptions<'_>, out: &mut dyn Write) -> io::Result<()> {
    let states: Vec<_> = report.artifacts.iter().map(|artifact| CaseState::of_artifact(artifact, options)).collect();
    let count = |state| states.iter().filter(|one| **one == state).count();
    let errors = count(CaseState::NotRead) + report.errors.len();
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{errors}\"",
        states.len() + report.errors.len(),
        count(CaseState::Failed)
    );
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"modelscan\" {counts}>")?;
    writeln!(out, "  <testsuite name=\"modelscan\" {counts} skipped=\"{}\">", count(CaseState::Unknown))?;
    for (artifact, state) in report.artifacts.iter().zip(states) {
        case(artifact, state, options, out)?;
    }
    for error in &report.errors {
        let (path, message) =
            (escape_xml(&location::relative(&error.path, options.working_dir)), escape_xml(&error.message));
        writeln!(out, "    <testcase classname=\"modelscan\" name=\"{path}\">")?;
        writeln!(out, "      <error type=\"error\" message=\"{message}\"/>\n    </testcase>")?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CaseState {
    Passed,
    Failed,
    NotRead,
    Unknown,
}

impl CaseState {
    /// As for the exit code, a finding comes before unread parts.
    fn of_artifact(artifact: &ArtifactReport, options: RenderOptions<'_>) -> Self {
        let fails = |finding: &scanner::Finding| finding.suppressed.is_none() && finding.severity >= options.fail_on;
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

fn case(
    artifact: &ArtifactReport,
    state: CaseState,
    options: RenderOptions<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let path = location::relative(&artifact.path, options.working_dir);
    write!(
        out,
        "    <testcase classname=\"modelscan.{}\" name=\"{}\"",
        escape_xml(artifact.format),
        escape_xml(&path)
    )?;
    let (text, unread) = (findings(artifact), not_read(artifact));
    if state == CaseState::Passed && text.is_empty() {
        return writeln!(out, "/>");
    }
    writeln!(out, ">")?;
    match state {
        CaseState::Failed => {
            let findings = artifact.findings.iter().filter(|finding| finding.suppressed.is_none());
            // The first of the most severe.
            let worst = findings.rev().max_by_key(|finding| finding.severity);
            let (rule, message) = worst.map_or(("", ""), |finding| (finding.rule, finding.message.as_str()));
            let (rule, message) = (escape_xml(rule), escape_xml(message));
            writeln!(out, "      <failure type=\"{rule}\" message=\"{message}\">{text}</failure>")?;
            if !unread.is_empty() {
                writeln!(out, "      <system-err>{unread}</system-err>")?;
            }
        }
        CaseState::NotRead => {
            writeln!(out, "      <error type=\"not-read\" message=\"not all of it could be read\">{unread}</error>")?;
        }
        CaseState::Unknown => writeln!(out, "      <skipped message=\"no known format\"/>")?,
        CaseState::Passed => {}
    }
    if state != CaseState::Failed && !text.is_empty() {
        writeln!(out, "      <system-out>{text}</system-out>")?;
    }
    writeln!(out, "    </testcase>")
}

fn findings(artifact: &ArtifactReport) -> String {
    let mut text = String::new();
    for finding in &artifact.findings {
        let at = finding.offset.map(|offset| format!(" byte {offset:#x}")).unwrap_or_default();
        let (level, rule) = (finding.severity.as_str(), finding.rule);
        let path = location::display_path(&artifact.path, finding.member.as_deref());
        _ = write!(text, "\n{level}[{rule}]: {}\n  in {}{at}", escape_xml(&finding.message), escape_xml(&path));
        let accepted = finding.suppressed.as_ref();
        for (name, note) in
            [("evidence", finding.evidence.as_ref()), ("accepted", accepted), ("help", finding.help.as_ref())]
        {
            if let Some(note) = note {
                _ = write!(text, "\n  {name}: {}", escape_xml(note));
            }
        }
    }
    text
}

fn not_read(artifact: &ArtifactReport) -> String {
    let mut text = String::new();
    for part in &artifact.not_read {
        let path = location::display_path(&artifact.path, part.member.as_deref());
        _ = write!(text, "\n{} was not read: {}", escape_xml(&path), escape_xml(&part.reason));
    }
    text
}

/// Escapes text for XML. Characters that XML forbids even when escaped are replaced by `escape` before.
fn escape_xml(raw: &str) -> String {
    let text = escape::text(raw).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_attribute() {
        assert_eq!(escape_xml("\"/><a>&\u{0}\u{b}\u{ffff}]]>"), "&quot;/&gt;&lt;a&gt;&amp;\\u{0}\\u{b}\\u{ffff}]]&gt;");
    }
}
