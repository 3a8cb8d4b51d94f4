//! `modelscan formats`: the table of formats.

use super::output::{exit_after_write, write_stdout};
use crate::cli::formats::{FormatsArgs, TableFormat};
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use crate::render::formats;

/// Prints the table.
pub(crate) fn run(args: &FormatsArgs) -> Result<ExitCode, CommandError> {
    let infos: Vec<_> = scanner::formats::all().collect();
    let written = write_stdout(|out| match args.format {
        TableFormat::Text => formats::text(&infos, out),
        TableFormat::Json => formats::json(&infos, out),
        TableFormat::Markdown => formats::markdown(&infos, out),
    });
    Ok(exit_after_write(ExitCode::Clean, written))
}
