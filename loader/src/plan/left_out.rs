//! Parts of a source that are not converted, with the reason.

use crate::values::value_kind::ValueKind;

/// A part of the source that is not converted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// Its path of keys, or its name in the archive.
    pub name: String,
    /// What it is, or why it is left out.
    pub why: LeftOutReason,
    /// Whether it is a tensor.
    pub tensor: bool,
}

/// Why a part of the source is not converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOutReason {
    /// A value of the pickle that is not a tensor.
    Value(ValueKind),
    /// A tensor outside of `LoadOptions::root`.
    OutsideRoot,
    /// A tensor that is an attribute of a module, but neither parameter nor buffer.
    ModuleAttribute,
    /// A buffer with `persistent=False`.
    NonPersistentBuffer,
    /// A tensor that is an attribute of a tensor or of a state dict.
    ObjectAttribute,
    /// A tensor that is a key of a dict.
    DictKey,
    /// A storage without a tensor.
    BareStorage,
    /// The program of a TorchScript archive.
    Program,
    /// Pickles behind the first one of a file.
    MorePickles {
        /// Their number.
        count: usize,
    },
    /// A member of an `.npz` file that is not an array.
    NotArray,
    /// An entry of a distributed checkpoint that is not a tensor.
    NotTensor,
    /// `__metadata__` of a safetensors file that is too long to be kept.
    LongMetadata,
}

impl std::fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Value(kind) => return write!(f, "{kind}"),
            Self::OutsideRoot => "it stands outside of the part that is converted",
            Self::ModuleAttribute => "it is neither parameter nor buffer of its module",
            Self::NonPersistentBuffer => "it is a buffer that its module does not keep in state dicts",
            Self::ObjectAttribute => "it is an attribute of what stands there, and no part of it",
            Self::DictKey => "it is a key of a dict, and no name leads to it",
            Self::BareStorage => "it is a storage, and no tensor says what shape it has",
            Self::Program => "the program of a TorchScript archive, and its constants",
            Self::MorePickles { count } => return write!(f, "{count} more pickles behind the first one"),
            Self::NotArray => "a member that is no array of numpy",
            Self::NotTensor => "a value that is no tensor",
            Self::LongMetadata => "more than 16 MiB",
        })
    }
}

/// As its text: reports hold reasons as strings.
impl serde::Serialize for LeftOutReason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
