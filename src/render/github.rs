//! A scan report as workflow commands of GitHub Actions: annotations, the most severe first.
//!
//! The runner shows ten annotations of each level for a step and drops the others silently, so a last line counts those that are left out.

use super::location;
use super::options::RenderOptions;
use crate::escape;
use scanner::Severity;
use scanner::report::Report;
use std::io::{self, Write};

/// Annotations of one level for a step.
const MAX_ANNOTATIONS: usize = 10;

struct Annotation {
    level: &'static str,
    file: String,
    line: u64,
    title: String,
    message: String,
}

pub(super) fn write(report: &Report, options: RenderOptions<'_>, out: &mut dyn Write) -> io::Result<()> {
    let all = annotations(report, options);
    let mut left_out = 0;
    for level in ["error", "warning", "notice"] {
        let of = || all.iter().filter(|one| one.level == level);
        for Annotation { file, line, title, message, .. } in of().take(MAX_ANNOTATIONS) {
            let (file, title) = (escape_property(file), escape_property(title));
            let message = escape_message(message);
            writeln!(out, "::{level} file={file},line={line},title={title}::{message}")?;
        }
        left_out += of().count().saturating_sub(MAX_ANNOTATIONS);
    }
    if left_out > 0 {
        writeln!(out, "{left_out} more have no annotation: there is room for {MAX_ANNOTATIONS} of a kind")?;
    }
    if let Some(none) = location::nothing_changed(report, options) {
        return writeln!(out, "modelscan: {none}");
    }
    let sum = &report.summary;
    let (verdict, files) = (location::verdict_label(report), sum.artifacts);
    writeln!(out, "modelscan: {verdict}; {files} files, {} dangerous, {} unproven", sum.dangerous, sum.unproven)
}

fn annotations(report: &Report, options: RenderOptions<'_>) -> Vec<Annotation> {
    let (findings, _) = location::most_severe(report, usize::MAX, false);
    let errors = report.errors.iter().map(|error| Annotation {
        level: "error",
        file: location::relative(&error.path, options.working_dir).into_owned(),
        line: 1,
        title: "modelscan: error".to_owned(),
        message: error.message.clone(),
    });
    let findings = findings.into_iter().map(|(artifact, finding)| {
        let at = finding.offset.map(|offset| format!(" byte {offset:#x}")).unwrap_or_default();
        let path = location::display_path(&artifact.path, finding.member.as_deref());
        Annotation {
            level: match finding.severity {
                Severity::Critical | Severity::High => "error",
                Severity::Medium | Severity::Low => "warning",
                Severity::Info => "notice",
            },
            file: location::relative(&artifact.path, options.working_dir).into_owned(),
            line: location::annotation_line(artifact),
            title: format!("modelscan: {} ({})", finding.rule, finding.severity.as_str()),
            message: format!("{}\n{path}{at}", escape::text(&finding.message)),
        }
    });
    let incomplete = report.artifacts.iter().filter(|artifact| artifact.is_incomplete());
    let unread = incomplete.flat_map(|artifact| {
        artifact.not_read.iter().map(move |part| Annotation {
            level: "warning",
            file: location::relative(&artifact.path, options.working_dir).into_owned(),
            line: location::annotation_line(artifact),
            title: "modelscan: not read".to_owned(),
            message: format!(
                "{}: {}",
                location::display_path(&artifact.path, part.member.as_deref()),
                escape::text(&part.reason)
            ),
        })
    });
    findings.chain(errors).chain(unread).collect()
}

/// Escapes a message. Its line breaks are kept; text from files has none, because it is escaped before.
fn escape_message(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape::text).collect();
    lines.join("\n").replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    let text = escape::text(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    text.replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_property_or_start_a_command() {
        assert_eq!(escape_property("a,line=9::x\n::error::y%"), "a%2Cline=9%3A%3Ax\\n%3A%3Aerror%3A%3Ay%25");
        assert_eq!(escape_message("a\n::error::x"), "a%0A\\u{3a}:error::x");
    }
}
