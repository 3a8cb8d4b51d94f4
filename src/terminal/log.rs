//! Messages on standard error.

use crate::escape;
use std::io::Write;

/// The level of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warning,
    Note,
    Info,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Info => "info",
        }
    }
}

/// Writes a message to standard error. If that fails, the command goes on.
pub(crate) fn log(level: Level, message: &str) {
    for (index, line) in message.lines().enumerate() {
        let prefix = if index == 0 { format!("{}: ", level.as_str()) } else { "  ".to_owned() };
        _ = writeln!(std::io::stderr(), "{prefix}{}", escape::text(line));
    }
}

/// Writes warnings to standard error.
pub(crate) fn log_warnings(warnings: impl IntoIterator<Item = impl AsRef<str>>) {
    warnings.into_iter().for_each(|warning| log(Level::Warning, warning.as_ref()));
}
