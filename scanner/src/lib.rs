//! Reads model files from strangers, says what loading them would do, and judges it. Executes nothing.
#![forbid(unsafe_code)]

pub mod engine;
pub mod finding;
pub mod limits;
pub mod policy;
pub mod report;
#[path = "seen_tensor.rs"]
pub mod seen;

pub use engine::{Error, Meta, Progress, ScanOptions, disassemble, inspect, rules, scan};
