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
pub mod judge;
pub mod layout;
pub mod limits;
pub mod opened;
pub mod outside;
pub mod pickle;
pub mod policy;
pub mod report;
pub mod rule;
pub mod seen;
pub mod source;
pub mod verdicts;

pub use engine::{Error, Progress, ScanOptions, disassemble, inspect, scan};
pub use outside::Outside;
pub use rule::{Meta, rules};
