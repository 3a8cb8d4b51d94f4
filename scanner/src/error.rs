//! Why there is no report. The bytes of a file are never the reason: broken bytes are facts in a report.
//!
//! `Display` gives the reason and the hint. The place is for the caller, whose reports have a field for it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An input that could not be scanned, inspected or cleared; a setting that is not valid.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to open or read a file.
    Io {
        /// The file.
        path: PathBuf,
        /// The answer of the operating system.
        error: io::Error,
    },
    /// A path is not a file or folder that can be listed.
    NotListed {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file was written to while it was read.
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file has no member of that name.
    NoMember {
        /// The file.
        path: PathBuf,
        /// The name.
        member: String,
    },
    /// An [`InputProvider`](crate::providers::InputProvider) cannot open an input.
    Unavailable {
        /// The input, as reports call it.
        input: String,
        /// Why. Holds no secret.
        reason: String,
    },
    /// A read failed or gave other bytes than an earlier one, and no format is known that tells what is missing.
    Unreliable {
        /// The input, as reports call it.
        input: String,
        /// What failed.
        reason: String,
    },
    /// The bytes are not the Git LFS object that a pointer names.
    WrongObject {
        /// The input, as reports call it.
        input: String,
        /// The SHA-256 of the bytes.
        sha256: String,
    },
    /// A pattern for paths that git would never match.
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
    }

    /// The file or input.
    pub fn place(&self) -> String {
        match self {
            Self::Io { path, .. }
            | Self::NotListed { path, .. }
            | Self::Changed { path }
            | Self::NoMember { path, .. } => path.to_string_lossy().into_owned(),
            Self::Unavailable { input, .. } | Self::Unreliable { input, .. } | Self::WrongObject { input, .. } => {
                input.clone()
            }
            Self::InvalidPattern { pattern, .. } => pattern.clone(),
        }
    }

    /// What the user can do.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Changed { .. } => Some("try again when nobody writes to it"),
            Self::NoMember { .. } => Some("`modelscan inspect` without it lists them"),
            Self::Io { .. }
            | Self::NotListed { .. }
            | Self::Unavailable { .. }
            | Self::Unreliable { .. }
            | Self::WrongObject { .. }
            | Self::InvalidPattern { .. } => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { error, .. } => write!(f, "{error}"),
            Self::NotListed { reason, .. } | Self::Unavailable { reason, .. } | Self::Unreliable { reason, .. } => {
                f.write_str(reason)
            }
            Self::InvalidPattern { pattern, reason } => write!(f, "{pattern:?} is not a valid pattern: {reason}"),
            Self::Changed { .. } => f.write_str("the file changed while it was read"),
            Self::NoMember { member, .. } => write!(f, "there is no member {member}"),
            Self::WrongObject { sha256, .. } => {
                write!(f, "its SHA-256 is {sha256} and not the one that the pointer names")
            }
        }?;
        self.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Io { error, .. } = self { Some(error) } else { None }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { error, .. } => error,
            other => Self::other(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_a_place_a_reason_and_a_hint() {
        let error = Error::NoMember { path: "a.zip".into(), member: "b".to_owned() };
        assert_eq!(error.place(), "a.zip");
        assert_eq!(error.to_string(), "there is no member b; `modelscan inspect` without it lists them");
        let error = Error::Unavailable { input: "https://host/a".to_owned(), reason: "404".to_owned() };
        assert_eq!((error.place().as_str(), error.to_string().as_str(), error.hint()), ("https://host/a", "404", None));
    }
}
