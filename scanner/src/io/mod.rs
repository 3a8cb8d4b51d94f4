//! Bytes of an artifact: sources, hashes, members, and the bounds of a scan.

pub mod artifact;
pub(crate) mod bounds;
pub mod budget;
pub mod directory;
pub mod hash;
pub mod limits;
pub mod member_path;
pub mod source;
