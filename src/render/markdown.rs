//! A scan report as Markdown, for the summary of a job or a comment: the verdict first.
//!
//! All that comes from a file stands in code, where neither links nor mentions nor HTML are made of it.

use super::{Look, escape, place};
use scanner::report::Report;
use scanner::{Finding, Severity};
use std::fmt::Write as _;
use std::io::{self, Write};

/// The summary of a step may take 1 MiB, and is dropped whole beyond: some room stays for others.
const MAX_BYTES: usize = 900 << 10;

pub(super) fn write(report: &Report, look: Look<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut text = head(report, look);
    let (findings, _) = place::gravest(report, usize::MAX, look.show_suppressed);
    let mut left = 0;
    for (artifact, finding) in findings {
        let part = section(&artifact.path, finding);
        if left > 0 || text.len() + part.len() > MAX_BYTES {
            left += 1;
        } else {
            text.push_str(&part);
        }
    }
    if left > 0 {
        _ = writeln!(text, "{left} more findings have no room here.\n");
    }
    let mut unread = String::new();
    for artifact in report.artifacts.iter().filter(|artifact| artifact.is_incomplete()) {
        for part in &artifact.not_read {
            let place = place::shown(&artifact.path, part.member.as_deref());
            _ = writeln!(unread, "- {}: {}", code(&place), code(&part.reason));
        }
    }
    for error in &report.errors {
        _ = writeln!(unread, "- {}: {}", code(&error.path), code(&error.message));
    }
    if !unread.is_empty() {
        let room = MAX_BYTES.saturating_sub(text.len()).max(64 << 10);
        let kept = unread.split_inclusive('\n').scan(0, |sum, line| {
            *sum += line.len();
            (*sum <= room).then_some(line)
        });
        let kept: String = kept.collect();
        let cut = unread.lines().count() - kept.lines().count();
        _ = writeln!(text, "## Not read\n\n{kept}");
        if cut > 0 {
            _ = writeln!(text, "{cut} more have no room here.");
        }
    }
    write!(out, "{}", text.trim_end())?;
    writeln!(out)
}

fn head(report: &Report, look: Look<'_>) -> String {
    if let Some(since) = look.since.filter(|_| place::nothing_known(report, look).is_some()) {
        return format!(
            "# modelscan: nothing to scan\n\nNothing of a known format has changed since {}.\n\n",
            code(since)
        );
    }
    let sum = &report.summary;
    let accepted = report.artifacts.iter().flat_map(|artifact| &artifact.findings);
    let accepted = accepted.filter(|finding| finding.suppressed.is_some()).count();
    let mut text = format!("# modelscan: {}\n\n| files | | \n|---|--:|\n", place::verdict(report));
    text = text.replace("| files | | \n", "| files | |\n");
    for (words, count) in [
        ("dangerous", sum.dangerous),
        ("unproven", sum.unproven),
        ("clean", sum.clean),
        ("not scanned", sum.not_scanned),
        ("with errors", report.errors.len() as u64),
        ("findings accepted", accepted as u64),
    ] {
        if count > 0 {
            _ = writeln!(text, "| {words} | {count} |");
        }
    }
    text.push('\n');
    if let Some(unverified) = place::unverified(report) {
        _ = writeln!(text, "{unverified}.\n");
    }
    text
}

fn section(path: &str, finding: &Finding) -> String {
    let (level, rule) = (finding.severity.as_str(), finding.rule);
    let mark = match finding.severity {
        _ if finding.suppressed.is_some() => "⚪",
        Severity::Critical | Severity::High => "🔴",
        Severity::Medium => "🟠",
        Severity::Low => "🟡",
        Severity::Info => "🔵",
    };
    let mut text = format!("## {mark} {rule} ({level})\n\n{}\n\n", code(&finding.message));
    let at = finding.offset.map(|offset| format!(", byte {offset:#x}")).unwrap_or_default();
    _ = writeln!(text, "- where: {}{at}", code(&place::shown(path, finding.member.as_deref())));
    for (name, note) in [("evidence", &finding.evidence), ("accepted", &finding.suppressed)] {
        if let Some(note) = note {
            _ = writeln!(text, "- {name}: {}", code(note));
        }
    }
    if finding.count > 0 {
        _ = writeln!(text, "- {} more like this in this file", finding.count);
    }
    if let Some(help) = &finding.help {
        _ = writeln!(text, "- what to do: {help}");
    }
    text.push('\n');
    listing(finding, &mut text);
    text
}

/// The annotated listing in a fence. Each line starts with an offset, so none can close it.
pub(super) fn listing(finding: &Finding, text: &mut String) {
    if finding.lines.is_empty() {
        return;
    }
    text.push_str("```text\n");
    for line in &finding.lines {
        _ = write!(text, "{:#06x} {}", line.offset, escape::text(&line.text));
        if let Some(note) = &line.note {
            _ = write!(text, "  <- {}", escape::text(note));
        }
        text.push('\n');
    }
    text.push_str("```\n\n");
}

/// A name as code on one line, in a table too.
pub(super) fn code(raw: &str) -> String {
    let text = escape::text(raw).replace('`', "\\u{60}").replace('|', "\\u{7c}");
    format!("`{}`", if text.trim().is_empty() { "\\u{20}" } else { &text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_code() {
        assert_eq!(code("a`b|<img>@all\n# x"), "`a\\u{60}b\\u{7c}<img>@all\\n# x`");
        assert_eq!(code(""), "`\\u{20}`");
    }
}
