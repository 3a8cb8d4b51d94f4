//! A difference between a folder and its lock.

use std::fmt;

/// One file that is not as the lock says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The file, by its name below the folder.
    pub path: String,
    /// What is different.
    pub kind: DifferenceKind,
}

/// What is different about a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// In the lock and not in the folder.
    Missing,
    /// Another length or SHA-256.
    Changed,
    /// In the folder and not in the lock.
    Additional,
    /// The same bytes with a worse verdict by the current rules: the reason.
    Worse(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.kind {
            DifferenceKind::Missing => write!(f, "missing: {path}"),
            DifferenceKind::Changed => write!(f, "different: {path} is not what was locked"),
            DifferenceKind::Additional => write!(f, "additional: {path} is not in the lock"),
            DifferenceKind::Worse(reason) => write!(f, "worse: {path} is {reason} by today's rules"),
        }
    }
}
