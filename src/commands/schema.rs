//! `modelscan schema`: the JSON Schema of a report, or which there are.

use super::{Stop, print};
use crate::cli::report::{Schema, SchemaArgs};
use crate::exit::Exit;
use crate::render::schema::text;
use clap::ValueEnum;

/// Prints what was asked for.
pub(crate) fn run(args: &SchemaArgs) -> Result<Exit, Stop> {
    print(|out| match args.report {
        Some(schema) => write!(out, "{}", text(schema)),
        None => Schema::value_variants().iter().filter_map(ValueEnum::to_possible_value).try_for_each(|value| {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            writeln!(out, "{:9} {help}", value.get_name())
        }),
    })?;
    Ok(Exit::Clean)
}
