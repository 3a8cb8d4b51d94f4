//! Reports as text, one format a file. Pure: what comes in decides what comes out, to the byte.

pub(crate) mod baseline;
mod clean_list;
pub(crate) mod conversion;
mod cyclonedx;
pub(crate) mod drop_in;
pub(crate) mod escape;
pub(crate) mod formats;
mod github;
mod html;
pub(crate) mod inspection;
mod json;
mod jsonl;
mod junit;
mod markdown;
mod place;
pub(crate) mod rule;
mod sarif;
pub(crate) mod schema;
mod text;

use crate::cli::Format;
use scanner::Severity;
use scanner::report::Report;
use std::io::{self, Write};

/// How a report looks. JSON and lines of JSON do not depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    /// With colors.
    pub(crate) colored: bool,
    /// With the findings that the configuration accepts, where people read.
    pub(crate) show_suppressed: bool,
    /// Without the line that sums up.
    pub(crate) quiet: bool,
    /// What fails the gate, for formats that know passed and failed.
    pub(crate) fail_on: Severity,
    /// The working directory: paths below it become relative where a format wants that.
    pub(crate) base: &'a str,
    /// The commit since which only what changed was scanned.
    pub(crate) since: Option<&'a str>,
}

impl Default for Look<'_> {
    fn default() -> Self {
        Self { colored: false, show_suppressed: false, quiet: false, fail_on: Severity::Medium, base: "", since: None }
    }
}

/// Writes a scan report.
pub(crate) fn report(format: Format, report: &Report, look: Look<'_>, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Text => text::write(report, look, out),
        Format::Json => json::write(report, out),
        Format::Jsonl => jsonl::write(report, out),
        Format::Sarif => sarif::write(report, look, out),
        Format::Junit => junit::write(report, look, out),
        Format::Markdown => markdown::write(report, look, out),
        Format::Html => html::write(report, look, out),
        Format::Cyclonedx => cyclonedx::write(report, out),
        Format::Github => github::write(report, look, out),
        Format::CleanList => clean_list::write(report, out),
    }
}
