//! Opinions on observations: effects of callables, rules, decisions which rule fires, verdicts, policy and the report.

pub mod decide;
pub mod effect;
mod path_pattern;
pub mod policy;
pub mod report;
pub mod rule;
pub(crate) mod ruleset_id;
pub mod verdict;
pub mod verdict_cache;
