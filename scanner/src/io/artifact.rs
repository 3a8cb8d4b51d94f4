//! One thing to look at: some bytes, where they stand, and what is already known about their part in a larger whole.

use crate::io::budget::ScanBudget;
use crate::io::member_path::MemberPath;
use crate::io::source::SharedSource;

/// A file, a member of an archive, a decoded stream or a literal inside a pickle.
#[derive(Clone)]
pub struct Artifact {
    /// Where it stands inside the file.
    pub member_path: MemberPath,
    /// The name by which a loader would know it: file name or member path. A hint, never a verdict.
    pub name: String,
    /// The bytes.
    pub source: SharedSource,
    /// How deep it is nested; 0 for the file itself.
    pub depth: usize,
    /// What the whole around it says it is.
    pub role: Role,
    /// The bounds and the clock of the whole file.
    pub budget: ScanBudget,
}

/// What the artifact around a member says the member is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Nothing is known: every format that could read it looks at it.
    #[default]
    Unknown,
    /// Raw numbers of a tensor: a pickle by chance is no news there, a real header is.
    TensorData,
    /// The `storages` of torch's tar: small pickles with raw numbers between them.
    TarStorages,
    /// The `tensors` of torch's tar: likewise.
    TarTensors,
    /// The configuration of a Keras model.
    KerasConfig,
    /// The weights of a Keras model, which it reads as HDF5 whatever they look like.
    KerasWeights,
    /// A literal inside a pickle: looked into only where it clearly is something.
    Literal,
}
