//! An artifact: bytes to examine, their path, and what is known of their role in the file.

use crate::io::budget::ScanBudget;
use crate::io::member_path::MemberPath;
use crate::io::source::SharedSource;

/// A file, a member of an archive, a decoded stream or a literal inside a pickle.
#[derive(Clone)]
pub struct Artifact {
    /// Its path inside the file.
    pub member_path: MemberPath,
    /// The name that a loader would use: file name or member path. A hint, never a verdict.
    pub name: String,
    /// The bytes.
    pub source: SharedSource,
    /// How deep it is nested; 0 for the file itself.
    pub depth: usize,
    /// Its role in the artifact around it.
    pub role: Role,
    /// The limits and the deadline of the file.
    pub budget: ScanBudget,
}

/// What a member is for, according to the artifact around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Unknown: every format that recognizes it examines it.
    #[default]
    Unknown,
    /// Raw tensor data. Bytes that look like a pickle are chance there; a real header is not.
    TensorData,
    /// The `storages` of torch's tar: small pickles with raw numbers between them.
    TarStorages,
    /// The `tensors` of torch's tar: likewise.
    TarTensors,
    /// The configuration of a Keras model.
    KerasConfig,
    /// The weights of a Keras model, which Keras reads as HDF5 whatever the bytes are.
    KerasWeights,
    /// A literal inside a pickle: examined only where it clearly is of some format.
    Literal,
}
