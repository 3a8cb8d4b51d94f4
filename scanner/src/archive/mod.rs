//! Archives: their entries and their anomalies. Nothing is written to disk.
//!
//! An archive states its anomalies as facts. Formats decide what an entry is.

use crate::fact::{Fact, Unread};
use crate::io::budget::ScanBudget;
use crate::io::source::SharedSource;

/// An entry that is opened (unpacked, if need be) only when its turn comes.
pub trait ArchiveEntry: Send + Sync {
    /// Opens the content, and states a wrong checksum or a decompression bomb. [`OpenedEntry::unread`] says why content
    /// is missing; [`OpenedEntry::source`] then holds the part that could be unpacked.
    fn open(&self, budget: &ScanBudget) -> OpenedEntry;
}

/// The result of opening an entry.
pub struct OpenedEntry {
    /// The content, as far as it could be read.
    pub source: Option<SharedSource>,
    /// What was noticed on the way.
    pub facts: Vec<Fact>,
    /// Why the content is not complete.
    pub unread: Option<Unread>,
}

pub mod codec;
pub mod decoded;
mod entry_name;
pub mod seven_zip;
pub mod tar;
pub mod zip;
