//! A text that cannot be read as a quantity.

use std::fmt;

/// The kind of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantityKind {
    /// A [`ByteSize`](crate::ByteSize).
    Size,
    /// A [`TimeSpan`](crate::TimeSpan).
    Time,
    /// A [`count`](crate::count()).
    Count,
}

/// A text that is not a quantity of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: QuantityKind,
    text: String,
}

impl Error {
    pub(crate) fn new(kind: QuantityKind, text: &str) -> Self {
        Self { kind, text: text.to_owned() }
    }

    /// The expected kind.
    pub fn kind(&self) -> QuantityKind {
        self.kind
    }

    /// The rejected text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.escape_debug();
        match self.kind {
            QuantityKind::Size => write!(f, "`{text}` is not a size; write for example 64MiB, 2GB or 4096"),
            QuantityKind::Time => write!(f, "`{text}` is not a time; write for example 30s, 500ms, 5min or 1h"),
            QuantityKind::Count => write!(f, "`{text}` is not a whole number"),
        }
    }
}

impl std::error::Error for Error {}
