//! `modelscan formats`: the table of formats.

use super::{Stop, print};
use crate::cli::formats::{FormatsArgs, TableFormat};
use crate::exit::Exit;
use crate::render::formats;

/// Prints the table.
pub(crate) fn run(args: &FormatsArgs) -> Result<Exit, Stop> {
    let infos: Vec<_> = scanner::formats::all().collect();
    print(|out| match args.format {
        TableFormat::Text => formats::text(&infos, out),
        TableFormat::Json => formats::json(&infos, out),
        TableFormat::Markdown => formats::markdown(&infos, out),
    })?;
    Ok(Exit::Clean)
}
