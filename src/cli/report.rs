//! Arguments about reports: formats, `FORMAT=PATH`, schemas.

use crate::error::CommandError;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The formats of a scan report: one file each under `render/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
    /// A line of JSON for each file, then a summary line.
    Jsonl,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit XML: a test case for each file.
    Junit,
    /// For a job summary, or a comment.
    Markdown,
    /// A self-contained page.
    Html,
    /// A CycloneDX 1.6 bill of materials, with hashes.
    Cyclonedx,
    /// Annotations for GitHub Actions.
    Github,
    /// The paths of clean files, each followed by a NUL, for `xargs -0`.
    CleanList,
}

/// A file to write the report to.
#[derive(Debug, Clone)]
pub(crate) struct ReportOutput {
    pub(crate) format: ReportFormat,
    pub(crate) path: PathBuf,
}

pub(super) fn parse_output(text: &str) -> Result<ReportOutput, CommandError> {
    let pair = text.split_once('=');
    let (format, path) = pair.ok_or_else(|| CommandError::usage("write it as FORMAT=PATH, as in json=report.json"))?;
    let unknown = |_| CommandError::usage(format!("there is no format {format:?}"));
    let format = ReportFormat::from_str(format, false).map_err(unknown)?;
    match path {
        "" => Err(CommandError::usage("the path is empty")),
        "-" => Err(CommandError::usage("standard output has --format; here stands a file")),
        path => Ok(ReportOutput { format, path: path.into() }),
    }
}

/// Print the JSON Schema of a report.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// The report [default: a list of them].
    #[arg(value_enum)]
    pub(crate) report: Option<Schema>,
}

/// The reports that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Schema {
    /// `scan --format json`.
    Scan,
    /// One line of `scan --format jsonl`.
    Jsonl,
    /// One line of `inspect --format json`.
    Inspect,
    /// `convert --report`.
    Convert,
    /// `run --report`.
    Run,
    /// `baseline create`.
    Baseline,
    /// `lock`.
    Lock,
}
