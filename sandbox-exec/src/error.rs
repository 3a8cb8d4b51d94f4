//! Why a run did not start, each with what to do about it.

use std::fmt;

/// A run that could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The profile or the options contradict themselves or name what is not there.
    Request(String),
    /// This host cannot enforce something that was asked for.
    CannotEnforce {
        /// The key of `enforced` in the report.
        what: String,
        /// Why not.
        why: String,
        /// How to get it.
        mend: String,
    },
    /// A step of building the walls failed.
    Step {
        /// Which.
        step: String,
        /// The system's answer, and what to do.
        why: String,
    },
    /// The program is not there (inside).
    NotFound(String),
    /// The program is there, and cannot be executed.
    NotExecutable(String),
}

impl Error {
    pub(crate) fn step(step: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::Step { step: step.into(), why: why.to_string() }
    }

    /// The exit code of contract: 125 for the sandbox itself, 126 and 127 as a shell.
    pub fn code(&self) -> i32 {
        match self {
            Self::Request(_) | Self::CannotEnforce { .. } | Self::Step { .. } => 125,
            Self::NotExecutable(_) => 126,
            Self::NotFound(_) => 127,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(message) | Self::NotFound(message) | Self::NotExecutable(message) => f.write_str(message),
            Self::CannotEnforce { what, why, mend } => {
                write!(
                    f,
                    "this host cannot enforce `{what}`: {why}; {mend}, or go on without it by --allow-weaker {what}"
                )
            }
            Self::Step { step, why } => write!(f, "the sandbox could not be set up: {step}: {why}"),
        }
    }
}

impl std::error::Error for Error {}
