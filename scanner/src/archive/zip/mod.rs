//! Zip archives, as all of their readers together see them.

mod central_directory;
mod compare;
mod entry;
mod local_headers;
mod records;
#[cfg(test)]
mod tests;
mod walk;

pub use entry::{ZipArchive, ZipEntry, ZipRegion};
