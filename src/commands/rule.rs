//! `modelscan rule`: the rules in a list, one explained, or all of them as a book.

use super::{Stop, print};
use crate::cli::{RuleArgs, RuleFormat};
use crate::config::unknown;
use crate::exit::Exit;
use crate::render::rule;

/// Prints what was asked for.
pub(crate) fn run(args: &RuleArgs) -> Result<Exit, Stop> {
    let rules = scanner::rules();
    let chosen: Vec<_> = match &args.id {
        None => rules.to_vec(),
        Some(id) => rules.iter().filter(|rule| rule.id == id).copied().collect(),
    };
    if let (Some(id), true) = (&args.id, chosen.is_empty()) {
        return Err(Stop::Usage(unknown("rule", id, rules.iter().map(|rule| rule.id))));
    }
    print(|out| match (args.format, chosen.as_slice()) {
        (RuleFormat::Text, [one]) if args.id.is_some() => rule::page(one, out),
        (RuleFormat::Text, all) => rule::list(all, out),
        (RuleFormat::Json, all) => rule::json(all, out),
        (RuleFormat::Markdown, all) => rule::markdown(all, out),
    })?;
    Ok(Exit::Clean)
}
