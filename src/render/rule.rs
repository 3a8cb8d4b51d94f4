//! The rules: a list, a page for one rule, and all rules as JSON or Markdown (`docs/rules.md`).

use scanner::RuleInfo;
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct RulePage {
    id: &'static str,
    severity: &'static str,
    summary: &'static str,
    why: &'static str,
    example: &'static str,
    help: &'static str,
}

/// One line for each rule.
pub(crate) fn list(rules: &[RuleInfo], out: &mut dyn Write) -> io::Result<()> {
    let width = rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    for RuleInfo { id, severity, summary, .. } in rules {
        writeln!(out, "{id:width$}  {:8}  {summary}", severity.as_str())?;
    }
    Ok(())
}

/// The page of a rule.
pub(crate) fn page(rule: &RuleInfo, out: &mut dyn Write) -> io::Result<()> {
    let RuleInfo { id, severity, summary, why, example, help } = rule;
    writeln!(out, "{id} ({}): {summary}\n\n{why}\n\nExample:", severity.as_str())?;
    for line in example.lines() {
        writeln!(out, "{}", format!("    {line}").trim_end())?;
    }
    writeln!(out, "\nWhat to do: {help}")
}

/// A JSON array.
pub(crate) fn json(rules: &[RuleInfo], out: &mut dyn Write) -> io::Result<()> {
    let pages = rules.iter().map(|rule| {
        let RuleInfo { id, severity, summary, why, example, help } = *rule;
        RulePage { id, severity: severity.as_str(), summary, why, example, help }
    });
    writeln!(out, "{}", serde_json::to_string_pretty(&pages.collect::<Vec<_>>())?)
}

/// All rules.
pub(crate) fn markdown(rules: &[RuleInfo], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# Rules\n\n<!-- Made by `modelscan rule --format markdown`; do not edit. -->")?;
    for RuleInfo { id, severity, summary, why, example, help } in rules {
        writeln!(out, "\n## {id}\n\nSeverity: {}. In short: {summary}.\n\n{why}\n", severity.as_str())?;
        writeln!(out, "```text\n{}\n```\n\n**What to do.** {help}", example.trim_end())?;
    }
    Ok(())
}
