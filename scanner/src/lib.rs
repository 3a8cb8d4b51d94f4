//! Reads model files from strangers, says what loading them would do, and judges it. Executes nothing.
#![forbid(unsafe_code)]

pub mod archive;
pub mod artifact;
pub mod chain;
pub mod clearance;
pub mod effect;
pub mod engine;
pub mod examine;
pub mod fact;
pub mod finding;
pub mod format;
pub mod hash;
pub mod inspect;
pub mod judge;
pub mod layout;
pub mod limits;
mod not_followed;
pub mod opened;
pub mod outside;
pub mod pickle;
pub mod policy;
pub mod report;
pub mod rule;
mod rule_set;
pub mod seen;
pub mod source;
pub mod verdicts;

pub use engine::{Progress, ScanOptions, scan};
pub use inspect::{Error, disassemble, inspect};
pub use not_followed::link_that_leaves;
pub use outside::Outside;
pub use rule::{Meta, rules};
pub use rule_set::rule_set;
