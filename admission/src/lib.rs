//! Folders that somebody is about to load: every file is opened once, and what is looked at, hashed and copied are the
//! bytes behind that one descriptor.
//!
//! [`walk`] lists a folder without following anything out of it, [`look`] says what may be done with a file, [`lock`]
//! writes down what a folder holds and [`check`] compares. [`stage`] copies a folder to where nobody else can write and admits the
//! copies; [`convert`] then puts safetensors in the place of what torch saved,
//! and [`deliver`] gives a finished copy its place, whole or not at all.
#![forbid(unsafe_code)]

pub mod check;
pub mod convert;
mod copy;
pub mod deliver;
mod hash;
pub mod lock;
pub mod look;
pub mod stage;
pub mod walk;
