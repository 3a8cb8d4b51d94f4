//! Writes a file as a whole or not at all: under a hidden name beside it, which is then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes that are buffered.
const BUFFER_BYTES: usize = 64 << 10;

/// Writes a file by calling `fill`. If that fails, the file stays as it was. A device, a pipe or the like is written directly.
pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&target).is_ok_and(|meta| !meta.is_file()) {
        return write_buffered(OpenOptions::new().write(true).open(&target)?, fill).map(drop);
    }
    let partial = partial_path(&target)?;
    let written = File::create_new(&partial).and_then(|file| write_buffered(file, fill)).and_then(|file| {
        // A file that is replaced keeps its permissions.
        if let Ok(meta) = fs::metadata(&target) {
            file.set_permissions(meta.permissions())?;
        }
        fs::rename(&partial, &target)
    });
    if written.is_err() {
        _ = fs::remove_file(&partial);
    }
    written
}

fn write_buffered(file: File, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<File> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    fill(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

/// `.NAME.PID.part` beside the file.
fn partial_path(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.part", std::process::id()));
    Ok(target.with_file_name(hidden))
}

/// The path with links followed, as far as it exists. Two equal paths are one file.
pub(crate) fn canonical_path(path: &Path) -> PathBuf {
    if let Ok(canonical) = fs::canonicalize(path) {
        return canonical;
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (absolute.parent().and_then(|parent| fs::canonicalize(parent).ok()), absolute.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => absolute,
    }
}
