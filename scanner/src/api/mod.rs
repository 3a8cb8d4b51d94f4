//! Entry points: scan paths, scan open files, inspect, clear a file for loading.

pub mod clearance;
pub mod inspect;
pub mod providers;
pub mod scan;
pub mod scan_open;
pub(crate) mod unopened;
