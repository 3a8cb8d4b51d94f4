//! A scan report as commands of GitHub's runner: annotations, the gravest first.
//!
//! The runner shows ten of each kind for a step and drops the others without a word, so the tenth line is ours.

use super::{Look, escape, place};
use scanner::Severity;
use scanner::report::Report;
use std::io::{self, Write};

/// Annotations of one kind that a step may have.
const MAX: usize = 10;

struct Annotation {
    level: &'static str,
    file: String,
    line: u64,
    title: String,
    message: String,
}

pub(super) fn write(report: &Report, look: Look<'_>, out: &mut dyn Write) -> io::Result<()> {
    let all = annotations(report, look);
    let mut left_out = 0;
    for level in ["error", "warning", "notice"] {
        let of = || all.iter().filter(|one| one.level == level);
        for Annotation { file, line, title, message, .. } in of().take(MAX) {
            let (file, title, message) = (property(file), property(title), data(message));
            writeln!(out, "::{level} file={file},line={line},title={title}::{message}")?;
        }
        left_out += of().count().saturating_sub(MAX);
    }
    if left_out > 0 {
        writeln!(out, "{left_out} more have no annotation: there is room for {MAX} of a kind")?;
    }
    if let Some(none) = place::nothing_known(report, look) {
        return writeln!(out, "modelscan: {none}");
    }
    let sum = &report.summary;
    let (verdict, files) = (place::verdict(report), sum.artifacts);
    writeln!(out, "modelscan: {verdict}; {files} files, {} dangerous, {} unproven", sum.dangerous, sum.unproven)
}

fn annotations(report: &Report, look: Look<'_>) -> Vec<Annotation> {
    let (findings, _) = place::gravest(report, usize::MAX, false);
    let errors = report.errors.iter().map(|error| Annotation {
        level: "error",
        file: place::relative(&error.path, look.base).into_owned(),
        line: 1,
        title: "modelscan: error".to_owned(),
        message: error.message.clone(),
    });
    let findings = findings.into_iter().map(|(artifact, finding)| {
        let at = finding.offset.map(|offset| format!(" byte {offset:#x}")).unwrap_or_default();
        let place = place::shown(&artifact.path, finding.member.as_deref());
        Annotation {
            level: match finding.severity {
                Severity::Critical | Severity::High => "error",
                Severity::Medium | Severity::Low => "warning",
                Severity::Info => "notice",
            },
            file: place::relative(&artifact.path, look.base).into_owned(),
            line: place::line(artifact),
            title: format!("modelscan: {} ({})", finding.rule, finding.severity.as_str()),
            message: format!("{}\n{place}{at}", escape::text(&finding.message)),
        }
    });
    let incomplete = report.artifacts.iter().filter(|artifact| artifact.is_incomplete());
    let unread = incomplete.flat_map(|artifact| {
        artifact.not_read.iter().map(move |part| Annotation {
            level: "warning",
            file: place::relative(&artifact.path, look.base).into_owned(),
            line: place::line(artifact),
            title: "modelscan: not read".to_owned(),
            message: format!(
                "{}: {}",
                place::shown(&artifact.path, part.member.as_deref()),
                escape::text(&part.reason)
            ),
        })
    });
    findings.chain(errors).chain(unread).collect()
}

/// Line breaks within a message are part of it; all that comes from a file has been escaped before.
fn data(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape::text).collect();
    lines.join("\n").replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    let text = escape::text(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    text.replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_neither_end_its_property_nor_start_a_command() {
        assert_eq!(property("a,line=9::x\n::error::y%"), "a%2Cline=9%3A%3Ax\\n%3A%3Aerror%3A%3Ay%25");
        assert_eq!(data("a\n::error::x"), "a%0A\\u{3a}:error::x");
    }
}
