//! A scan report as one JSON object (`docs/schemas/scan.json`).

use crate::escape;
use scanner::report::Report;
use std::io::{self, Write};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    writeln!(out, "{}", escape::json(&text))
}
