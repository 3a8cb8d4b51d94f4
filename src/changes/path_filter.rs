//! The part of a change that is scanned: files at and below the paths of the command line.
//!
//! A change can put a link in the place of a named folder. So a path counts as it is written, and with its links followed.

use crate::error::CommandError;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Paths from the top of the repository. `None` for all of it.
#[derive(Debug)]
pub(super) struct PathFilter(Option<Vec<PathBuf>>);

impl PathFilter {
    /// Filters by paths relative to `working_dir`.
    ///
    /// # Errors
    /// A path outside of the repository, or one that is not on disk and not in `existed_before`: a misspelt path would pass
    /// every gate.
    pub(super) fn new(
        paths: &[PathBuf],
        working_dir: &Path,
        root: &Path,
        existed_before: impl Fn(&Path) -> Result<bool, CommandError>,
    ) -> Result<Self, CommandError> {
        if paths.is_empty() {
            return Ok(Self(None));
        }
        let mut all = Vec::new();
        for path in paths {
            let repository_paths = repository_paths(path, working_dir, root);
            let Some(written) = repository_paths.first() else {
                let reason = format!("{} is outside of the repository {}", path.display(), root.display());
                return Err(CommandError::usage(reason));
            };
            if fs::symlink_metadata(working_dir.join(path)).is_err() && !existed_before(written)? {
                let reason = "no such file or folder, neither here nor before the change";
                return Err(CommandError::usage(reason).in_file(path));
            }
            all.extend(repository_paths);
        }
        Ok(Self(Some(all)))
    }

    /// Whether a changed path is scanned. A changed path above a named one took the place of a folder.
    pub(super) fn includes(&self, path: &Path) -> bool {
        let named = self.0.as_ref();
        named.is_none_or(|named| named.iter().any(|named| path.starts_with(named) || named.starts_with(path)))
    }
}

/// A path from the top of the repository: as it is written, with the links of its folders followed, and with all links followed.
/// Those outside of the repository are left out.
pub(super) fn repository_paths(path: &Path, working_dir: &Path, root: &Path) -> Vec<PathBuf> {
    let written = normalize(&working_dir.join(path));
    let parent = written.parent().and_then(|parent| fs::canonicalize(parent).ok());
    let folders_followed = parent.zip(written.file_name()).map(|(parent, name)| parent.join(name));
    let followed = fs::canonicalize(working_dir.join(path)).ok();
    let all = [Some(written), folders_followed, followed].into_iter().flatten();
    let mut paths: Vec<PathBuf> = all.filter_map(|path| path.strip_prefix(root).map(Path::to_owned).ok()).collect();
    paths.dedup();
    paths
}

/// Removes `.` and `..` without following links.
fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = normal.pop(),
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_counts_as_written_and_with_links_followed() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let top = fs::canonicalize(folder.path()).expect("it is there");
        fs::create_dir(top.join("real")).expect("it can be made");
        std::os::unix::fs::symlink("real", top.join("link")).expect("links can be made");
        let never = |_: &Path| Ok(false);
        let filter = PathFilter::new(&["link/../link".into()], &top, &top, never).expect("it is inside");
        for (path, included) in [("link", true), ("real/a", true), ("other", false), ("linked", false)] {
            assert_eq!(filter.includes(Path::new(path)), included, "{path}");
        }
        assert!(PathFilter::new(&["/".into()], &top, &top, never).is_err());
        assert!(PathFilter::new(&["real/none".into()], &top, &top, never).is_err());
        assert!(PathFilter::new(&[], &top, &top, never).expect("that is all").includes(Path::new("any")));
        let all = PathFilter::new(&[".".into()], &top, &top, never).expect("it is the top");
        assert!(all.includes(Path::new("any/where")));
    }
}
