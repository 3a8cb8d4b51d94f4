//! Files that appear whole or not at all: written beside their place under another name, then given their own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file; what stood there before stays when that fails. A device, a pipe or the like is written to directly.
pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&place).is_ok_and(|meta| !meta.is_file()) {
        return through(OpenOptions::new().write(true).open(&place)?, fill).map(drop);
    }
    let beside = beside(&place)?;
    let written = File::create_new(&beside).and_then(|file| through(file, fill)).and_then(|file| {
        // A file that is replaced keeps its permissions.
        if let Ok(meta) = fs::metadata(&place) {
            file.set_permissions(meta.permissions())?;
        }
        fs::rename(&beside, &place)
    });
    if written.is_err() {
        _ = fs::remove_file(&beside);
    }
    written
}

fn through(file: File, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<File> {
    let mut out = BufWriter::with_capacity(64 << 10, file);
    fill(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

fn beside(place: &Path) -> io::Result<PathBuf> {
    let name = place.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.part", std::process::id()));
    Ok(place.with_file_name(hidden))
}

/// The place a path leads to, as far as it is there: two that are equal are one file.
pub(crate) fn identity(path: &Path) -> PathBuf {
    if let Ok(place) = fs::canonicalize(path) {
        return place;
    }
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (whole.parent().and_then(|parent| fs::canonicalize(parent).ok()), whole.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => whole,
    }
}
