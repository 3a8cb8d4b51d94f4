//! The two reports of the Python tool: its JSON field by field, and its page for the console.

use super::escape;
use crate::commands::drop_in::{Answer, Grade, Issue, Note};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct Whole<'a> {
    summary: Summary<'a>,
    issues: &'a [Issue],
    errors: &'a [Note],
}

#[derive(Serialize)]
struct Summary<'a> {
    total_issues_by_severity: Grades,
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
struct Grades {
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
    skipped_files: &'a [Note],
}

/// The JSON report, on one line.
pub(crate) fn json(answer: &Answer, show_skipped: bool, out: &mut dyn Write) -> io::Result<()> {
    let count = |grade| answer.issues.iter().filter(|issue| issue.severity == grade).count();
    let whole = Whole {
        summary: Summary {
            total_issues_by_severity: Grades {
                low: count(Grade::Low),
                medium: count(Grade::Medium),
                high: count(Grade::High),
                critical: count(Grade::Critical),
            },
            total_issues: answer.issues.len(),
            input_path: &answer.input_path,
            absolute_path: &answer.absolute_path,
            modelscan_version: env!("CARGO_PKG_VERSION"),
            timestamp: &answer.timestamp,
            scanned: Scanned { total_scanned: answer.scanned.len(), scanned_files: &answer.scanned },
            skipped: show_skipped
                .then_some(Skipped { total_skipped: answer.skipped.len(), skipped_files: &answer.skipped }),
        },
        issues: &answer.issues,
        errors: &answer.errors,
    };
    writeln!(out, "{}", escape::json(&serde_json::to_string(&whole)?))
}

/// The page for the console.
pub(crate) fn console(answer: &Answer, show_skipped: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n--- Summary ---")?;
    if answer.issues.is_empty() {
        writeln!(out, "\n No issues found! 🎉")?;
    } else {
        write_issues(answer, out)?;
    }
    if !answer.errors.is_empty() {
        writeln!(out, "\n--- Errors --- ")?;
        for (index, Note { description, source, .. }) in answer.errors.iter().enumerate() {
            let (source, description) = (escape::text(source), escape::text(description));
            writeln!(out, "\nError {}:\nThe following error was raised: \n- {source}: {description}", index + 1)?;
        }
    }
    if !answer.skipped.is_empty() {
        let total = answer.skipped.len();
        writeln!(out, "\n--- Skipped --- ")?;
        writeln!(out, "\nTotal skipped: {total} - run with --show-skipped to see the full list.")?;
        if show_skipped {
            writeln!(out, "\nSkipped files list:\n")?;
            for Note { description, source, .. } in &answer.skipped {
                let place = place(answer, source);
                writeln!(out, "The following file {place} was skipped during a ModelScan scan: \n{description}")?;
            }
        }
    }
    Ok(())
}

fn write_issues(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nTotal Issues: {}\n\nTotal Issues By Severity:\n", answer.issues.len())?;
    let of = |grade: Grade| answer.issues.iter().filter(move |issue| issue.severity == grade);
    for grade in Grade::ALL {
        writeln!(out, "    - {}: {}", grade.as_str(), of(grade).count())?;
    }
    writeln!(out, "\n--- Issues by Severity ---")?;
    for grade in Grade::ALL.into_iter().filter(|grade| of(*grade).next().is_some()) {
        writeln!(out, "\n--- {} ---", grade.as_str())?;
        for issue in of(grade) {
            writeln!(out, "\nUnsafe operator found:\n  - Severity: {}", grade.as_str())?;
            writeln!(out, "  - Description: {}", escape::text(&issue.description))?;
            writeln!(out, "  - Source: {}", place(answer, &issue.source))?;
        }
    }
    Ok(())
}

/// On its console that tool shows whole paths.
fn place(answer: &Answer, source: &str) -> String {
    escape::text(&format!("{}/{source}", answer.absolute_path)).into_owned()
}
