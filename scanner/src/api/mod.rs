//! Entry points: scan paths, scan open files, inspect, clear a file for loading.

pub mod clearance;
pub mod inspect;
pub(crate) mod not_followed;
pub mod providers;
pub mod scan;
pub mod scan_open;
