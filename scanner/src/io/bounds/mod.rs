//! Bounds that no caller can set, each with the reason for its number. Bounds that callers set are in
//! [`Limits`](super::limits::Limits). Record sizes and signatures of formats are with their formats.

pub mod archive;
pub mod format;
pub mod judge;
pub mod pickle;
pub mod scan;
