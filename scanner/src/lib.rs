//! Reads model files from strangers, says what loading them would do, and judges it. Executes nothing.
#![forbid(unsafe_code)]

pub mod archive;
pub mod artifact;
pub mod chain;
pub mod fact;
pub mod format;
pub mod limits;
pub mod pickle;
pub mod seen;
pub mod source;
