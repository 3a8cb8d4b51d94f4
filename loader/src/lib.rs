//! Weights out of what the scanner cleared.
#![forbid(unsafe_code)]
