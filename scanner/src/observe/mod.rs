//! Observations of an artifact, without an opinion: facts, tensor layouts, pickle streams.

pub mod examined;
pub mod format_info;
pub mod layout;
pub mod observations;

/// Facts live below the archives, which state them too.
pub mod fact {
    pub use crate::fact::{Deviation, Fact, Unread};
}
