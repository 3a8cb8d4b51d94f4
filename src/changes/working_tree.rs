//! What the working tree has that HEAD has not: changed files, and new ones that nobody told git of.
//!
//! Git may think that a file has changed only because its times have, or because it stands as a pointer in HEAD and as the
//! object itself on disk: filters do not run here. So what is in doubt is compared byte by byte.

use super::{Row, compared, split};
use crate::git::Git;
use scanner::directory::open_named;
use scanner::internal::format::lfs_pointer::{self, Pointer};
use scanner::source::{Memory, Source};
use std::ffi::OsStr;
use std::path::PathBuf;

/// Files that are asked about at once.
const BATCH: usize = 200;

/// Paths, and whether they are gone.
pub(super) fn changed(git: &Git) -> Result<Vec<(PathBuf, bool)>, String> {
    let rows = compared(git, &["diff-index", "HEAD"])?;
    let mut all = Vec::new();
    for rows in rows.chunks(BATCH) {
        let same = unchanged(git, rows);
        let changed = rows.iter().zip(same).filter(|(_, same)| !same);
        all.extend(changed.map(|(row, _)| (row.path.clone(), row.deleted)));
    }
    // Ignored files are brought by no change.
    let new = git.ask(&["ls-files", "-z", "--others", "--exclude-standard"])?;
    all.extend(split(&new).map(|path| (PathBuf::from(path), false)));
    Ok(all)
}

/// Which of the files have the very bytes that HEAD has. When in doubt, none.
fn unchanged(git: &Git, rows: &[Row]) -> Vec<bool> {
    let is_file = |row: &Row| std::fs::symlink_metadata(git.top().join(&row.path)).is_ok_and(|meta| meta.is_file());
    let asked: Vec<usize> = (0..rows.len())
        .filter(|index| rows.get(*index).is_some_and(|row| !row.deleted && row.old.is_some() && is_file(row)))
        .collect();
    let mut same = vec![false; rows.len()];
    if asked.is_empty() {
        return same;
    }
    let paths = asked.iter().filter_map(|index| rows.get(*index)).map(|row| row.path.as_os_str());
    let fixed = ["hash-object", "--no-filters", "--"].map(OsStr::new);
    let Ok(ids) = git.ask(&fixed.into_iter().chain(paths).collect::<Vec<_>>()) else { return same };
    let ids = String::from_utf8_lossy(&ids);
    for (index, id) in asked.iter().zip(ids.lines()) {
        if let (Some(same), Some(row)) = (same.get_mut(*index), rows.get(*index)) {
            *same = row.old.as_deref() == Some(id) || is_the_object(git, row).unwrap_or_default();
        }
    }
    same
}

/// Whether the file is the object whose pointer HEAD has.
fn is_the_object(git: &Git, row: &Row) -> Option<bool> {
    let blob = git.blob(row.old.as_deref()?, lfs_pointer::MAX as u64).ok()?;
    let pointer = Pointer::read(&Memory::new(blob)).ok()??;
    let (file, _) = open_named(&git.top().join(&row.path)).ok()?;
    let alike = file.len() == pointer.size;
    Some(alike && scanner::hash::of(&file).ok()? == pointer.oid)
}
