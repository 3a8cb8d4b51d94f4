//! Formats: recognized by content, each examined as its readers read it.
//!
//! Each file states what is fixed about its format in a [`FormatInfo`]. Adding a format means a file here, its line in
//! [`all`], fixtures, and `modelscan formats --format markdown > docs/formats.md`.

pub mod all;
pub mod compressed;
pub mod executable;
pub mod keras;
pub mod lfs_pointer;
pub mod numpy;
pub mod pickle;
pub mod readers;
pub mod safetensors;
pub mod seven_zip;
pub mod sharded_index;
pub mod tar;
pub mod torch_distcp;
pub mod torch_legacy;
pub mod torch_tar;
pub mod torch_zip;
pub mod zip;

use crate::io::artifact::Artifact;
use crate::observe::format_info::FormatInfo;
use crate::observe::observations::Observations;

/// How sure a format is that the bytes are its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recognition {
    /// Not this format.
    No,
    /// A reader of this format might accept the bytes. It names the artifact only where no format is certain.
    Possible,
    /// It is this format.
    Certain,
}

/// The first bytes of an artifact, read once for all formats.
pub struct Head<'a> {
    /// At most `MAX_HEAD_BYTES` bytes from the start.
    pub start: &'a [u8],
    /// The artifact.
    pub artifact: &'a Artifact,
}

/// A file format.
pub trait Format: Sync {
    /// Its description.
    fn info(&self) -> &'static FormatInfo;

    /// Whether the bytes are of this format.
    fn recognize(&self, head: &Head<'_>) -> Recognition;

    /// Adds everything that is observed in the bytes.
    fn examine(&self, artifact: &Artifact, observations: &mut Observations);
}
