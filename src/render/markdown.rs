//! A scan report as Markdown, for a job summary or a comment.
//!
//! Text from files is code, in which links, mentions and HTML have no effect.

use super::location;
use super::options::RenderOptions;
use crate::escape;
use scanner::report::Report;
use scanner::{Finding, Severity};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Bytes of the report. GitHub drops a step summary of more than 1 MiB; the rest is for other steps.
const MAX_BYTES: usize = 900 << 10;
/// Bytes for unread parts where findings take all of [`MAX_BYTES`].
const MIN_UNREAD_BYTES: usize = 64 << 10;

pub(super) fn write(report: &Report, options: RenderOptions<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut text = head(report, options);
    let (findings, _) = location::most_severe(report, usize::MAX, options.show_suppressed);
    let mut omitted = 0;
    for (artifact, finding) in findings {
        let part = section(&artifact.path, finding);
        if omitted > 0 || text.len() + part.len() > MAX_BYTES {
            omitted += 1;
        } else {
            text.push_str(&part);
        }
    }
    if omitted > 0 {
        _ = writeln!(text, "{omitted} more findings have no room here.\n");
    }
    let mut unread = String::new();
    for artifact in report.artifacts.iter().filter(|artifact| artifact.is_incomplete()) {
        for part in &artifact.not_read {
            let path = location::display_path(&artifact.path, part.member.as_deref());
            _ = writeln!(unread, "- {}: {}", code(&path), code(&part.reason));
        }
    }
    for error in &report.errors {
        _ = writeln!(unread, "- {}: {}", code(&error.path), code(&error.message));
    }
    if !unread.is_empty() {
        let limit = MAX_BYTES.saturating_sub(text.len()).max(MIN_UNREAD_BYTES);
        let kept = unread.split_inclusive('\n').scan(0, |sum, line| {
            *sum += line.len();
            (*sum <= limit).then_some(line)
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

fn head(report: &Report, options: RenderOptions<'_>) -> String {
    if let Some(since) = options.changed_since.filter(|_| location::nothing_changed(report, options).is_some()) {
        return format!(
            "# modelscan: nothing to scan\n\nNothing of a known format has changed since {}.\n\n",
            code(since)
        );
    }
    let sum = &report.summary;
    let accepted = report.artifacts.iter().flat_map(|artifact| &artifact.findings);
    let accepted = accepted.filter(|finding| finding.suppressed.is_some()).count();
    let mut text = format!("# modelscan: {}\n\n| files | | \n|---|--:|\n", location::verdict_label(report));
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
    if let Some(unverified) = location::unverified_lfs(report) {
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
    _ = writeln!(text, "- where: {}{at}", code(&location::display_path(path, finding.member.as_deref())));
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

/// The annotated listing in a fence. Each line starts with an offset, so no line closes the fence.
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

/// Text as inline code, also in a table.
pub(super) fn code(raw: &str) -> String {
    let text = escape::text(raw).replace('`', "\\u{60}").replace('|', "\\u{7c}");
    format!("`{}`", if text.trim().is_empty() { "\\u{20}" } else { &text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_code() {
        assert_eq!(code("a`b|<img>@all\n# x"), "`a\\u{60}b\\u{7c}<img>@all\\n# x`");
        assert_eq!(code(""), "`\\u{20}`");
    }
}
