//! Which part of a change is wanted: at and below the paths that a person names.
//!
//! A change can put a link in the place of a folder that is named. So a path counts as it is written, and as it leads.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Paths from the top of the repository; none for all of it.
#[derive(Debug)]
pub(super) struct Below(Option<Vec<PathBuf>>);

impl Below {
    /// Refuses what is outside, and what neither stands on disk nor `was_there`: a misspelt path would pass every gate.
    pub(super) fn new(
        paths: &[PathBuf],
        here: &Path,
        top: &Path,
        was_there: impl Fn(&Path) -> Result<bool, String>,
    ) -> Result<Self, String> {
        if paths.is_empty() {
            return Ok(Self(None));
        }
        let mut all = Vec::new();
        for path in paths {
            let forms = forms(path, here, top);
            let Some(written) = forms.first() else {
                return Err(format!("{} is outside of the repository {}", path.display(), top.display()));
            };
            if fs::symlink_metadata(here.join(path)).is_err() && !was_there(written)? {
                return Err(format!("{}: no such file or folder, neither here nor before the change", path.display()));
            }
            all.extend(forms);
        }
        Ok(Self(Some(all)))
    }

    /// Whether a changed path is wanted. One that is above a wanted path took the place of a folder.
    pub(super) fn has(&self, path: &Path) -> bool {
        let all = self.0.as_ref();
        all.is_none_or(|wanted| wanted.iter().any(|wanted| path.starts_with(wanted) || wanted.starts_with(path)))
    }
}

/// A path from the top of the repository: as it is written, with the links of its folders followed, with all followed;
/// those of the three that are inside.
pub(super) fn forms(path: &Path, here: &Path, top: &Path) -> Vec<PathBuf> {
    let written = plain(&here.join(path));
    let parent = written.parent().and_then(|parent| fs::canonicalize(parent).ok());
    let folders_followed = parent.zip(written.file_name()).map(|(parent, name)| parent.join(name));
    let followed = fs::canonicalize(here.join(path)).ok();
    let all = [Some(written), folders_followed, followed].into_iter().flatten();
    let mut forms: Vec<PathBuf> = all.filter_map(|form| form.strip_prefix(top).map(Path::to_owned).ok()).collect();
    forms.dedup();
    forms
}

/// Without `.` and `..`, as it is written.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_counts_as_written_and_as_it_leads() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let top = fs::canonicalize(folder.path()).expect("it is there");
        fs::create_dir(top.join("real")).expect("it can be made");
        std::os::unix::fs::symlink("real", top.join("link")).expect("links can be made");
        let there = |_: &Path| Ok(false);
        let below = Below::new(&["link/../link".into()], &top, &top, there).expect("it is inside");
        for (path, wanted) in [("link", true), ("real/a", true), ("other", false), ("linked", false)] {
            assert_eq!(below.has(Path::new(path)), wanted, "{path}");
        }
        assert!(Below::new(&["/".into()], &top, &top, there).is_err());
        assert!(Below::new(&["real/none".into()], &top, &top, there).is_err());
        assert!(Below::new(&[], &top, &top, there).expect("that is all").has(Path::new("any")));
        let all = Below::new(&[".".into()], &top, &top, there).expect("it is the top");
        assert!(all.has(Path::new("any/where")));
    }
}
