//! Reports as text, one format a file. Pure: what comes in decides what comes out, to the byte.

pub(crate) mod conversion;
pub(crate) mod drop_in;
pub(crate) mod escape;
pub(crate) mod inspection;
mod json;
mod jsonl;
pub(crate) mod rule;
mod text;

use crate::cli::Format;
use scanner::report::Report;
use std::io::{self, Write};

/// How a report for people looks. The other formats do not depend on it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    /// With colors.
    pub(crate) colored: bool,
    /// With the findings that the configuration accepts.
    pub(crate) show_suppressed: bool,
    /// Without the line that sums up.
    pub(crate) quiet: bool,
}

/// Writes a scan report.
pub(crate) fn report(format: Format, report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Text => text::write(report, look, out),
        Format::Json => json::write(report, out),
        Format::Jsonl => jsonl::write(report, out),
    }
}
