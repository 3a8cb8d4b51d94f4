//! Tar archives: headers, extended records, sparse files.

mod header;
mod sparse;
mod walk;

pub use walk::{TarArchive, TarEntry, recognize};
