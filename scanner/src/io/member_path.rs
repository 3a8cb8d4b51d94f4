//! The path of an artifact inside a file, through nested containers.

use std::fmt;
use std::sync::Arc;

/// The path inside an artifact, `::` between nested containers (`inner.zip::archive/data.pkl`). Empty for the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemberPath(Option<Arc<str>>);

impl MemberPath {
    /// The file itself.
    pub const fn root() -> Self {
        Self(None)
    }

    /// The path of a member.
    #[must_use]
    pub fn member(&self, name: &str) -> Self {
        Self(Some(match &self.0 {
            None => name.into(),
            Some(outer) => format!("{outer}::{name}").into(),
        }))
    }

    /// The path inside the file, or `None` for the file itself.
    pub fn path(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The last name of the path: the member's own.
    pub fn last(&self) -> Option<&str> {
        self.path().map(|path| path.rsplit_once("::").map_or(path, |(_, last)| last))
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path().unwrap_or(""))
    }
}
