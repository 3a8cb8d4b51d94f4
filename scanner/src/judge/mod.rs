//! Opinions on observations: effects of callables, rules, findings, verdicts, policy and the report.

pub mod effect;
pub mod finding;
pub mod judgement;
pub mod policy;
pub mod report;
pub mod rule;
pub(crate) mod ruleset_id;
pub mod verdict_cache;
