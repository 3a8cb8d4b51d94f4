//! Why a tensor, or all tensors of a file, cannot be converted. One enum for the report; its text is made here.

use crate::bytes::chunks::ChunkError;
use crate::bytes::strided::ViewError;
use crate::bytes::transform::NegationError;
use crate::plan::file_error::{FileError, HeaderError, PartError};
use crate::plan::lossless_parts::parts_of;
use crate::plan::storage_error::{LiteralError, StorageError};
use crate::values::incomplete::IncompleteReason;
use crate::values::tensor::InvalidTensor;

/// Why a tensor, or all tensors of a file, cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The tensors of the file cannot be found.
    File(FileError),
    /// Not all tensors of the pickle can be named.
    Incomplete(IncompleteReason),
    /// The file holds no tensors.
    NoTensors,
    /// There is nothing under the path of `LoadOptions::root`.
    NoSuchRoot {
        /// The topmost paths of the file, where they are known.
        present: Option<Vec<String>>,
    },
    /// All tensors together are larger than `Limits::ratio` times the file.
    TooManyBytes {
        /// Bytes of all tensors; `None` for more than fit in 64 bits.
        len: Option<u64>,
        /// `Limits::ratio`.
        ratio: u64,
    },
    /// The pickle describes the tensor in a way that no library does.
    Invalid(InvalidTensor),
    /// The shape of the tensor is not known.
    UnknownShape,
    /// The tensor is on the `meta` device.
    Meta,
    /// The tensor has more bytes than fit in 64 bits.
    TooLarge,
    /// The view of the storage is not valid.
    View(ViewError),
    /// The neg bit is set, and the negative of such numbers is not defined.
    Negation(NegationError),
    /// The storage of the tensor cannot be used.
    Storage(StorageError),
    /// The bytes in the pickle cannot be used.
    Literal(LiteralError),
    /// The parts do not cover the tensor.
    Chunks(ChunkError),
    /// A part of a distributed checkpoint is not usable.
    Part(PartError),
    /// The tensor is an item of a set.
    SetItem,
    /// The tensor is an argument of a callable that is not known to be inert.
    UnknownCallable {
        /// The name of the callable.
        function: String,
    },
    /// safetensors has no such type or layout; `LoadOptions::lossless_parts` writes parts instead.
    NotInSafetensors {
        /// The type (`complex128`) or layout (`sparse_coo`).
        kind: String,
    },
    /// safetensors reserves the name.
    ReservedName,
    /// Two tensors have the same name once keys are joined.
    DuplicateName,
    /// Two shards hold a tensor of this name.
    InTwoShards {
        /// The name of the tensor.
        name: String,
        /// The two shards.
        files: [String; 2],
    },
    /// The header of the result is not valid.
    Header(HeaderError),
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(error) => write!(f, "{error}"),
            Self::Incomplete(reason) => write!(f, "not all tensors can be named: {reason}"),
            Self::NoTensors => f.write_str("it holds no tensors"),
            Self::NoSuchRoot { present: None } => f.write_str("there is nothing under this path"),
            Self::NoSuchRoot { present: Some(paths) } => {
                let paths = if paths.is_empty() { "nothing with a name".to_owned() } else { paths.join(", ") };
                write!(f, "there is nothing under this path; there is {paths}")
            }
            Self::TooManyBytes { len, ratio } => {
                let len = len.map_or_else(|| "more than 2^64".to_owned(), |len| len.to_string());
                write!(f, "all tensors together have {len} bytes, more than {ratio} times the file: ")?;
                f.write_str("views that repeat a few numbers")
            }
            Self::Invalid(reason) => write!(f, "{reason}"),
            Self::UnknownShape => f.write_str("its shape is not made of whole numbers"),
            Self::Meta => f.write_str("it is on the meta device and has no numbers"),
            Self::TooLarge => f.write_str("its size does not fit in 64 bits"),
            Self::View(error) => write!(f, "{error}"),
            Self::Negation(error) => write!(f, "{error}"),
            Self::Storage(error) => write!(f, "{error}"),
            Self::Literal(error) => write!(f, "{error}"),
            Self::Chunks(error) => write!(f, "{error}"),
            Self::Part(error) => write!(f, "{error}"),
            Self::SetItem => f.write_str("it is in a set, where it has no name"),
            Self::UnknownCallable { function } => {
                write!(f, "it is reached through {function}, and what that makes of it is not known; ")?;
                f.write_str("--root converts a part without it")
            }
            Self::NotInSafetensors { kind } => {
                write!(f, "{kind} has no place in safetensors; --lossless-parts writes {}", parts_of(kind))
            }
            Self::ReservedName => {
                f.write_str("safetensors keeps this name for itself; convert the part that holds it with --root")
            }
            Self::DuplicateName => {
                f.write_str("another tensor has the same name once keys are joined by dots; ")?;
                f.write_str("--root converts one part alone")
            }
            Self::InTwoShards { name, files: [first, second] } => {
                write!(f, "{name} is in {first} and in {second}, and readers take either")
            }
            Self::Header(error) => write!(f, "{error}"),
        }
    }
}

/// As its text: reports hold reasons as strings.
impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! reasons {
    ($($variant:ident($error:ty)),* $(,)?) => {
        $(impl From<$error> for Reason {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

reasons! {
    File(FileError), Incomplete(IncompleteReason), Invalid(InvalidTensor), View(ViewError), Negation(NegationError),
    Storage(StorageError), Literal(LiteralError), Chunks(ChunkError), Part(PartError), Header(HeaderError),
}
