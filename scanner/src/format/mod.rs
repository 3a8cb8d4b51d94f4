//! Formats: recognized by content, each looking at the bytes the way its readers do.

pub mod compressed;
pub mod executable;
pub mod lfs_pointer;
pub mod numpy;
pub mod readers;
pub mod safetensors;
pub mod seven_zip;
pub mod tar;
pub mod zip;

use crate::io::artifact::Artifact;
use crate::observe::observations::Observations;

/// How sure a format is that the bytes are its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recognition {
    /// Not this format.
    No,
    /// A reader of this format might accept the bytes; it looks too, but does not give the artifact its name.
    Possible,
    /// It is this format.
    Certain,
}

/// The first bytes of an artifact, read once for all formats.
pub struct Head<'a> {
    /// Up to 4,096 bytes from the start.
    pub start: &'a [u8],
    /// The artifact.
    pub artifact: &'a Artifact,
}

/// A file format.
pub trait Format: Sync {
    /// Its name in reports (`torch-zip`, `pickle`): the name of its file.
    fn id(&self) -> &'static str;

    /// Whether the bytes are of this format.
    fn recognize(&self, head: &Head<'_>) -> Recognition;

    /// States everything that is to be seen in them.
    fn examine(&self, artifact: &Artifact, observations: &mut Observations);

    /// The more general format whose part this one takes where both claim the bytes.
    fn instead_of(&self) -> Option<&'static str> {
        None
    }

    /// Whether loading this format may run what the file says. Two such formats over the same bytes are a polyglot.
    fn acts(&self) -> bool {
        false
    }
}

pub mod all;
pub mod keras;
pub mod pickle;
pub mod sharded_index;
pub mod torch_distcp;
pub mod torch_legacy;
pub mod torch_tar;
pub mod torch_zip;
