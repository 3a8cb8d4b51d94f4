//! `scan --changed-since REF`: what a change brings, and what the branch it goes to has decided.
//!
//! A change is what differs between the merge base of REF and HEAD on one side, and HEAD or the working tree on the
//! other. Trees are compared by their ids, so no attribute or filter can make a change look like none; of the working
//! tree, everything that git is not sure of counts as changed. Decisions (configuration, baseline) are those of the tip
//! of REF: whoever brings a model must not bring its acceptance too.

mod below;
mod working;

use crate::git::{Entry, Git};
use below::Below;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// What is to be scanned of a change.
#[derive(Debug)]
pub(crate) struct Changes {
    git: Git,
    /// The working directory, with links followed.
    here: PathBuf,
    /// What was typed.
    since: String,
    /// The commit that this is.
    tip: String,
    /// Everything that the change touches, deletions too, from the top of the repository.
    touched: BTreeSet<PathBuf>,
    /// Files to scan, as seen from the working directory.
    pub(crate) paths: Vec<PathBuf>,
    /// Links that lead out of the repository, and where they lead.
    pub(crate) leaving: Vec<(PathBuf, PathBuf)>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

/// A row of `git diff-* --raw`.
struct Row {
    path: PathBuf,
    deleted: bool,
    /// The file that it was.
    old: Option<String>,
}

impl Changes {
    /// Finds out what has changed since `since` at and below `paths`, or anywhere if there are none.
    ///
    /// # Errors
    /// A sentence for the user: no git, no repository, no such commit, no common history, a path outside.
    pub(crate) fn since(since: &str, paths: &[PathBuf]) -> Result<Self, String> {
        let here = std::env::current_dir().and_then(fs::canonicalize);
        let here = here.map_err(|error| format!("the working directory cannot be had: {error}"))?;
        let git = Git::around(&here)?;
        let tip = git.commit(since)?.ok_or_else(|| no_commit(&git, since))?;
        let head = git.commit("HEAD")?.ok_or("there is no commit yet, so nothing has changed since one")?;
        let bases = merge_bases(&git, since, &tip, &head)?;
        let mut changes = Self {
            git,
            here,
            since: since.to_owned(),
            tip,
            touched: BTreeSet::new(),
            paths: Vec::new(),
            leaving: Vec::new(),
            warnings: Vec::new(),
        };
        let mut brought = BTreeSet::new();
        for base in &bases {
            for row in compared(&changes.git, &["diff-tree", "-r", base, &head])? {
                changes.note(row.path, row.deleted, &mut brought);
            }
        }
        for (path, deleted) in working::changed(&changes.git)? {
            changes.note(path, deleted, &mut brought);
        }
        if changes.touched.iter().any(|path| is_attributes(path)) {
            let all = changes.git.ask(&["ls-files", "-z"])?;
            brought.extend(split(&all).map(PathBuf::from));
            let why = "a .gitattributes file has changed, which can change how every file is checked out";
            changes.warnings.push(format!("{why}: all files count as changed"));
        }
        let below = Below::new(paths, &changes.here, changes.git.top(), |path| changes.was_there(&bases, path))?;
        for path in brought.iter().filter(|path| below.has(path)) {
            changes.take(path);
        }
        Ok(changes)
    }

    /// What was typed for REF.
    pub(crate) fn name(&self) -> &str {
        &self.since
    }

    fn note(&mut self, path: PathBuf, deleted: bool, brought: &mut BTreeSet<PathBuf>) {
        if !deleted {
            brought.insert(path.clone());
        }
        self.touched.insert(path);
    }

    /// Whether a path is known to git, though it may be gone from the disk.
    fn was_there(&self, bases: &[String], path: &Path) -> Result<bool, String> {
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

    /// What stands on disk decides what is done with a path. One that is gone there, but in HEAD, is an error of the scan.
    fn take(&mut self, path: &Path) {
        let (place, shown) = (self.git.top().join(path), seen_from(path, &self.here, self.git.top()));
        match fs::symlink_metadata(&place) {
            Ok(meta) if meta.is_dir() => {
                let why = "is a repository of its own, or a folder in place of a file";
                self.warnings.push(format!("{} {why}: what is in it is not scanned", shown.display()));
            }
            Ok(meta) if meta.is_symlink() => match fs::canonicalize(&place) {
                // What stands there is scanned at its own place, when it changes.
                Ok(target) if target.is_dir() && self.is_inside(&target) => {}
                Ok(target) if !self.is_inside(&target) => self.leaving.push((shown, target)),
                Ok(_) | Err(_) => self.paths.push(shown),
            },
            Ok(_) | Err(_) => self.paths.push(shown),
        }
    }

    fn is_inside(&self, target: &Path) -> bool {
        target.strip_prefix(self.git.top()).is_ok_and(|rest| !rest.starts_with(".git"))
    }

    /// The path from the top of the repository, if a file that a person names lies in there. As it is written goes
    /// first: where links lead to is the change's to say.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        below::forms(path, &self.here, self.git.top()).into_iter().next()
    }

    /// Whether REF has a file of decisions there; `None` where the path is outside of the repository. Warns when the
    /// change touches it.
    pub(crate) fn decides(&self, path: &Path, warnings: &mut Vec<String>) -> Result<Option<bool>, String> {
        let Some(inside) = self.inside(path) else { return Ok(None) };
        if self.touched.contains(&inside) {
            let what = "is touched by this change";
            warnings.push(format!("{} {what}: what holds is what {} says", inside.display(), self.since));
        }
        self.git.entry(&self.tip, &inside).map(|entry| Some(entry.is_some()))
    }

    /// The text of a file of decisions at REF; `None` where the path is outside of the repository.
    pub(crate) fn decision(&self, path: &Path, max: u64) -> Result<Option<String>, String> {
        let Some(inside) = self.inside(path) else { return Ok(None) };
        let fail = |why: &str| format!("{} at {}: {why}", inside.display(), self.since);
        match self.git.entry(&self.tip, &inside)? {
            Some(Entry::File { id }) => {
                let bytes = self.git.blob(&id, max).map_err(|why| fail(&why))?;
                String::from_utf8(bytes).map(Some).map_err(|_| fail("it is not UTF-8"))
            }
            Some(Entry::Link) => Err(fail("it is a link, and decisions are read from files")),
            Some(Entry::Other) => Err(fail("it is no file")),
            None => Err(fail("there is no such file, and what a change brings along does not hold")),
        }
    }
}

fn no_commit(git: &Git, name: &str) -> String {
    let hint = if is_shallow(git) { "; this clone is shallow: fetch all of it (fetch-depth: 0)" } else { "" };
    format!("there is no commit {name:?} here{hint}")
}

fn is_shallow(git: &Git) -> bool {
    git.ask(&["rev-parse", "--is-shallow-repository"]).is_ok_and(|said| said.starts_with(b"true"))
}

/// All of them: after merges both ways, what is new to one of them is new.
fn merge_bases(git: &Git, since: &str, tip: &str, head: &str) -> Result<Vec<String>, String> {
    let found = git.ask_whether(&["merge-base", "--all", tip, head])?.unwrap_or_default();
    let bases: Vec<String> = String::from_utf8_lossy(&found).lines().map(str::to_owned).collect();
    match bases.as_slice() {
        [] if is_shallow(git) => Err(format!(
            "the merge base of {since} and HEAD is not in this shallow clone: fetch all of it (fetch-depth: 0)"
        )),
        [] => Err(format!("{since} and HEAD have no history in common")),
        _ => Ok(bases),
    }
}

/// The rows of a comparison. A rename is a deletion and an addition: what has moved is looked at again.
fn compared(git: &Git, command: &[&str]) -> Result<Vec<Row>, String> {
    let fixed = ["-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff", "--no-textconv"];
    let (verb, rest) = command.split_at(1.min(command.len()));
    let listed = git.ask(&[verb, &fixed, &["--ignore-submodules=dirty"], rest].concat())?;
    let mut fields = split(&listed);
    let mut rows = Vec::new();
    while let Some(head) = fields.next() {
        let head = head.to_string_lossy().into_owned();
        let words: Vec<&str> = head.strip_prefix(':').unwrap_or_default().split(' ').collect();
        let (&[old_mode, _, old, _, status], Some(path)) = (words.as_slice(), fields.next()) else {
            return Err(format!("git {} answered what is not understood: {head:?}", command.join(" ")));
        };
        let was_file = old_mode.starts_with("100");
        rows.push(Row { path: path.into(), deleted: status.starts_with('D'), old: was_file.then(|| old.to_owned()) });
    }
    Ok(rows)
}

/// Names, each with a NUL behind it.
fn split(listed: &[u8]) -> impl Iterator<Item = &OsStr> {
    listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(OsStr::from_bytes)
}

/// Also where names differ in case only: some file systems do not see that.
fn is_attributes(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.eq_ignore_ascii_case(".gitattributes"))
}

/// A path from the top of the repository, as seen from the working directory.
fn seen_from(path: &Path, here: &Path, top: &Path) -> PathBuf {
    let Ok(inner) = here.strip_prefix(top) else { return top.join(path) };
    let common = inner.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = inner.components().skip(common).map(|_| Component::ParentDir);
    up.chain(path.components().skip(common)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_seen_from_the_working_directory() {
        let seen = |path: &str, here: &str| seen_from(Path::new(path), Path::new(here), Path::new("/r"));
        assert_eq!(seen("a/b", "/r"), Path::new("a/b"));
        assert_eq!(seen("a/b", "/r/a"), Path::new("b"));
        assert_eq!(seen("a/b", "/r/a/c/d"), Path::new("../../b"));
        assert_eq!(seen("a/b", "/r/x"), Path::new("../a/b"));
        assert_eq!(seen("a/b", "/elsewhere"), Path::new("/r/a/b"));
    }
}
