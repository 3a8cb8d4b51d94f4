//! A scan report as lines of JSON: one for each file, one for each error, and a summary.

use crate::escape;
use scanner::Verdict;
use scanner::report::{ArtifactReport, Report, ScanError, Summary, Tool};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum JsonLine<'a> {
    Artifact(&'a ArtifactReport),
    Error(&'a ScanError),
    Summary { schema: &'a str, tool: &'a Tool, verdict: Verdict, summary: &'a Summary },
}

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Report { schema, tool, verdict, summary, artifacts, errors } = report;
    let last = JsonLine::Summary { schema, tool, verdict: *verdict, summary };
    let rows = artifacts.iter().map(JsonLine::Artifact).chain(errors.iter().map(JsonLine::Error));
    for row in rows.chain([last]) {
        writeln!(out, "{}", escape::json(&serde_json::to_string(&row)?))?;
    }
    Ok(())
}
