//! Why nothing was loaded or written: the file would do something, cannot be read, or holds what cannot be converted.

use crate::plan::draft::Refused;
use scanner::report::ArtifactReport;
use scanner::{Finding, Verdict};
use std::path::PathBuf;

/// Why nothing was loaded or written.
#[derive(Debug)]
pub enum Error {
    /// The file was not cleared: what it would do stands in the report.
    NotCleared(Box<ArtifactReport>),
    /// Tensors are reached through something that is not known to be inert.
    UnknownCallable(Vec<Refused>),
    /// Tensors that cannot be converted, each with the reason.
    NotConvertible(Vec<Refused>),
    /// A file could not be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The numbers in the file are not those that its checksum speaks of.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The member.
        member: String,
    },
    /// The file changed while it was read.
    Changed(PathBuf),
    /// The result does not hold what it should.
    Verify {
        /// The result.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Somebody asked to stop.
    Interrupted,
    /// What was asked for makes no sense.
    Usage(String),
}

impl Error {
    /// Whether it is about what a file would do, rather than about what it holds or how it is written.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::UnknownCallable(_) => true,
            Self::NotCleared(report) => {
                let unread = |finding: &Finding| matches!(finding.rule, "not-fully-read" | "malformed-pickle");
                let mut worse = report.findings.iter().filter(|finding| finding.verdict > Verdict::NotScanned);
                report.verdict != Verdict::NotScanned && worse.any(|finding| !unread(finding))
            }
            _ => false,
        }
    }

    /// For a file.
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
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
                Ok(())
            }
            Self::UnknownCallable(refused) | Self::NotConvertible(refused) => {
                for (index, Refused { name, why }) in refused.iter().enumerate() {
                    if index > 0 {
                        f.write_str("\n")?;
                    }
                    if !name.is_empty() {
                        write!(f, "{name}: ")?;
                    }
                    f.write_str(why)?;
                }
                Ok(())
            }
            Self::Io { path, error } if error.kind() == std::io::ErrorKind::StorageFull => {
                write!(f, "{}: the disk is full; nothing was left behind", path.display())
            }
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Damaged { path, member } => {
                write!(f, "{}::{member} is damaged: its bytes are not those of its checksum", path.display())
            }
            Self::Changed(path) => {
                write!(f, "{}: the file changed while it was read; try again when nobody writes to it", path.display())
            }
            Self::Verify { path, why } => write!(f, "{}: {why}; nothing was left behind", path.display()),
            Self::Interrupted => f.write_str("interrupted; nothing was left behind"),
            Self::Usage(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
