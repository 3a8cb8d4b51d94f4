//! Reports as text, one file for each format. The output depends on the arguments only.

mod clean_list;
pub(crate) mod compat;
pub(crate) mod conversion;
mod cyclonedx;
pub(crate) mod formats;
mod github;
mod html;
pub(crate) mod inspection;
mod json;
mod jsonl;
mod junit;
mod location;
mod markdown;
pub(crate) mod options;
pub(crate) mod rule;
mod sarif;
pub(crate) mod schema;
mod text;

use crate::cli::ReportFormat;
use options::RenderOptions;
use scanner::report::Report;
use std::io::{self, Write};

/// Writes the report of a scan.
pub(crate) fn report(
    format: ReportFormat,
    report: &Report,
    options: RenderOptions<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        ReportFormat::Text => text::write(report, options, out),
        ReportFormat::Json => json::write(report, out),
        ReportFormat::Jsonl => jsonl::write(report, out),
        ReportFormat::Sarif => sarif::write(report, options, out),
        ReportFormat::Junit => junit::write(report, options, out),
        ReportFormat::Markdown => markdown::write(report, options, out),
        ReportFormat::Html => html::write(report, options, out),
        ReportFormat::Cyclonedx => cyclonedx::write(report, out),
        ReportFormat::Github => github::write(report, options, out),
        ReportFormat::CleanList => clean_list::write(report, out),
    }
}
