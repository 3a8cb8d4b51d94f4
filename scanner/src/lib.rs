//! Reads model files from strangers, says what loading them would do, and judges it. Executes nothing.
#![forbid(unsafe_code)]
