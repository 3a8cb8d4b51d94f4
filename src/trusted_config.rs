//! Reads configuration files and baselines, from a place that the scanned content cannot change.
//!
//! That is the disk, except with `--changed-since`: then files of the repository are read from the base branch, so that a change
//! cannot bring its own acceptance. Files outside of the repository are read from the disk in both cases.

use crate::changes::Changes;
use crate::error::CommandError;
use std::io::Read;
use std::path::Path;

/// The place where files are read: the base of a change, or the disk.
#[derive(Clone, Copy)]
pub(crate) struct TrustedFiles<'a>(Option<&'a Changes>);

impl<'a> TrustedFiles<'a> {
    /// The files on disk.
    pub(crate) const ON_DISK: TrustedFiles<'static> = TrustedFiles(None);

    /// The files at the base of a change, or on disk without one.
    pub(crate) fn at_base_of(changes: Option<&'a Changes>) -> Self {
        Self(changes)
    }

    /// Whether files of the repository come from the base of a change.
    pub(crate) fn is_at_base(self) -> bool {
        self.0.is_some()
    }

    /// Whether the file exists. Adds a warning if the change touches it.
    ///
    /// # Errors
    /// When git fails.
    pub(crate) fn exists(self, path: &Path, warnings: &mut Vec<String>) -> Result<bool, CommandError> {
        let at_base = self.0.map(|changes| changes.exists_at_base(path, warnings)).transpose()?.flatten();
        Ok(at_base.unwrap_or_else(|| path.is_file()))
    }

    /// The text of a file of at most `max` bytes.
    ///
    /// # Errors
    /// When it does not exist, is larger, or is not UTF-8.
    pub(crate) fn read(self, path: &Path, max: u64) -> Result<String, CommandError> {
        match self.0.map(|changes| changes.text_at_base(path, max)).transpose()?.flatten() {
            Some(text) => Ok(text),
            None => read_from_disk(path, max).map_err(|error| error.in_file(path)),
        }
    }
}

fn read_from_disk(path: &Path, max: u64) -> Result<String, CommandError> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(CommandError::Io)?;
    file.take(max.saturating_add(1)).read_to_string(&mut text).map_err(CommandError::Io)?;
    if text.len() as u64 > max { Err(CommandError::TooLarge(max)) } else { Ok(text) }
}
