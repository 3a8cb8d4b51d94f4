//! Files of decisions, configuration and baselines: the one place that says where their text comes from.
//!
//! Mostly from the disk. When a change is judged, from the branch that it goes to: whoever brings a model must not bring
//! its acceptance too. Files outside of the repository are on disk in both cases; no change reaches them.

use crate::changes::Changes;
use std::io::Read;
use std::path::Path;

/// Where decisions come from: the change that is judged, if one is.
#[derive(Clone, Copy)]
pub(crate) struct Decisions<'a>(Option<&'a Changes>);

impl<'a> Decisions<'a> {
    /// What stands on disk.
    pub(crate) const ON_DISK: Decisions<'static> = Decisions(None);

    /// What held before a change, if one is judged.
    pub(crate) fn before(change: Option<&'a Changes>) -> Self {
        Self(change)
    }

    /// Whether a change is judged. Then a file in the repository is not the one that is scanned.
    pub(crate) fn of_a_change(self) -> bool {
        self.0.is_some()
    }

    /// Whether there is such a file.
    ///
    /// # Errors
    /// What git says.
    pub(crate) fn has(self, path: &Path, warnings: &mut Vec<String>) -> Result<bool, String> {
        let before = self.0.map(|change| change.decides(path, warnings)).transpose()?.flatten();
        Ok(before.unwrap_or_else(|| path.is_file()))
    }

    /// The text of such a file, if it is not larger than `max`.
    ///
    /// # Errors
    /// A sentence for the user, with the path.
    pub(crate) fn read(self, path: &Path, max: u64) -> Result<String, String> {
        match self.0.map(|change| change.decision(path, max)).transpose()?.flatten() {
            Some(text) => Ok(text),
            None => on_disk(path, max),
        }
    }
}

fn on_disk(path: &Path, max: u64) -> Result<String, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut text = String::new();
    std::fs::File::open(path).map_err(fail)?.take(max + 1).read_to_string(&mut text).map_err(fail)?;
    if text.len() as u64 > max {
        return Err(format!("{}: larger than {max} bytes", path.display()));
    }
    Ok(text)
}
