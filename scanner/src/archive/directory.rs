//! Files and folders as given by the user: what there is to scan, in a stable order.
//!
//! A symbolic link is followed only to a file inside the folder that was given: a Hugging Face cache is a farm of such
//! links, and a link out of it would let a model name any file of the machine. Sockets, FIFOs and devices are not opened.

use crate::limits::Limits;
use std::fs::{self, File, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Something that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// How it is named in reports: as given, or below the folder that was given.
    pub shown: String,
    /// Its size, 0 where it is not a file.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, or a link to one inside the folder.
    File,
    /// A socket, FIFO or device.
    Special(&'static str),
    /// A link to somewhere else.
    Escapes(String),
    /// It cannot be looked at.
    Error(String),
}

/// Lists what is at the paths, sorted.
pub fn list(paths: &[PathBuf], limits: &Limits) -> Vec<Found> {
    let mut found = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => folder(path, limits, &mut found),
            Ok(meta) => {
                let kind = special(meta.file_type()).map_or(Kind::File, Kind::Special);
                found.push(Found { shown: show(path), path: path.clone(), size: meta.len(), kind });
            }
            Err(error) => found.push(failed(path, &error.to_string())),
        }
    }
    found.sort_by(|a, b| a.shown.cmp(&b.shown));
    found.dedup_by(|a, b| a.path == b.path);
    found
}

fn show(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn failed(path: &Path, message: &str) -> Found {
    Found { shown: show(path), path: path.to_owned(), size: 0, kind: Kind::Error(message.to_owned()) }
}

fn folder(root: &Path, limits: &Limits, found: &mut Vec<Found>) {
    let inside = fs::canonicalize(root);
    for entry in WalkDir::new(root).max_depth(limits.folder_depth).follow_root_links(true) {
        if found.len() >= limits.files {
            found.push(failed(root, "more files than the limit allows; the rest was not scanned"));
            return;
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(root).to_owned();
                found.push(failed(&path, &error.to_string()));
                continue;
            }
        };
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.is_dir() {
            if entry.depth() == limits.folder_depth
                && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
            {
                found.push(failed(path, "folders nested deeper than the limit allows; it was not scanned"));
            }
            continue;
        }
        let (kind, size) = if kind.is_symlink() {
            match link(path, inside.as_deref().ok()) {
                Some(found) => found,
                None => continue,
            }
        } else {
            let size = entry.metadata().map_or(0, |meta| meta.len());
            (special(kind).map_or(Kind::File, Kind::Special), size)
        };
        found.push(Found { path: path.to_owned(), shown: show(path), size, kind });
    }
}

/// What a link leads to; `None` for a folder inside the root, which is walked where it stands.
fn link(path: &Path, inside: Option<&Path>) -> Option<(Kind, u64)> {
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) => return Some((Kind::Error(format!("a symbolic link that leads nowhere: {error}")), 0)),
    };
    if !inside.is_some_and(|inside| target.starts_with(inside)) {
        let named = fs::read_link(path).unwrap_or(target);
        return Some((Kind::Escapes(show(&named)), 0));
    }
    match fs::metadata(&target) {
        Ok(meta) if meta.is_dir() => None,
        Ok(meta) => Some((special(meta.file_type()).map_or(Kind::File, Kind::Special), meta.len())),
        Err(error) => Some((Kind::Error(error.to_string()), 0)),
    }
}

fn special(kind: FileType) -> Option<&'static str> {
    if kind.is_fifo() {
        Some("FIFO")
    } else if kind.is_socket() {
        Some("socket")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("device")
    } else {
        None
    }
}

/// Opens a regular file for reading.
///
/// # Errors
/// When it cannot be opened, or is something else by now.
pub fn open(path: &Path) -> io::Result<File> {
    // Looked at first: opening a FIFO waits for its writer, opening a device may act.
    let before = fs::metadata(path)?;
    if before.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "a folder, not a file"));
    }
    if let Some(kind) = special(before.file_type()) {
        return Err(io::Error::other(format!("a {kind}, not a file")));
    }
    File::open(path)
}
