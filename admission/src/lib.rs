//! Decides which files of a folder may be loaded, and hands on only those. Every file is opened once; the bytes that are scanned,
//! hashed and copied are those behind that descriptor.
//!
//! [`folder`] lists a folder without following links out of it. [`assess`] scans a file, and [`policy`] decides which kinds are
//! admitted. [`lock`] records the files of a folder, and [`lock_check`] compares. [`stage`] copies a folder to a place that only
//! this process can write, and admits the copies; [`convert`] then replaces weights of torch by safetensors, and [`delivery`]
//! publishes a finished copy, as a whole or not at all.
#![forbid(unsafe_code)]

pub mod assess;
pub mod convert;
mod copy;
pub mod delivery;
mod difference;
mod error;
mod file_bytes;
pub mod folder;
pub mod lock;
pub mod lock_check;
pub mod policy;
pub mod stage;

pub use difference::{Difference, DifferenceKind};
pub use error::{DestinationFault, Error, LOCK_NAME, LOCK_SCHEMA, LockFault, Problem};
