//! Files of the working tree that differ from HEAD, and untracked files.
//!
//! Git may report a file as changed because its times changed, or because HEAD has a Git LFS pointer and the disk has the object:
//! filters do not run here. So the bytes of such files are compared.

use super::raw_diff::{RawDiffRow, raw_diff, split_nul};
use crate::error::CommandError;
use crate::git::GitRepository;
use scanner::directory::open_named;
use scanner::internal::format::lfs_pointer::{self, Pointer};
use scanner::source::{Memory, Source};
use std::ffi::OsStr;
use std::path::PathBuf;

/// Files of one `git hash-object` command.
const MAX_HASHED_FILES: usize = 200;

/// The changed paths, from the top of the repository, and whether each is deleted.
pub(super) fn changed_paths(git: &GitRepository) -> Result<Vec<(PathBuf, bool)>, CommandError> {
    let rows = raw_diff(git, &["diff-index", "HEAD"])?;
    let mut all = Vec::new();
    for rows in rows.chunks(MAX_HASHED_FILES) {
        let same = same_as_head(git, rows);
        let changed = rows.iter().zip(same).filter(|(_, same)| !same);
        all.extend(changed.map(|(row, _)| (row.path.clone(), row.deleted)));
    }
    // Ignored files are not part of a change.
    let untracked = git.run(&["ls-files", "-z", "--others", "--exclude-standard"])?;
    all.extend(split_nul(&untracked).map(|path| (PathBuf::from(path), false)));
    Ok(all)
}

/// For each row, whether the file has the bytes of HEAD. `false` in doubt.
fn same_as_head(git: &GitRepository, rows: &[RawDiffRow]) -> Vec<bool> {
    let is_file =
        |row: &RawDiffRow| std::fs::symlink_metadata(git.root().join(&row.path)).is_ok_and(|meta| meta.is_file());
    let hashed: Vec<usize> = (0..rows.len())
        .filter(|index| rows.get(*index).is_some_and(|row| !row.deleted && row.old_blob.is_some() && is_file(row)))
        .collect();
    let mut same = vec![false; rows.len()];
    if hashed.is_empty() {
        return same;
    }
    let paths = hashed.iter().filter_map(|index| rows.get(*index)).map(|row| row.path.as_os_str());
    let fixed = ["hash-object", "--no-filters", "--"].map(OsStr::new);
    let Ok(ids) = git.run(&fixed.into_iter().chain(paths).collect::<Vec<_>>()) else { return same };
    let ids = String::from_utf8_lossy(&ids);
    for (index, id) in hashed.iter().zip(ids.lines()) {
        if let (Some(same), Some(row)) = (same.get_mut(*index), rows.get(*index)) {
            *same = row.old_blob.as_deref() == Some(id) || is_object_of_old_pointer(git, row).unwrap_or_default();
        }
    }
    same
}

/// Whether the file is the Git LFS object of the pointer in HEAD.
fn is_object_of_old_pointer(git: &GitRepository, row: &RawDiffRow) -> Option<bool> {
    let blob = git.blob(row.old_blob.as_deref()?, lfs_pointer::MAX_POINTER_BYTES as u64).ok()?;
    let pointer = Pointer::read(&Memory::new(blob)).ok()??;
    let (file, _) = open_named(&git.root().join(&row.path)).ok()?;
    let same_length = file.len() == pointer.size;
    Some(same_length && scanner::hash::of(&file).ok()? == pointer.oid)
}
