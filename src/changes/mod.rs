//! `scan --changed-since REF`: the files of a change, and the trusted files of its base.
//!
//! A change is the difference between the merge base of REF and HEAD, and HEAD or the working tree. Trees are compared by their
//! object ids, so attributes and filters cannot hide a change. Files of the working tree count as changed where git is not sure.
//! Configuration and baseline are read from REF, so that a change cannot bring its own acceptance.

mod path_filter;
mod raw_diff;
mod working_tree;

use crate::error::CommandError;
use crate::git::{GitRepository, TreeEntry};
use path_filter::{PathFilter, repository_paths};
use raw_diff::{raw_diff, split_nul};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A change.
#[derive(Debug)]
pub(crate) struct Changes {
    git: GitRepository,
    /// The working directory, with links followed.
    working_dir: PathBuf,
    /// REF, as written.
    base_name: String,
    /// The commit of REF.
    base_commit: String,
    /// Every path of the change, deleted ones too, from the top of the repository.
    touched: BTreeSet<PathBuf>,
    /// Files to scan, relative to the working directory.
    pub(crate) paths: Vec<PathBuf>,
    /// Links that lead out of the repository, with their targets.
    pub(crate) links_out: Vec<(PathBuf, PathBuf)>,
    /// Messages for the user.
    pub(crate) warnings: Vec<String>,
}

impl Changes {
    /// Finds the changes since REF at and below `paths`, or all of them if there are no paths.
    ///
    /// # Errors
    /// No git, no repository, no such commit, no common history, or a path outside.
    pub(crate) fn since(base_name: &str, paths: &[PathBuf]) -> Result<Self, CommandError> {
        let working_dir = std::env::current_dir().and_then(fs::canonicalize);
        let working_dir = working_dir
            .map_err(|error| CommandError::usage(format!("the working directory cannot be had: {error}")))?;
        let git = GitRepository::containing(&working_dir)?;
        let base_commit = git.commit(base_name)?.ok_or_else(|| no_such_commit(&git, base_name))?;
        let head = git.commit("HEAD")?;
        let head =
            head.ok_or_else(|| CommandError::usage("there is no commit yet, so nothing has changed since one"))?;
        let bases = merge_bases(&git, base_name, &base_commit, &head)?;
        let mut changes = Self {
            git,
            working_dir,
            base_name: base_name.to_owned(),
            base_commit,
            touched: BTreeSet::new(),
            paths: Vec::new(),
            links_out: Vec::new(),
            warnings: Vec::new(),
        };
        let mut present = BTreeSet::new();
        for base in &bases {
            for row in raw_diff(&changes.git, &["diff-tree", "-r", base, &head])? {
                changes.add_touched(row.path, row.deleted, &mut present);
            }
        }
        for (path, deleted) in working_tree::changed_paths(&changes.git)? {
            changes.add_touched(path, deleted, &mut present);
        }
        if changes.touched.iter().any(|path| is_gitattributes(path)) {
            let all = changes.git.run(&["ls-files", "-z"])?;
            present.extend(split_nul(&all).map(PathBuf::from));
            let reason = "a .gitattributes file has changed, which can change how every file is checked out";
            changes.warnings.push(format!("{reason}: all files count as changed"));
        }
        let existed_before = |path: &Path| changes.existed_before(&bases, path);
        let filter = PathFilter::new(paths, &changes.working_dir, changes.git.root(), existed_before)?;
        for path in present.iter().filter(|path| filter.includes(path)) {
            changes.add_path(path);
        }
        Ok(changes)
    }

    /// REF, as written.
    pub(crate) fn base_name(&self) -> &str {
        &self.base_name
    }

    fn add_touched(&mut self, path: PathBuf, deleted: bool, present: &mut BTreeSet<PathBuf>) {
        if !deleted {
            present.insert(path.clone());
        }
        self.touched.insert(path);
    }

    /// Whether git knows a path, even if it is not on disk.
    fn existed_before(&self, bases: &[String], path: &Path) -> Result<bool, CommandError> {
        if self.touched.iter().any(|touched| touched.starts_with(path)) {
            return Ok(true);
        }
        for base in bases {
            if self.git.entry(base, path)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds a path to the files to scan, unless it is a folder or a link that is not followed. A file of HEAD that is not on disk is
    /// added too: the scan reports the error.
    fn add_path(&mut self, path: &Path) {
        let on_disk = self.git.root().join(path);
        let shown = relative_to_working_dir(path, &self.working_dir, self.git.root());
        match fs::symlink_metadata(&on_disk) {
            Ok(meta) if meta.is_dir() => {
                let reason = "is a repository of its own, or a folder in place of a file";
                self.warnings.push(format!("{} {reason}: what is in it is not scanned", shown.display()));
            }
            Ok(meta) if meta.is_symlink() => match fs::canonicalize(&on_disk) {
                // Files of that folder are scanned under their own paths when they change.
                Ok(target) if target.is_dir() && self.is_in_repository(&target) => {}
                Ok(target) if !self.is_in_repository(&target) => self.links_out.push((shown, target)),
                Ok(_) | Err(_) => self.paths.push(shown),
            },
            Ok(_) | Err(_) => self.paths.push(shown),
        }
    }

    fn is_in_repository(&self, target: &Path) -> bool {
        target.strip_prefix(self.git.root()).is_ok_and(|rest| !rest.starts_with(".git"))
    }

    /// The path from the top of the repository. The written form comes first, because the change decides where links lead.
    fn path_in_repository(&self, path: &Path) -> Option<PathBuf> {
        repository_paths(path, &self.working_dir, self.git.root()).into_iter().next()
    }

    /// Whether a file exists at REF; `None` for a path outside of the repository. Adds a warning if the change touches it.
    pub(crate) fn exists_at_base(&self, path: &Path, warnings: &mut Vec<String>) -> Result<Option<bool>, CommandError> {
        let Some(path) = self.path_in_repository(path) else { return Ok(None) };
        if self.touched.contains(&path) {
            let what = "is touched by this change";
            warnings.push(format!("{} {what}: what holds is what {} says", path.display(), self.base_name));
        }
        self.git.entry(&self.base_commit, &path).map(|entry| Some(entry.is_some()))
    }

    /// The text of a file of at most `max` bytes at REF; `None` for a path outside of the repository.
    pub(crate) fn text_at_base(&self, path: &Path, max: u64) -> Result<Option<String>, CommandError> {
        let Some(path) = self.path_in_repository(path) else { return Ok(None) };
        let at_base = |error: CommandError| error.at(format!("{} at {}", path.display(), self.base_name));
        let invalid = |reason: &str| Err(at_base(CommandError::usage(reason)));
        match self.git.entry(&self.base_commit, &path)? {
            Some(TreeEntry::File { id }) => {
                let bytes = self.git.blob(&id, max).map_err(at_base)?;
                String::from_utf8(bytes).map(Some).or_else(|_| invalid("it is not UTF-8"))
            }
            Some(TreeEntry::Link) => invalid("it is a link, and decisions are read from files"),
            Some(TreeEntry::Other) => invalid("it is no file"),
            None => invalid("there is no such file, and what a change brings along does not hold"),
        }
    }
}

fn no_such_commit(git: &GitRepository, name: &str) -> CommandError {
    let reason = format!("there is no commit {name:?} here");
    if is_shallow(git) {
        CommandError::usage_with_hint(reason, "this clone is shallow: fetch all of it (fetch-depth: 0)")
    } else {
        CommandError::usage(reason)
    }
}

fn is_shallow(git: &GitRepository) -> bool {
    git.run(&["rev-parse", "--is-shallow-repository"]).is_ok_and(|answer| answer.starts_with(b"true"))
}

/// All merge bases: after merges both ways, a file that is new to one of them is new.
fn merge_bases(
    git: &GitRepository,
    base_name: &str,
    base_commit: &str,
    head: &str,
) -> Result<Vec<String>, CommandError> {
    let found = git.run_optional(&["merge-base", "--all", base_commit, head])?.unwrap_or_default();
    let bases: Vec<String> = String::from_utf8_lossy(&found).lines().map(str::to_owned).collect();
    match bases.as_slice() {
        [] if is_shallow(git) => Err(CommandError::usage(format!(
            "the merge base of {base_name} and HEAD is not in this shallow clone: fetch all of it (fetch-depth: 0)"
        ))),
        [] => Err(CommandError::usage(format!("{base_name} and HEAD have no history in common"))),
        _ => Ok(bases),
    }
}

/// Compared without case: some file systems ignore it.
fn is_gitattributes(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.eq_ignore_ascii_case(".gitattributes"))
}

/// A path from the top of the repository, relative to the working directory. Absolute if that is outside of the repository.
fn relative_to_working_dir(path: &Path, working_dir: &Path, root: &Path) -> PathBuf {
    let Ok(inner) = working_dir.strip_prefix(root) else { return root.join(path) };
    let common = inner.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = inner.components().skip(common).map(|_| Component::ParentDir);
    up.chain(path.components().skip(common)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_working_directory() {
        let relative = |path: &str, working_dir: &str| {
            relative_to_working_dir(Path::new(path), Path::new(working_dir), Path::new("/r"))
        };
        assert_eq!(relative("a/b", "/r"), Path::new("a/b"));
        assert_eq!(relative("a/b", "/r/a"), Path::new("b"));
        assert_eq!(relative("a/b", "/r/a/c/d"), Path::new("../../b"));
        assert_eq!(relative("a/b", "/r/x"), Path::new("../a/b"));
        assert_eq!(relative("a/b", "/elsewhere"), Path::new("/r/a/b"));
    }
}
