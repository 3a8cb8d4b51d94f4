//! Containers: what is inside, entry by entry, without writing anything anywhere.
//!
//! A container states its own oddities as facts and hands its entries on; it never decides what an entry is.

use crate::fact::{Fact, Unread};
use crate::io::budget::ScanBudget;
use crate::io::source::SharedSource;

/// An entry that is opened (unpacked, if need be) only when its turn comes.
pub trait ArchiveEntry: Send + Sync {
    /// Gives the content, with what was noticed on the way (a checksum that does not fit, a bomb).
    ///
    /// # Errors
    /// Why the content cannot be had; what could be unpacked before that is in [`Opened::source`] when there is any.
    fn open(&self, budget: &ScanBudget) -> OpenedEntry;
}

/// What came of opening an entry.
pub struct OpenedEntry {
    /// The content, as far as it could be had.
    pub source: Option<SharedSource>,
    /// What was noticed on the way.
    pub facts: Vec<Fact>,
    /// Why it is not whole, if it is not.
    pub unread: Option<Unread>,
}

pub mod codec;
pub mod decoded;
mod entry_name;
pub mod seven_zip;
pub mod tar;
pub mod zip;
