//! A scan report as one self-contained page: the verdict, a sortable table of findings, then each finding with its annotated listing.
//!
//! Its Content Security Policy allows one script, by hash, and no loading. Text from files is escaped, so that it stays text even
//! without the policy.

use super::location;
use super::options::RenderOptions;
use crate::escape;
use scanner::Finding;
use scanner::report::{ArtifactReport, Report};
use std::fmt::Write as _;
use std::io::{self, Write};

const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");
/// SHA-256 of both, in base64; a test compares.
const SCRIPT_HASH: &str = "sQ0sZ2cjtcVTXN5G870E/B5CJD1XFaZ7gP0YqAeCD/8=";
const STYLE_HASH: &str = "PmpuQydKoon3z0aHAdPSJBMnghw7mRv8c3ZzCb7d9w0=";
/// Findings of a page. Browsers are slow with more.
const MAX_FINDINGS: usize = 5_000;

pub(super) fn write(report: &Report, options: RenderOptions<'_>, out: &mut dyn Write) -> io::Result<()> {
    let (findings, total) = location::most_severe(report, MAX_FINDINGS, options.show_suppressed);
    let verdict = location::verdict_label(report);
    writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(
        out,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'sha256-{SCRIPT_HASH}'; \
         style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'\">"
    )?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(out, "<title>modelscan: {verdict}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>")?;
    let class = report.verdict.as_str();
    writeln!(out, "<h1>modelscan: <span class=\"{class}\">{verdict}</span></h1>\n{}", summary(report))?;
    if !findings.is_empty() {
        table(&findings, out)?;
    }
    if total > findings.len() {
        writeln!(out, "<p>{} more findings have no room here; the gravest are shown.</p>", total - findings.len())?;
    }
    not_read(report, out)?;
    for (index, (artifact, finding)) in findings.iter().enumerate() {
        section(index, artifact, finding, out)?;
    }
    files(report, out)?;
    let version = report.tool.version;
    writeln!(out, "<footer><p>modelscan {version}</p></footer>\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>")
}

fn summary(report: &Report) -> String {
    let sum = &report.summary;
    let accepted = report.artifacts.iter().flat_map(|artifact| &artifact.findings);
    let accepted = accepted.filter(|finding| finding.suppressed.is_some()).count();
    let mut text = format!("<p>{} files", sum.artifacts);
    for (count, words) in [
        (sum.dangerous, "dangerous"),
        (sum.unproven, "unproven"),
        (sum.clean, "clean"),
        (sum.not_scanned, "not scanned"),
        (report.errors.len() as u64, "with errors"),
        (accepted as u64, "findings accepted"),
    ] {
        if count > 0 {
            _ = write!(text, ", {count} {words}");
        }
    }
    text.push_str(".</p>");
    if let Some(unverified) = location::unverified_lfs(report) {
        _ = write!(text, "\n<p>{unverified}.</p>");
    }
    text
}

fn table(findings: &[(&ArtifactReport, &Finding)], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<h2 id=\"findings\">Findings</h2>\n<div class=\"scroll\" role=\"region\" aria-labelledby=\"findings\" tabindex=\"0\">\n<table>\n<thead><tr>"
    )?;
    for head in ["Severity", "Rule", "File", "Finding"] {
        writeln!(out, "<th scope=\"col\"><button type=\"button\">{head}</button></th>")?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for (index, (artifact, finding)) in findings.iter().enumerate() {
        let (severity, rule) = (finding.severity.as_str(), finding.rule);
        let accepted = if finding.suppressed.is_some() { " (accepted)" } else { "" };
        // Ascending order starts with the most severe.
        let key = scanner::Severity::Critical as u8 - finding.severity as u8;
        let path = escape_html(&location::display_path(&artifact.path, finding.member.as_deref()));
        let (number, message) = (index + 1, escape_html(&escape::text(&finding.message)));
        writeln!(
            out,
            "<tr><td data-key=\"{key}\" class=\"{severity}\">{severity}{accepted}</td><td>{rule}</td><td><code>{path}</code></td>\
             <td><a href=\"#f{number}\">{message}</a></td></tr>"
        )?;
    }
    writeln!(out, "</tbody>\n</table>\n</div>")
}

fn section(index: usize, artifact: &ArtifactReport, finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let (severity, rule, number) = (finding.severity.as_str(), finding.rule, index + 1);
    let message = escape_html(&escape::text(&finding.message));
    writeln!(
        out,
        "<section id=\"f{number}\">\n<h2><span class=\"{severity}\">{severity}</span> {rule}: {message}</h2>\n<dl>"
    )?;
    let at = finding.offset.map(|offset| format!(" byte {offset:#x}")).unwrap_or_default();
    let path = location::display_path(&artifact.path, finding.member.as_deref()) + &at;
    let more = (finding.count > 0).then(|| format!("{} like this in this file", finding.count));
    for (name, note) in [
        ("Where", Some(path.as_str())),
        ("Evidence", finding.evidence.as_deref()),
        ("Accepted", finding.suppressed.as_deref()),
        ("More", more.as_deref()),
        ("What to do", finding.help.as_deref()),
        ("Fingerprint", Some(finding.fingerprint.as_str())),
    ] {
        if let Some(note) = note {
            let shown = if name == "Where" { escape_html(note) } else { escape_html(&escape::text(note)) };
            writeln!(out, "<dt>{name}</dt><dd>{shown}</dd>")?;
        }
    }
    writeln!(out, "</dl>")?;
    if !finding.lines.is_empty() {
        write!(out, "<pre tabindex=\"0\" aria-label=\"listing\">")?;
        for line in &finding.lines {
            write!(out, "{:#06x} {}", line.offset, escape_html(&escape::text(&line.text)))?;
            match &line.note {
                Some(note) => writeln!(out, "  <b>&lt;- {}</b>", escape_html(&escape::text(note)))?,
                None => writeln!(out)?,
            }
        }
        writeln!(out, "</pre>")?;
    }
    writeln!(out, "</section>")
}

fn not_read(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let incomplete = report.artifacts.iter().filter(|artifact| artifact.is_incomplete());
    let parts = incomplete.flat_map(|artifact| {
        artifact.not_read.iter().map(move |part| {
            (location::display_path(&artifact.path, part.member.as_deref()), escape::text(&part.reason).into_owned())
        })
    });
    let errors = report
        .errors
        .iter()
        .map(|error| (location::display_path(&error.path, None), escape::text(&error.message).into_owned()));
    let all: Vec<_> = errors.chain(parts).collect();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Not read</h2>\n<ul>")?;
    for (path, reason) in all {
        writeln!(out, "<li><code>{}</code>: {}</li>", escape_html(&path), escape_html(&reason))?;
    }
    writeln!(out, "</ul>")
}

fn files(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<section>\n<h2 id=\"files\">Files</h2>\n<div class=\"scroll\" role=\"region\" aria-labelledby=\"files\" tabindex=\"0\">\n<table>\n<thead><tr>"
    )?;
    for head in ["Verdict", "Format", "File", "Bytes"] {
        writeln!(out, "<th scope=\"col\"><button type=\"button\">{head}</button></th>")?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for artifact in &report.artifacts {
        let (verdict, path) = (artifact.verdict.as_str(), escape_html(&location::display_path(&artifact.path, None)));
        let words = verdict.replace('_', " ");
        let (format, size) = (artifact.format, artifact.size);
        writeln!(
            out,
            "<tr><td class=\"{verdict}\">{words}</td><td>{format}</td><td><code>{path}</code></td><td>{size}</td></tr>"
        )?;
    }
    writeln!(out, "</tbody>\n</table>\n</div>\n</section>")
}

/// Escapes text for HTML, attributes included.
fn escape_html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}
