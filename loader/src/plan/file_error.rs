//! Why the tensors of a file, or of a part of a distributed checkpoint, cannot be planned.

use crate::bounds::MAX_HEADER_BYTES;
use crate::bytes::dtype::Dtype;
use crate::bytes::zip_record::RecordError;

/// Why the tensors of a file cannot be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileError {
    /// The loader does not read tensors of this format; `None` for an unknown one.
    Format(Option<&'static str>),
    /// The file is a part of a distributed checkpoint.
    DistributedPart,
    /// The file is empty.
    Empty,
    /// A part of the file was not examined.
    NotExamined,
    /// The zip is not a checkpoint of torch.
    NotTorch,
    /// Readers of the zip find different entries.
    Misleading {
        /// What differs.
        what: String,
    },
    /// The zip of torch has no `data.pkl`.
    NoPickle,
    /// `data.pkl` was not examined.
    PickleNotExamined,
    /// A record of the zip cannot be used.
    Record(RecordError),
    /// No zip starts at this offset of the file.
    NoZipAt {
        /// The offset.
        offset: u64,
    },
    /// The zip at this offset has another length.
    ZipLength {
        /// The offset.
        offset: u64,
        /// The length that the metadata says.
        length: u64,
    },
    /// The storages behind the pickle were not found.
    NoStorages,
    /// A member of a torch tar was not examined.
    TarMembers,
    /// The compressed file holds neither a pickle nor an array.
    CompressedContent,
    /// The zip holds neither a checkpoint of torch nor arrays of numpy.
    ZipContent,
    /// The array holds Python objects.
    ObjectArray,
    /// The header of a safetensors file was not read.
    Header,
    /// safetensors has a type that the loader does not know.
    Dtype {
        /// The name of the type.
        name: String,
    },
    /// The shape does not take the bytes of the tensor's range.
    ShapeLength {
        /// Bytes of the range.
        len: u64,
    },
    /// The elements of an array reach out of the file.
    CutOff,
    /// The elements of an array have another length than its shape says.
    ArrayLength {
        /// Number of elements of the shape.
        count: u64,
        /// Bytes of an element.
        element_size: u64,
        /// Bytes in the file.
        present: u64,
    },
    /// The pickle was not found.
    NoTrace,
    /// The pickle does not end with STOP.
    TraceEnd {
        /// How it ends.
        end: String,
    },
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Format(format) => {
                let format = format.unwrap_or("a format that is not known");
                write!(f, "{format} is no format whose tensors the loader reads")
            }
            Self::DistributedPart => {
                f.write_str("it is a part of a distributed checkpoint; convert the folder that holds `.metadata`")
            }
            Self::Empty => f.write_str("it is empty"),
            Self::NotExamined => f.write_str("it is not there"),
            Self::NotTorch => f.write_str("it is no checkpoint of torch"),
            Self::Misleading { what } => write!(f, "readers of its zip disagree: {what}"),
            Self::NoPickle => f.write_str("it has no data.pkl"),
            Self::PickleNotExamined => f.write_str("its data.pkl was not looked at"),
            Self::Record(error) => write!(f, "{error}"),
            Self::NoZipAt { offset } => write!(f, "no part of it stands at {offset}"),
            Self::ZipLength { offset, length } => {
                write!(f, "its part at {offset} has another length than {length}")
            }
            Self::NoStorages => f.write_str("its storages could not be found"),
            Self::TarMembers => f.write_str("its three members were not all looked at"),
            Self::CompressedContent => {
                f.write_str("what is compressed in it is neither a pickle nor an array of numpy")
            }
            Self::ZipContent => f.write_str("it is a zip, neither of torch nor with arrays of numpy in it"),
            Self::ObjectArray => f.write_str("it is an array of objects"),
            Self::Header => f.write_str("its header could not be read"),
            Self::Dtype { name } => write!(f, "its type {name} is not known here"),
            Self::ShapeLength { len } => {
                write!(f, "its shape takes another number of bytes than the {len} of its place")
            }
            Self::CutOff => f.write_str("its numbers are cut off"),
            Self::ArrayLength { count, element_size, present } => {
                write!(f, "its shape takes {count} times {element_size} bytes, {present} are there")
            }
            Self::NoTrace => f.write_str("its pickle was not found"),
            Self::TraceEnd { end } => write!(f, "its pickle cannot be followed to its end: {end}"),
        }
    }
}

impl From<RecordError> for FileError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

/// Why the parts of a tensor of a distributed checkpoint do not make up the tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartError {
    /// The metadata has no file for the part at these indices.
    NoLocation {
        /// First index of the part in each dimension.
        offsets: Vec<u64>,
    },
    /// The file of the part was not opened.
    FileNotOpened,
    /// The part has another shape than the metadata says.
    Shape {
        /// First index of the part in each dimension.
        offsets: Vec<u64>,
        /// The shape in the file.
        found: Vec<u64>,
        /// The shape in the metadata.
        expected: Vec<u64>,
    },
    /// The parts have different element types.
    DifferentDtypes,
    /// The parts have another element type than the metadata says.
    Dtype {
        /// The type in the files.
        found: Dtype,
        /// The type in the metadata.
        expected: Dtype,
    },
    /// The tensor has no parts.
    NoParts,
    /// The tensor has two elements in a byte and no dimension.
    NoDimension,
    /// The file of a part does not hold a tensor.
    NotTensor,
    /// The file of a part holds something else than one tensor without a key.
    NotPlainTensor,
}

impl std::fmt::Display for PartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoLocation { offsets } => write!(f, "its part at {offsets:?} has no place"),
            Self::FileNotOpened => f.write_str("its file was not opened"),
            Self::Shape { offsets, found, expected } => {
                write!(f, "its part at {offsets:?} has the shape {found:?} and should have {expected:?}")
            }
            Self::DifferentDtypes => f.write_str("its parts have different types"),
            Self::Dtype { found, expected } => write!(f, "its parts are {found} and should be {expected}"),
            Self::NoParts => f.write_str("it has no parts"),
            Self::NoDimension => f.write_str("two numbers in a byte, and no dimension"),
            Self::NotTensor => f.write_str("its part is no tensor"),
            Self::NotPlainTensor => f.write_str("its part is no plain tensor"),
        }
    }
}

/// Why the header of a result is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// It has more bytes than readers accept.
    TooLong {
        /// Bytes of the header.
        len: u64,
    },
    /// It cannot be written as JSON; the message of `serde_json`.
    Json(String),
    /// The safetensors crate does not accept it; the message of `serde_json`.
    Invalid(String),
    /// The safetensors crate finds more or fewer tensors.
    TensorCount,
    /// The safetensors crate finds a tensor with another type, shape or offset.
    Tensor {
        /// The name of the tensor.
        name: String,
    },
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong { len } => write!(f, "the header would have {len} bytes, readers take {MAX_HEADER_BYTES}"),
            Self::Json(error) => f.write_str(error),
            Self::Invalid(error) => write!(f, "the header is not valid: {error}"),
            Self::TensorCount => f.write_str("the header is not valid: it has other tensors than were meant"),
            Self::Tensor { name } => write!(f, "the header is not valid: {name:?} is not what was meant"),
        }
    }
}
