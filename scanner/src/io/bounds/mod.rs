//! Fixed bounds: numbers that no caller sets. `io::limits` has those that a caller may set.

pub mod judge;
