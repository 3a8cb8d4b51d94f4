//! Folders that somebody is about to load: every file is opened once, and what is looked at, hashed and copied are the
//! bytes behind that one descriptor.
//!
//! [`walk`] lists a folder without following anything out of it, [`look`] says what may be done with a file, [`lock`]
//! writes down what a folder holds and [`check`] compares.
#![forbid(unsafe_code)]

pub mod check;
mod hash;
pub mod lock;
pub mod look;
pub mod walk;
