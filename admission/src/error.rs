//! Why a folder cannot be locked, copied, converted or delivered.
//!
//! `Display` gives place, reason and hint as one sentence.

use crate::difference::Difference;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The default file name of a lock.
pub const LOCK_NAME: &str = "modelscan.lock";
/// Name and version of the layout of a lock.
pub const LOCK_SCHEMA: &str = "modelscan.lock/1";

/// A lock, a destination or a file that cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    Io {
        /// The file.
        path: PathBuf,
        /// The answer of the operating system.
        error: io::Error,
    },
    /// The text is not a lock.
    InvalidLock(LockFault),
    /// The destination holds other files than this program put there.
    DestinationTaken {
        /// The destination.
        path: PathBuf,
        /// What is there.
        fault: DestinationFault,
    },
    /// The source has a file with the name of the lock that is written to the destination.
    LockInSource,
    /// Weights cannot be converted.
    Convert(Box<loader::Error>),
    /// The caller asked to stop.
    Interrupted,
}

/// A file or folder that cannot be admitted whatever its content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name below the folder.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why text is not a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockFault {
    /// Not the JSON of a lock: the message of the parser.
    Syntax(String),
    /// Another schema.
    Schema(String),
    /// A path that leads out of the folder.
    Path(String),
    /// Text that is not a SHA-256.
    Hash {
        /// The text.
        sha256: String,
        /// The file.
        path: String,
    },
    /// This file is not in order, or is listed twice.
    Order(String),
}

/// Why a destination is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationFault {
    /// A file of this name, and no lock.
    ForeignFile(String),
    /// The lock has more than 256 MiB.
    LockTooLong,
    /// The lock is not one.
    InvalidLock(LockFault),
    /// A file is not as the lock says.
    Changed(Difference),
    /// A file cannot be read.
    Problem(Problem),
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
    }

    /// The file or folder, where the error is about one.
    pub fn place(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. } | Self::DestinationTaken { path, .. } => Some(path),
            Self::InvalidLock(_) | Self::LockInSource | Self::Convert(_) | Self::Interrupted => None,
        }
    }

    /// What the user can do about it.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::DestinationTaken { .. } => Some("empty it"),
            Self::LockInSource => Some("name it by --lock or take it away"),
            Self::Io { .. } | Self::InvalidLock(_) | Self::Convert(_) | Self::Interrupted => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::InvalidLock(fault) => write!(f, "{fault}"),
            Self::DestinationTaken { path, fault } => write!(f, "{}: {fault}", path.display()),
            Self::LockInSource => write!(f, "the source has a {} of its own", LOCK_NAME),
            Self::Convert(error) => write!(f, "{error}"),
            Self::Interrupted => f.write_str("interrupted"),
        }?;
        self.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Error {}

impl From<loader::Error> for Error {
    fn from(error: loader::Error) -> Self {
        if matches!(error, loader::Error::Interrupted) { Self::Interrupted } else { Self::Convert(Box::new(error)) }
    }
}

impl fmt::Display for LockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "no lock: {error}"),
            Self::Schema(schema) => {
                write!(f, "a lock of the layout {schema:?}; this program reads {}", LOCK_SCHEMA)
            }
            Self::Path(path) => write!(f, "no lock: {path:?} is no name below a folder"),
            Self::Hash { sha256, path } => write!(f, "no lock: {sha256:?} is no SHA-256, of {path:?}"),
            Self::Order(path) => write!(f, "no lock: its files are not sorted, or {path:?} stands twice"),
        }
    }
}

impl fmt::Display for DestinationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignFile(name) => write!(f, "{name} is there, and no lock of ours"),
            Self::LockTooLong => f.write_str("its lock is too long"),
            Self::InvalidLock(fault) => write!(f, "{fault}"),
            Self::Changed(difference) => write!(f, "it is not what was put there: {difference}"),
            Self::Problem(problem) => write!(f, "{}: {}", problem.path, problem.reason),
        }
    }
}
