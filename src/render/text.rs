//! A scan report for people, in the form of compiler diagnostics: the finding, its location, the listing, what to do.
//!
//! Text from files never starts a line, and is escaped.

use super::location;
use super::options::RenderOptions;
use crate::escape;
use anstyle::{AnsiColor, Style};
use scanner::finding::Line;
use scanner::report::{ArtifactReport, NotRead, Report};
use scanner::{Finding, Severity};
use std::io::{self, Write};

pub(super) fn write(report: &Report, options: RenderOptions<'_>, out: &mut dyn Write) -> io::Result<()> {
    let styles = Styles(options.colors);
    for artifact in &report.artifacts {
        for finding in &artifact.findings {
            if finding.suppressed.is_none() || options.show_suppressed {
                write_finding(artifact, finding, styles, out)?;
            }
        }
        if artifact.is_incomplete() {
            for part in &artifact.not_read {
                write_not_read(artifact, part, styles, out)?;
            }
        }
    }
    for error in &report.errors {
        let style = styles.level(Severity::High);
        writeln!(out, "{style}error{style:#}: {}: {}", escape::text(&error.path), escape::text(&error.message))?;
    }
    if options.quiet {
        return Ok(());
    }
    if let Some(unverified) = location::unverified_lfs(report) {
        writeln!(out, "note: {unverified}")?;
    }
    if let Some(none) = location::nothing_changed(report, options) {
        writeln!(out, "{none}")?;
    }
    writeln!(out, "{}", summary(report))
}

fn write_finding(artifact: &ArtifactReport, finding: &Finding, styles: Styles, out: &mut dyn Write) -> io::Result<()> {
    let (level, bold, dim) = (styles.level(finding.severity), styles.bold(), styles.dim());
    let label = match finding.severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Low => "warning",
        Severity::Info => "note",
    };
    let message = escape::text(&finding.message);
    writeln!(out, "{level}{label}[{}]{level:#}{bold}: {message}{bold:#}", finding.rule)?;
    write!(out, "  {dim}-->{dim:#} {}", location::display_path(&artifact.path, finding.member.as_deref()))?;
    match finding.offset {
        Some(offset) => writeln!(out, " byte {offset:#x}")?,
        None => writeln!(out)?,
    }
    write_listing(finding, level, dim, out)?;
    let more = (finding.count > 0).then(|| format!("{} more like this in this file", finding.count));
    let rule = format!("modelscan rule {}", finding.rule);
    let notes = [
        ("evidence", finding.evidence.as_deref()),
        ("accepted", finding.suppressed.as_deref()),
        ("note", more.as_deref()),
        ("help", finding.help.as_deref()),
        ("more", Some(&rule)),
    ];
    for (name, note) in notes {
        if let Some(note) = note {
            writeln!(out, "   {dim}={dim:#} {bold}{name}{bold:#}: {}", escape::text(note))?;
        }
    }
    writeln!(out)
}

fn write_listing(finding: &Finding, level: Style, dim: Style, out: &mut dyn Write) -> io::Result<()> {
    let width = finding.lines.iter().map(|line| line.text.chars().count()).max().unwrap_or(0).min(40);
    for Line { offset, text, note } in &finding.lines {
        let (text, bar) = (escape::text(text), format!("{dim}|{dim:#}"));
        match note {
            None => writeln!(out, "   {bar}  {offset:#06x} {text}")?,
            Some(note) => {
                writeln!(out, "   {bar}  {offset:#06x} {text:width$}  {level}<- {}{level:#}", escape::text(note))?;
            }
        }
    }
    Ok(())
}

fn write_not_read(artifact: &ArtifactReport, part: &NotRead, styles: Styles, out: &mut dyn Write) -> io::Result<()> {
    let (level, path) =
        (styles.level(Severity::Medium), location::display_path(&artifact.path, part.member.as_deref()));
    let at = part.offset.map(|offset| format!(" from byte {offset:#x}")).unwrap_or_default();
    writeln!(out, "{level}warning{level:#}: {path} was not read{at}: {}", escape::text(&part.reason))
}

/// The summary line: files by verdict, and bytes read.
fn summary(report: &Report) -> String {
    let sum = &report.summary;
    let unknown = report.artifacts.iter().filter(|artifact| artifact.is_unknown()).count() as u64;
    let findings = report.artifacts.iter().flat_map(|artifact| &artifact.findings);
    let accepted = findings.filter(|finding| finding.suppressed.is_some()).count();
    let mut verdicts = Vec::new();
    for (count, words) in [
        (sum.dangerous, "dangerous"),
        (sum.unproven, "unproven"),
        (sum.clean, "clean"),
        (unknown, "not scanned (no known format)"),
        (sum.not_scanned.saturating_sub(unknown), "not scanned (nothing could be read)"),
        (report.errors.len() as u64, "with errors"),
    ] {
        if count > 0 {
            verdicts.push(format!("{count} {words}"));
        }
    }
    if verdicts.is_empty() {
        verdicts.push("nothing to scan".to_owned());
    }
    let plural = if sum.artifacts == 1 { "" } else { "s" };
    let accepted = if accepted > 0 { format!("; {accepted} accepted") } else { String::new() };
    format!(
        "{} file{plural}: {}{accepted}; {}, {} read",
        sum.artifacts,
        verdicts.join(", "),
        human_size(sum.bytes),
        human_size(sum.bytes_read)
    )
}

/// A size in bytes with a binary unit, at most three digits before the point.
fn human_size(bytes: u64) -> String {
    let mut unit = 0;
    let mut scaled = bytes;
    while scaled >= 1000 * 1024 && unit < 3 {
        scaled /= 1024;
        unit += 1;
    }
    match scaled {
        0..1000 if unit == 0 => format!("{scaled} bytes"),
        _ => {
            let name = ["KiB", "MiB", "GiB", "TiB"].get(unit).copied().unwrap_or("TiB");
            format!("{}.{} {name}", scaled / 1024, scaled % 1024 * 10 / 1024)
        }
    }
}

/// Styles, which are empty without colors.
#[derive(Debug, Clone, Copy)]
struct Styles(bool);

impl Styles {
    fn pick(self, style: Style) -> Style {
        if self.0 { style } else { Style::new() }
    }

    fn bold(self) -> Style {
        self.pick(Style::new().bold())
    }

    fn dim(self) -> Style {
        self.pick(AnsiColor::Blue.on_default().bold())
    }

    fn level(self, severity: Severity) -> Style {
        let color = match severity {
            Severity::Critical | Severity::High => AnsiColor::Red,
            Severity::Medium | Severity::Low => AnsiColor::Yellow,
            Severity::Info => AnsiColor::Cyan,
        };
        self.pick(color.on_default().bold())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanner::Verdict;

    fn finding() -> Finding {
        Finding {
            rule: "unsafe-callable",
            severity: Severity::Critical,
            member: Some("archive/\x1b[2Jdata.pkl".into()),
            stream: None,
            offset: Some(28),
            callable: Some("posix.system".into()),
            evidence: Some("posix.system('id')".into()),
            message: "pickle calls posix.system".into(),
            help: Some("do not load it".into()),
            fingerprint: String::new(),
            verdict: Verdict::Dangerous,
            suppressed: None,
            count: 2,
            lines: vec![
                Line { offset: 20, text: "BINUNICODE 'id\n'".into(), note: None },
                Line { offset: 28, text: "REDUCE".into(), note: Some("calls posix.system".into()) },
            ],
        }
    }

    fn written(finding: Finding, options: RenderOptions<'_>) -> String {
        let artifact = ArtifactReport {
            path: "a.pt".into(),
            format: "torch-zip",
            size: 2_000_000,
            verdict: Verdict::Dangerous,
            sha256: None,
            lfs: None,
            findings: vec![finding],
            not_read: vec![NotRead { member: None, offset: Some(40), reason: "broken: no STOP".into() }],
        };
        let mut out = Vec::new();
        write(&Report::new(vec![artifact], vec![], 700), options, &mut out).expect("memory writes");
        String::from_utf8(out).expect("it is text")
    }

    #[test]
    fn a_finding_has_location_listing_and_help() {
        let expected = "\
error[unsafe-callable]: pickle calls posix.system
  --> a.pt::archive/\\u{1b}[2Jdata.pkl byte 0x1c
   |  0x0014 BINUNICODE 'id\\n'
   |  0x001c REDUCE            <- calls posix.system
   = evidence: posix.system('id')
   = note: 2 more like this in this file
   = help: do not load it
   = more: modelscan rule unsafe-callable

warning: a.pt was not read from byte 0x28: broken: no STOP
1 file: 1 dangerous; 1.9 MiB, 700 bytes read
";
        assert_eq!(written(finding(), RenderOptions::default()), expected);
    }

    #[test]
    fn colors_add_styles_and_change_no_word() {
        let colored = written(finding(), RenderOptions { colors: true, ..RenderOptions::default() });
        assert!(colored.contains("\x1b[1m\x1b[31merror[unsafe-callable]\x1b[0m"), "{colored:?}");
        let mut plain = String::new();
        for part in colored.split('\x1b') {
            let style = part.strip_prefix('[').and_then(|rest| rest.split_once('m'));
            plain.push_str(style.map_or(part, |(_, rest)| rest));
        }
        assert_eq!(plain, written(finding(), RenderOptions::default()));
    }

    #[test]
    fn accepted_findings_are_counted_and_shown_on_demand() {
        let accepted = Finding { suppressed: Some("reviewed".into()), ..finding() };
        let hidden = written(accepted.clone(), RenderOptions::default());
        assert!(!hidden.contains("posix") && hidden.contains("1 dangerous; 1 accepted"), "{hidden}");
        let shown = written(accepted, RenderOptions { show_suppressed: true, ..RenderOptions::default() });
        assert!(shown.contains("= accepted: reviewed"), "{shown}");
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "0.9 KiB"),
            (2_000_000, "1.9 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }
}
