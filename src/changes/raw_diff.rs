//! Rows of `git diff-tree --raw` and `git diff-index --raw` (git-diff(1), "Raw output format").

use crate::error::CommandError;
use crate::git::GitRepository;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A path that differs.
pub(super) struct RawDiffRow {
    /// From the top of the repository.
    pub(super) path: PathBuf,
    pub(super) deleted: bool,
    /// The id of the old blob, if the path was a regular file.
    pub(super) old_blob: Option<String>,
}

/// Runs a diff command. A rename is a deletion and an addition, so that a moved file is scanned again.
pub(super) fn raw_diff(git: &GitRepository, command: &[&str]) -> Result<Vec<RawDiffRow>, CommandError> {
    let fixed = ["-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff", "--no-textconv"];
    let (name, rest) = command.split_at(1.min(command.len()));
    let output = git.run(&[name, &fixed, &["--ignore-submodules=dirty"], rest].concat())?;
    let mut fields = split_nul(&output);
    let mut rows = Vec::new();
    while let Some(head) = fields.next() {
        let head = head.to_string_lossy().into_owned();
        let words: Vec<&str> = head.strip_prefix(':').unwrap_or_default().split(' ').collect();
        let (&[old_mode, _, old_blob, _, status], Some(path)) = (words.as_slice(), fields.next()) else {
            let command = command.join(" ");
            return Err(CommandError::usage(format!("git {command} answered what is not understood: {head:?}")));
        };
        let was_file = old_mode.starts_with("100");
        rows.push(RawDiffRow {
            path: path.into(),
            deleted: status.starts_with('D'),
            old_blob: was_file.then(|| old_blob.to_owned()),
        });
    }
    Ok(rows)
}

/// Names, each followed by a NUL.
pub(super) fn split_nul(output: &[u8]) -> impl Iterator<Item = &OsStr> {
    output.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(OsStr::from_bytes)
}
