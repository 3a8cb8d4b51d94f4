//! Why a run did not start.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// A run that did not start: the place of the problem, its reason, and a hint for the user (empty: none).
///
/// Errors travel from the processes inside the sandbox to the supervisor and on to the caller as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub enum Error {
    /// The profile, an option or the command is not valid.
    Request {
        /// The option, the key or the path.
        place: String,
        /// What is wrong with it.
        reason: String,
        /// What to write instead.
        hint: String,
    },
    /// This host cannot enforce a requested protection.
    CannotEnforce {
        /// A key of `enforced` in the report.
        protection: String,
        /// Why not.
        reason: String,
        /// How to make it enforceable, or how to waive it.
        hint: String,
    },
    /// A step of setting up the sandbox failed.
    Setup {
        /// The step, for example "mounting /proc".
        step: String,
        /// The system's answer.
        reason: String,
        /// What may help.
        hint: String,
    },
    /// The program does not exist inside the sandbox.
    NotFound {
        /// As the command line names it.
        program: String,
        /// What is missing.
        reason: String,
        /// What may help.
        hint: String,
    },
    /// The program exists inside the sandbox, but cannot be executed.
    NotExecutable {
        /// As the command line names it.
        program: String,
        /// Why not.
        reason: String,
    },
}

impl Error {
    /// A problem with an option, a key or a path.
    pub fn request(place: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Request { place: place.into(), reason: reason.to_string(), hint: String::new() }
    }

    /// A step of the set-up that failed.
    pub(crate) fn setup(step: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Setup { step: step.into(), reason: reason.to_string(), hint: String::new() }
    }

    /// A function that turns an error number into the error of a step.
    pub(crate) fn in_step(step: &'static str) -> impl Fn(rustix::io::Errno) -> Self {
        move |errno| Self::setup(step, errno)
    }

    /// Namespaces that could not be created; the hint names the setting that usually forbids them.
    pub(crate) fn namespace(step: impl Into<String>, error: &io::Error) -> Self {
        let hint = match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => {
                "user namespaces are forbidden here: see kernel.apparmor_restrict_unprivileged_userns and kernel.unprivileged_userns_clone, run as root, or allow it for this program"
            }
            Some(libc::ENOSPC | libc::EUSERS) => "too many namespaces: raise the limits user.max_*_namespaces",
            Some(libc::ENOSYS) => "this kernel or the container's seccomp filter has no clone3",
            Some(libc::EAGAIN) => "the limit of processes is reached",
            _ => "see modelscan run --doctor",
        };
        Self::setup(step, error).with_hint(hint)
    }

    /// The same error with a hint; without effect on [`Error::NotExecutable`].
    #[must_use]
    pub(crate) fn with_hint(mut self, text: impl Into<String>) -> Self {
        match &mut self {
            Self::Request { hint, .. }
            | Self::CannotEnforce { hint, .. }
            | Self::Setup { hint, .. }
            | Self::NotFound { hint, .. } => *hint = text.into(),
            Self::NotExecutable { .. } => {}
        }
        self
    }

    /// The exit code: 126 and 127 as in a shell, 125 for everything else.
    pub fn code(&self) -> i32 {
        match self {
            Self::Request { .. } | Self::CannotEnforce { .. } | Self::Setup { .. } => 125,
            Self::NotExecutable { .. } => 126,
            Self::NotFound { .. } => 127,
        }
    }

    /// Place, reason and hint in one line, without saying what failed because of them.
    pub fn detail(&self) -> String {
        let (place, reason, hint) = match self {
            Self::Request { place, reason, hint } => (place, reason, hint.as_str()),
            Self::CannotEnforce { protection, reason, hint } => (protection, reason, hint.as_str()),
            Self::Setup { step, reason, hint } => (step, reason, hint.as_str()),
            Self::NotFound { program, reason, hint } => (program, reason, hint.as_str()),
            Self::NotExecutable { program, reason } => (program, reason, ""),
        };
        if hint.is_empty() { format!("{place}: {reason}") } else { format!("{place}: {reason}; {hint}") }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { .. } | Self::NotFound { .. } | Self::NotExecutable { .. } => f.write_str(&self.detail()),
            Self::CannotEnforce { protection, reason, hint } => {
                write!(f, "this host cannot enforce `{protection}`: {reason}; {hint}")
            }
            Self::Setup { .. } => write!(f, "the sandbox could not be set up: {}", self.detail()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_survive_the_way_through_json() -> serde_json::Result<()> {
        let denied = io::Error::from_raw_os_error(libc::EPERM);
        for error in [
            Error::request("--memory", "too small"),
            Error::namespace("creating namespaces", &denied),
            Error::NotExecutable { program: "a".into(), reason: "b".into() },
        ] {
            let text = serde_json::to_string(&error)?;
            assert_eq!(serde_json::from_str::<Error>(&text)?, error);
        }
        Ok(())
    }
}
