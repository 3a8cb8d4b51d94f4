//! `modelscan rule`: a list of the rules, or the page of one.

use super::output::write_stdout;
use crate::cli::{RuleArgs, RuleFormat};
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use crate::render::rule;

/// Prints the list or the page.
pub(crate) fn run(args: &RuleArgs) -> Result<ExitCode, CommandError> {
    let rules = scanner::rules();
    let chosen: Vec<_> = match &args.id {
        None => rules.to_vec(),
        Some(id) => rules.iter().filter(|rule| rule.id == id).copied().collect(),
    };
    if let (Some(id), true) = (&args.id, chosen.is_empty()) {
        return Err(CommandError::unknown("rule", id, rules.iter().map(|rule| rule.id)));
    }
    write_stdout(|out| match (args.format, chosen.as_slice()) {
        (RuleFormat::Text, [one]) if args.id.is_some() => rule::page(one, out),
        (RuleFormat::Text, all) => rule::list(all, out),
        (RuleFormat::Json, all) => rule::json(all, out),
        (RuleFormat::Markdown, all) => rule::markdown(all, out),
    })
    .map_err(CommandError::Output)?;
    Ok(ExitCode::Clean)
}
