//! The reports of the Python tool: JSON and console.

use crate::compat::report::{CompatReport, ErrorOrSkip, Issue};
use crate::compat::severity::Severity;
use crate::escape;
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct JsonReport<'a> {
    summary: Summary<'a>,
    issues: &'a [Issue],
    errors: &'a [ErrorOrSkip],
}

#[derive(Serialize)]
struct Summary<'a> {
    total_issues_by_severity: SeverityCounts,
    total_issues: usize,
    input_path: &'a str,
    absolute_path: &'a str,
    modelscan_version: &'a str,
    timestamp: &'a str,
    scanned: Scanned<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<Skipped<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct SeverityCounts {
    low: usize,
    medium: usize,
    high: usize,
    critical: usize,
}

#[derive(Serialize)]
struct Scanned<'a> {
    total_scanned: usize,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    scanned_files: &'a [String],
}

#[derive(Serialize)]
struct Skipped<'a> {
    total_skipped: usize,
    skipped_files: &'a [ErrorOrSkip],
}

/// The JSON report, on one line.
pub(crate) fn json(report: &CompatReport, show_skipped: bool, out: &mut dyn Write) -> io::Result<()> {
    let count = |severity| report.issues.iter().filter(|issue| issue.severity == severity).count();
    let json = JsonReport {
        summary: Summary {
            total_issues_by_severity: SeverityCounts {
                low: count(Severity::Low),
                medium: count(Severity::Medium),
                high: count(Severity::High),
                critical: count(Severity::Critical),
            },
            total_issues: report.issues.len(),
            input_path: &report.input_path,
            absolute_path: &report.absolute_path,
            modelscan_version: env!("CARGO_PKG_VERSION"),
            timestamp: &report.timestamp,
            scanned: Scanned { total_scanned: report.scanned.len(), scanned_files: &report.scanned },
            skipped: show_skipped
                .then_some(Skipped { total_skipped: report.skipped.len(), skipped_files: &report.skipped }),
        },
        issues: &report.issues,
        errors: &report.errors,
    };
    writeln!(out, "{}", escape::json(&serde_json::to_string(&json)?))
}

/// The console report.
pub(crate) fn console(report: &CompatReport, show_skipped: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n--- Summary ---")?;
    if report.issues.is_empty() {
        writeln!(out, "\n No issues found! 🎉")?;
    } else {
        write_issues(report, out)?;
    }
    if !report.errors.is_empty() {
        writeln!(out, "\n--- Errors --- ")?;
        for (index, ErrorOrSkip { description, source, .. }) in report.errors.iter().enumerate() {
            let (source, description) = (escape::text(source), escape::text(description));
            writeln!(out, "\nError {}:\nThe following error was raised: \n- {source}: {description}", index + 1)?;
        }
    }
    if !report.skipped.is_empty() {
        let total = report.skipped.len();
        writeln!(out, "\n--- Skipped --- ")?;
        writeln!(out, "\nTotal skipped: {total} - run with --show-skipped to see the full list.")?;
        if show_skipped {
            writeln!(out, "\nSkipped files list:\n")?;
            for ErrorOrSkip { description, source, .. } in &report.skipped {
                let source = absolute_source(report, source);
                writeln!(out, "The following file {source} was skipped during a ModelScan scan: \n{description}")?;
            }
        }
    }
    Ok(())
}

fn write_issues(report: &CompatReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nTotal Issues: {}\n\nTotal Issues By Severity:\n", report.issues.len())?;
    let of = |severity: Severity| report.issues.iter().filter(move |issue| issue.severity == severity);
    for severity in Severity::ALL {
        writeln!(out, "    - {}: {}", severity.as_str(), of(severity).count())?;
    }
    writeln!(out, "\n--- Issues by Severity ---")?;
    for severity in Severity::ALL.into_iter().filter(|severity| of(*severity).next().is_some()) {
        writeln!(out, "\n--- {} ---", severity.as_str())?;
        for issue in of(severity) {
            writeln!(out, "\nUnsafe operator found:\n  - Severity: {}", severity.as_str())?;
            writeln!(out, "  - Description: {}", escape::text(&issue.description))?;
            writeln!(out, "  - Source: {}", absolute_source(report, &issue.source))?;
        }
    }
    Ok(())
}

/// The console of that tool shows absolute paths.
fn absolute_source(report: &CompatReport, source: &str) -> String {
    escape::text(&format!("{}/{source}", report.absolute_path)).into_owned()
}
