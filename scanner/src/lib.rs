//! Reads model files from strangers, says what loading them would do, and judges it. Executes nothing.
#![forbid(unsafe_code)]

pub mod api;
pub mod archive;
pub mod examine;
pub mod format;
pub mod io;
pub mod judge;
pub mod observe;
pub mod pickle;

pub use api::inspect::{Error, disassemble, inspect};
pub use api::not_followed::link_that_leaves;
pub use api::providers::InputProvider;
pub use api::scan::{Progress, ScanOptions, scan};
pub use judge::rule::{Meta, rules};
pub use judge::ruleset_id::rule_set;
