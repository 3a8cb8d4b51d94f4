//! Why a command ends without a result.
//!
//! `Display` gives place, reason and hint as one sentence.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A wrong command line, a wrong file that it names, or output that cannot be written.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// An error that concerns this option, key or file.
    At {
        /// The option, key or file.
        place: String,
        /// What is wrong there.
        error: Box<Self>,
    },
    /// A value that is not valid.
    Usage {
        /// What is wrong with it.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// A name that does not exist.
    Unknown {
        /// What the name is for: `rule`, `limit`, ...
        kind: &'static str,
        /// The name.
        name: String,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// A file that would be replaced.
    Exists(PathBuf),
    /// A file that cannot be read.
    Io(io::Error),
    /// A file that has more than this many bytes.
    TooLarge(u64),
    /// git failed.
    Git {
        /// The subcommand of git.
        command: String,
        /// The working tree.
        folder: PathBuf,
        /// The first line that git printed.
        reason: String,
    },
    /// An address or a setting of the network is not valid.
    Remote(remote::Error),
    /// A lock or a destination is not valid.
    Admission(admission::Error),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl CommandError {
    pub(crate) fn usage(reason: impl Into<String>) -> Self {
        Self::Usage { reason: reason.into(), hint: None }
    }

    pub(crate) fn usage_with_hint(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { reason: reason.into(), hint: Some(hint.into()) }
    }

    /// A name that is not among `known`.
    pub(crate) fn unknown<'a>(kind: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        Self::Unknown { kind, name: name.to_owned(), nearest: nearest(name, known).map(str::to_owned) }
    }

    /// Adds the option, key or file that the error concerns.
    pub(crate) fn at(self, place: impl Into<String>) -> Self {
        Self::At { place: place.into(), error: Box::new(self) }
    }

    /// As [`at`](Self::at), for a file.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        self.at(path.display().to_string())
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { place, error } => write!(f, "{place}: {error}"),
            Self::Usage { reason, hint: None } => f.write_str(reason),
            Self::Usage { reason, hint: Some(hint) } => write!(f, "{reason}; {hint}"),
            Self::Unknown { kind, name, nearest: None } => write!(f, "there is no {kind} {name:?}"),
            Self::Unknown { kind, name, nearest: Some(nearest) } => {
                write!(f, "there is no {kind} {name:?}; did you mean {nearest:?}?")
            }
            Self::Exists(path) => write!(f, "{} is there already; --force replaces it", path.display()),
            Self::Io(error) => write!(f, "{error}"),
            Self::TooLarge(max) => write!(f, "larger than {max} bytes"),
            Self::Git { command, folder, reason } => write!(f, "git {command} in {}: {reason}", folder.display()),
            Self::Remote(error) => write!(f, "{error}"),
            Self::Admission(error) => write!(f, "{error}"),
            Self::Output(error) => write!(f, "the report could not be written: {error}"),
        }
    }
}

impl std::error::Error for CommandError {}

impl From<remote::Error> for CommandError {
    fn from(error: remote::Error) -> Self {
        Self::Remote(error)
    }
}

impl From<admission::Error> for CommandError {
    fn from(error: admission::Error) -> Self {
        Self::Admission(error)
    }
}

/// The most similar of the known names, if one is similar enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    scored.filter(|(score, _)| *score > 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_place_reason_and_hint() {
        let error = CommandError::unknown("rule", "unsafe-calable", ["unsafe-callable", "other"].into_iter());
        let error = error.in_file(Path::new("modelscan.toml"));
        let text = "modelscan.toml: there is no rule \"unsafe-calable\"; did you mean \"unsafe-callable\"?";
        assert_eq!(error.to_string(), text);
    }
}
