//! Why the bytes of a tensor cannot be found: errors of storages, and of literals and arrays in the pickle itself.

use crate::bytes::latin1_text::TextError;
use crate::bytes::zip_record::RecordError;

/// Why the storage of a tensor cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageError {
    /// The storage is not a persistent id.
    Undeclared,
    /// The persistent id has another form than torch writes.
    UnknownId,
    /// torch has no storage class of this name.
    UnknownClass,
    /// The storage class is not torch's.
    ForeignClass {
        /// Module of the class.
        module: String,
        /// Name of the class.
        class: String,
    },
    /// Two persistent ids give one key different classes, sizes or ranges.
    Ambiguous {
        /// The key.
        key: String,
    },
    /// The storage is on the `meta` device.
    Meta,
    /// The storage has fewer bytes than its persistent id says.
    Short {
        /// The key.
        key: String,
        /// Bytes that the persistent id says.
        declared: u64,
        /// Bytes in the file.
        present: u64,
    },
    /// There is no storage of this key.
    Missing {
        /// The key.
        key: String,
    },
    /// There is no record for the storage in the zip.
    RecordMissing {
        /// The name of the record.
        name: String,
    },
    /// The record of the storage cannot be used.
    Record(RecordError),
    /// The pickle is not part of a checkpoint: its storages are in other files.
    External,
    /// Offset and number of elements of a view are not integers.
    ViewNumbers {
        /// The key of the storage.
        key: String,
    },
    /// A view counts in other elements than its tensor.
    ViewElement {
        /// The key of the storage.
        key: String,
    },
    /// A view reaches out of its storage.
    ViewOutOfBounds {
        /// The key of the storage.
        key: String,
    },
    /// A storage of a torch tar is a view of a view.
    ViewOfView {
        /// The key of the storage.
        key: String,
    },
    /// A tensor key outside of a torch tar.
    NotInTar {
        /// The key.
        key: String,
    },
    /// There is no tensor of this key in the torch tar.
    TensorMissing {
        /// The key.
        key: String,
    },
    /// The storage class in a torch tar is unknown.
    UnknownTarClass,
    /// The offset of the tensor does not fit in 64 bits.
    OffsetTooLarge,
    /// The storage of packed numbers does not fit in 64 bits.
    PackedTooLarge,
    /// The tensor is a part of packed numbers.
    PackedView,
}

impl std::fmt::Display for StorageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Undeclared => f.write_str("its storage is not known"),
            Self::UnknownId => f.write_str("its storage is named in no way that torch knows"),
            Self::UnknownClass => f.write_str("its storage is of a class that torch does not have"),
            Self::ForeignClass { module, class } => {
                write!(f, "its storage is of the class {module}.{class}, which is none of torch")
            }
            Self::Ambiguous { key } => {
                write!(f, "storage {key} is named in two ways, of which torch takes the first")
            }
            Self::Meta => f.write_str("its storage is on the meta device and has no numbers"),
            Self::Short { key, declared, present } => {
                write!(f, "storage {key} is said to have {declared} bytes and has {present}")
            }
            Self::Missing { key } => write!(f, "storage {key} is not there"),
            Self::RecordMissing { name } => write!(f, "its record {name} is not there"),
            Self::Record(error) => write!(f, "{error}"),
            Self::External => {
                f.write_str("its numbers are in a file beside the pickle, by a name that only its program knows")
            }
            Self::ViewNumbers { key } => write!(f, "the view of storage {key} is not made of whole numbers"),
            Self::ViewElement { key } => {
                write!(f, "a view of storage {key} counts in other elements than its tensor")
            }
            Self::ViewOutOfBounds { key } => write!(f, "a view reaches out of storage {key}"),
            Self::ViewOfView { key } => write!(f, "storage {key} is a view of a view"),
            Self::NotInTar { key } => write!(f, "its numbers are elsewhere, under the name {key}"),
            Self::TensorMissing { key } => write!(f, "tensor {key} is not there"),
            Self::UnknownTarClass => f.write_str("an unknown class of storage"),
            Self::OffsetTooLarge => f.write_str("its offset does not fit in 64 bits"),
            Self::PackedTooLarge => f.write_str("its storage does not fit in 64 bits"),
            Self::PackedView => f.write_str("it is a view into packed numbers"),
        }
    }
}

impl From<RecordError> for StorageError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

/// Why a literal of the pickle, or an array between its opcodes, does not give the bytes of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiteralError {
    /// The literal has 4 GiB or more.
    TooLarge,
    /// The literal reaches out of the file.
    CutOff,
    /// The text does not stand for bytes.
    Text(TextError),
    /// The bytes are not a literal of the pickle.
    NotLiteral,
    /// The bytes are a text in another encoding than latin-1.
    Encoding {
        /// The encoding.
        codec: String,
    },
    /// The bytes are the result of a call.
    Computed {
        /// The function.
        function: String,
    },
    /// There is no array behind the wrapper of joblib.
    ArrayMissing,
    /// The array between the opcodes is shorter than its shape says.
    ArrayLength,
    /// The array between the opcodes reaches out of the file.
    ArrayCutOff,
    /// Shape and number of bytes do not agree.
    Length {
        /// Bytes of an array of this shape.
        expected: u64,
        /// Bytes in the pickle.
        present: u64,
    },
}

impl std::fmt::Display for LiteralError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge => f.write_str("a literal of 4 GiB or more"),
            Self::CutOff => f.write_str("its bytes are cut off"),
            Self::Text(error) => write!(f, "{error}"),
            Self::NotLiteral => f.write_str("its bytes are not in the pickle"),
            Self::Encoding { codec } => write!(f, "its bytes are a text in {codec}"),
            Self::Computed { function } => write!(f, "its bytes are what {function} makes"),
            Self::ArrayMissing => f.write_str("its array is not in the stream"),
            Self::ArrayLength => f.write_str("its array has another length"),
            Self::ArrayCutOff => f.write_str("its array is cut off"),
            Self::Length { expected, present } => write!(f, "its shape takes {expected} bytes, {present} are there"),
        }
    }
}

impl From<TextError> for LiteralError {
    fn from(error: TextError) -> Self {
        Self::Text(error)
    }
}
