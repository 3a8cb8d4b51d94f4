//! Errors of the loader. Each has a reason to match on; its text is made here, from the place, the reason and a hint.

use crate::plan::draft::Refused;
use crate::plan::file_error::FileError;
use scanner::report::ArtifactReport;
use scanner::{Finding, Verdict};
use std::path::{Path, PathBuf};

/// Why nothing was loaded or written.
#[derive(Debug)]
pub enum Error {
    /// The scan did not clear the file: the report says why.
    NotCleared(Box<ArtifactReport>),
    /// Tensors are arguments of callables that are not known to be inert.
    UnknownCallable(Vec<Refused>),
    /// Tensors that cannot be converted, each with the reason.
    NotConvertible(Vec<Refused>),
    /// A file could not be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// The bytes of a member do not have the checksum that the archive gives.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The member.
        member: String,
    },
    /// The file changed while it was read.
    Changed(PathBuf),
    /// The result differs from its source.
    Verify {
        /// The result.
        path: PathBuf,
        /// The difference.
        reason: VerifyError,
    },
    /// `WriteOptions::stop` was set.
    Interrupted,
    /// The request cannot be carried out.
    Usage {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: UsageError,
    },
}

/// Why a request cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageError {
    /// The file exists already.
    OutputExists,
    /// Two inputs have the same result.
    SameOutput,
    /// The report has the path of an input or a result.
    ReportOverwrites,
    /// The folder is not a checkpoint.
    NotACheckpoint,
    /// The index of a sharded checkpoint is not valid.
    Index(IndexError),
    /// The metadata of a distributed checkpoint is not valid.
    Metadata(MetadataError),
}

/// Why the index of a sharded checkpoint is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexError {
    /// It has more bytes than are read.
    TooLong {
        /// Bytes of the index.
        len: u64,
    },
    /// It is not JSON; the message of `serde_json`.
    Json(String),
    /// It has no `weight_map`.
    NoWeightMap,
    /// It names a file outside of its folder.
    OutsideFolder,
    /// A shard does not have a tensor that the index says it has.
    Missing {
        /// The name of the tensor.
        name: String,
        /// The name of the shard.
        file: String,
    },
}

/// Why the `.metadata` of a distributed checkpoint is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataError {
    /// Its pickle was not read.
    File(FileError),
    /// It names a file outside of its folder.
    OutsideFolder {
        /// The name of the file.
        file: String,
    },
    /// The pickle has no value.
    Empty,
    /// The value is not a `Metadata` object.
    NotMetadata,
    /// It has no `state_dict_metadata`.
    NoTensors,
    /// The name of a tensor is not a text.
    TensorName,
    /// The shape of a tensor or of one of its parts is not made of integers.
    Shape,
    /// It has no `storage_data`.
    NoLocations,
    /// The key of a location is not a `MetadataIndex`.
    LocationIndex,
    /// A location has no tensor name.
    LocationName,
    /// The offset of a part is not made of integers.
    PartOffset,
    /// A table is not a dict, or has more entries than the scan keeps.
    Table,
    /// A location is not an object with a state.
    Location,
    /// Parts are compressed or encrypted.
    Transforms,
    /// A location has no file, offset or length.
    LocationRange,
}

/// How a result differs from its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyError {
    /// The header is longer than readers accept.
    HeaderLength {
        /// Bytes of the header.
        len: u64,
    },
    /// The safetensors crate does not accept the header; the message of `serde_json`.
    Header(String),
    /// A tensor is missing.
    Missing {
        /// The name of the tensor.
        name: String,
    },
    /// A tensor has another type or shape.
    TypeOrShape {
        /// The name of the tensor.
        name: String,
    },
    /// A tensor has other bytes.
    Bytes {
        /// The name of the tensor.
        name: String,
        /// Offset in the tensor of the block that differs.
        offset: u64,
    },
    /// The file holds more than the tensors of the plan.
    Surplus,
}

impl Error {
    /// Whether the reason is what the file does when it is loaded, rather than its contents or an error of the system.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::UnknownCallable(_) => true,
            Self::NotCleared(report) => {
                let unread = |finding: &Finding| matches!(finding.rule, "not-fully-read" | "malformed-pickle");
                let mut worse = report.findings.iter().filter(|finding| finding.verdict > Verdict::NotScanned);
                report.verdict != Verdict::NotScanned && worse.any(|finding| !unread(finding))
            }
            Self::NotConvertible(_)
            | Self::Io { .. }
            | Self::Damaged { .. }
            | Self::Changed(_)
            | Self::Verify { .. }
            | Self::Interrupted
            | Self::Usage { .. } => false,
        }
    }

    /// The file that the error is about. `None` where it is about tensors, or about none.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::NotCleared(report) => Some(Path::new(&report.path)),
            Self::Io { path, .. }
            | Self::Damaged { path, .. }
            | Self::Changed(path)
            | Self::Verify { path, .. }
            | Self::Usage { path, .. } => Some(path),
            Self::UnknownCallable(_) | Self::NotConvertible(_) | Self::Interrupted => None,
        }
    }

    /// What the user can do, or the state that the error leaves behind. Part of the text.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Changed(_) => Some("try again when nobody writes to it"),
            Self::Verify { .. } | Self::Interrupted => Some("nothing was left behind"),
            Self::Io { error, .. } if error.kind() == std::io::ErrorKind::StorageFull => {
                Some("nothing was left behind")
            }
            Self::Usage { reason: UsageError::OutputExists, .. } => Some("--force replaces it"),
            Self::Usage { reason: UsageError::SameOutput, .. } => Some("convert them one by one"),
            Self::Usage { reason: UsageError::NotACheckpoint, .. } => Some("name its files"),
            Self::NotCleared(_)
            | Self::UnknownCallable(_)
            | Self::NotConvertible(_)
            | Self::Io { .. }
            | Self::Damaged { .. }
            | Self::Usage { .. } => None,
        }
    }

    /// For `map_err` on operations of this file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
    }

    /// An invalid request about this file or folder.
    pub fn usage(path: &Path, reason: UsageError) -> Self {
        Self::Usage { path: path.to_owned(), reason }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotCleared(report) => {
                let verdict = report.verdict.as_str();
                write!(f, "{} is {verdict}: only what is clean is loaded", report.path)?;
                if let Some(worst) = report.findings.iter().max_by_key(|finding| (finding.verdict, finding.severity)) {
                    write!(f, "; {}: {}", worst.rule, worst.message)?;
                }
            }
            Self::UnknownCallable(refused) | Self::NotConvertible(refused) => {
                for (index, Refused { name, why }) in refused.iter().enumerate() {
                    if index > 0 {
                        f.write_str("\n")?;
                    }
                    if !name.is_empty() {
                        write!(f, "{name}: ")?;
                    }
                    write!(f, "{why}")?;
                }
            }
            Self::Io { path, error } if error.kind() == std::io::ErrorKind::StorageFull => {
                write!(f, "{}: the disk is full", path.display())?;
            }
            Self::Io { path, error } => write!(f, "{}: {error}", path.display())?,
            Self::Damaged { path, member } => {
                write!(f, "{}::{member} is damaged: its bytes are not those of its checksum", path.display())?;
            }
            Self::Changed(path) => write!(f, "{}: the file changed while it was read", path.display())?,
            Self::Verify { path, reason } => write!(f, "{}: {reason}", path.display())?,
            Self::Interrupted => f.write_str("interrupted")?,
            Self::Usage { path, reason: UsageError::OutputExists } => {
                write!(f, "{} is already there", path.display())?;
            }
            Self::Usage { path, reason } => write!(f, "{}: {reason}", path.display())?,
        }
        self.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::NotCleared(_)
            | Self::UnknownCallable(_)
            | Self::NotConvertible(_)
            | Self::Damaged { .. }
            | Self::Changed(_)
            | Self::Verify { .. }
            | Self::Interrupted
            | Self::Usage { .. } => None,
        }
    }
}

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OutputExists => f.write_str("the file is already there"),
            Self::SameOutput => f.write_str("two inputs would be written there"),
            Self::ReportOverwrites => f.write_str("the report would be written over it"),
            Self::NotACheckpoint => f.write_str(
                "neither a distributed checkpoint (.metadata) nor a sharded one (an index beside its shards)",
            ),
            Self::Index(error) => write!(f, "{error}"),
            Self::Metadata(error) => write!(f, "{error}"),
        }
    }
}

impl std::fmt::Display for IndexError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong { len } => write!(f, "an index of {len} bytes"),
            Self::Json(error) => write!(f, "the index is no JSON: {error}"),
            Self::NoWeightMap => f.write_str("it has no weight_map"),
            Self::OutsideFolder => f.write_str("it names a file that does not stand beside it"),
            Self::Missing { name, file } => write!(f, "{name} should be in {file} and is not"),
        }
    }
}

impl std::fmt::Display for MetadataError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(error) => return write!(f, "{error}"),
            Self::OutsideFolder { file } => return write!(f, "it names {file:?}, which does not stand beside it"),
            Self::Empty => "it has no value",
            Self::NotMetadata => "it is no metadata of a distributed checkpoint",
            Self::NoTensors => "it names no tensors",
            Self::TensorName => "a tensor has no name that is a text",
            Self::Shape => "the shape of a tensor is not made of whole numbers",
            Self::NoLocations => "it names no places",
            Self::LocationIndex => "a place has no index",
            Self::LocationName => "a place has no name",
            Self::PartOffset => "the offset of a part is not made of whole numbers",
            Self::Table => "a table of it is none, or has more entries than are kept",
            Self::Location => "a place is none",
            Self::Transforms => "its parts went through transforms (compression), which are not read",
            Self::LocationRange => "a place has no file, offset or length",
        })
    }
}

impl std::fmt::Display for VerifyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HeaderLength { len } => write!(f, "its header is said to have {len} bytes"),
            Self::Header(error) => write!(f, "its header is not valid: {error}"),
            Self::Missing { name } => write!(f, "{name} is not in it"),
            Self::TypeOrShape { name } => write!(f, "{name} has another type or shape"),
            Self::Bytes { name, offset } => write!(f, "{name} differs from its source behind byte {offset}"),
            Self::Surplus => f.write_str("it holds more than was planned"),
        }
    }
}
