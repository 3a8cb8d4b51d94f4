//! `modelscan schema`: the JSON Schema of a report, or a list of them.

use super::output::write_stdout;
use crate::cli::report::{Schema, SchemaArgs};
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use crate::render::schema::text;
use clap::ValueEnum;

/// Prints a schema or the list.
pub(crate) fn run(args: &SchemaArgs) -> Result<ExitCode, CommandError> {
    write_stdout(|out| match args.report {
        Some(schema) => write!(out, "{}", text(schema)),
        None => Schema::value_variants().iter().filter_map(ValueEnum::to_possible_value).try_for_each(|value| {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            writeln!(out, "{:9} {help}", value.get_name())
        }),
    })
    .map_err(CommandError::Output)?;
    Ok(ExitCode::Clean)
}
