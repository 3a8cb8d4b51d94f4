//! Folders: which files a scan of the given paths looks at.
//!
//! A link leads out of the folder as easily as a path does, so links are followed only to files inside of what was
//! given; the cache of the Hugging Face hub is made of such links, and a snapshot in it may use the blobs next to it.
//! Sockets, FIFOs and devices are named and never opened: opening alone may hang or act.

use crate::io::limits::Limits;
use crate::io::source::FileSource;
use std::collections::HashSet;
use std::fs::{self, File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use walkdir::{DirEntry, WalkDir};

/// An entry at or below the given paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// What is opened: the place itself, or where its link leads.
    pub path: PathBuf,
    /// How the user knows it.
    pub shown_path: PathBuf,
    /// What it is.
    pub kind: FileKind,
}

/// The kind of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A socket, FIFO or device: not opened.
    Special(&'static str),
    /// A link that leads out of the given folder: not followed.
    Escapes(PathBuf),
    /// It cannot be looked at.
    Error(String),
}

impl FoundFile {
    /// Opens a regular file without following a link that took its place meanwhile, and without waiting on a FIFO.
    ///
    /// # Errors
    /// As the operating system, or when it is not a regular file any more.
    pub fn open(&self) -> io::Result<File> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("no regular file any more")) }
    }
}

/// Lists the entries at and below `paths`, sorted and without duplicates.
pub fn list(paths: &[PathBuf], limits: &Limits) -> Vec<FoundFile> {
    let mut listing = DirectoryWalk { found: Vec::new(), targets: HashSet::new(), limits };
    for path in paths {
        listing.given(path);
    }
    let DirectoryWalk { mut found, targets, .. } = listing;
    // A blob that a snapshot links to is known by its name there.
    found.retain(|one| {
        one.path != one.shown_path || one.kind != FileKind::File || !targets.contains(&canonical(&one.path, &targets))
    });
    found.sort_by(|one, other| one.shown_path.cmp(&other.shown_path));
    found.dedup_by(|one, other| one.shown_path == other.shown_path && one.kind == other.kind);
    found
}

/// The place without links; only asked for where it matters.
fn canonical(path: &Path, targets: &HashSet<PathBuf>) -> PathBuf {
    if targets.is_empty() {
        return path.to_owned();
    }
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

struct DirectoryWalk<'a> {
    found: Vec<FoundFile>,
    /// Where links lead.
    targets: HashSet<PathBuf>,
    limits: &'a Limits,
}

impl DirectoryWalk<'_> {
    fn add(&mut self, path: &Path, shown: &Path, kind: FileKind) {
        self.found.push(FoundFile { path: path.to_owned(), shown_path: shown.to_owned(), kind });
    }

    fn fail(&mut self, path: &Path, error: &dyn std::fmt::Display) {
        self.add(path, path, FileKind::Error(error.to_string()));
    }

    /// A path that the user named: a link there is the user's own.
    fn given(&mut self, path: &Path) {
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) => return self.fail(path, &error),
        };
        match fs::metadata(&real) {
            Ok(metadata) if metadata.is_dir() => self.folder(path, &boundary(&real)),
            Ok(metadata) => self.add(&real, path, kind(metadata.file_type())),
            Err(error) => self.fail(path, &error),
        }
    }

    fn folder(&mut self, root: &Path, boundary: &Path) {
        let depth = self.limits.folder_depth;
        // With its last part followed, a root that is a link is walked too.
        let walk = WalkDir::new(root).follow_root_links(true).max_open(16).max_depth(depth.saturating_add(1));
        for entry in walk.sort_by_file_name() {
            if self.found.len() >= self.limits.files {
                let why = format!("more than {} files: the others are left out", self.limits.files);
                return self.fail(root, &why);
            }
            match entry {
                Ok(entry) if entry.depth() > depth => {
                    let why = format!("more than {depth} folders deep");
                    self.fail(entry.path(), &why);
                }
                Ok(entry) => self.entry(&entry, boundary),
                Err(error) => {
                    let path = error.path().unwrap_or(root).to_owned();
                    self.fail(&path, &error);
                }
            }
        }
    }

    fn entry(&mut self, entry: &DirEntry, boundary: &Path) {
        let (path, file_type) = (entry.path(), entry.file_type());
        if file_type.is_dir() || entry.depth() == 0 {
            return;
        }
        if !file_type.is_symlink() {
            return self.add(path, path, kind(file_type));
        }
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(error) => return self.fail(path, &format!("a link that leads nowhere: {error}")),
        };
        if !target.starts_with(boundary) {
            return self.add(path, path, FileKind::Escapes(target));
        }
        match fs::metadata(&target) {
            // A folder inside is walked at its own place.
            Ok(metadata) if metadata.is_dir() => {}
            Ok(metadata) => {
                self.add(&target, path, kind(metadata.file_type()));
                self.targets.insert(target);
            }
            Err(error) => self.fail(path, &error),
        }
    }
}

/// What a type of file is called.
pub fn kind(file_type: FileType) -> FileKind {
    if file_type.is_file() {
        FileKind::File
    } else if file_type.is_fifo() {
        FileKind::Special("FIFO")
    } else if file_type.is_socket() {
        FileKind::Special("socket")
    } else if file_type.is_block_device() {
        FileKind::Special("block device")
    } else {
        FileKind::Special("character device")
    }
}

/// How far links may lead: the given folder, or of a snapshot in the hub's cache the repository's folder.
pub fn boundary(root: &Path) -> PathBuf {
    let snapshots = root.ancestors().skip(1).find(|folder| folder.file_name().is_some_and(|name| name == "snapshots"));
    let repository = snapshots.and_then(Path::parent).filter(|folder| {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        ["models--", "datasets--", "spaces--"].iter().any(|start| name.starts_with(start))
            && folder.join("blobs").is_dir()
    });
    repository.unwrap_or(root).to_owned()
}

/// Opens the file that a person names, once, and gives it with the name it goes by. A link is followed where it leads; what
/// stands there must be a regular file.
///
/// # Errors
/// When it cannot be opened or is not a regular file.
pub fn open_named(path: &Path) -> io::Result<(FileSource, String)> {
    let found = FoundFile { path: std::fs::canonicalize(path)?, shown_path: path.to_owned(), kind: FileKind::File };
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok((FileSource::new(found.open()?, Arc::default())?, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = fs::canonicalize(folder.path()).expect("it is there");
        (folder, path)
    }

    fn write(path: &Path) {
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(path, b"x").expect("it can be written");
    }

    fn shown(found: &[FoundFile], root: &Path) -> Vec<(String, FileKind)> {
        let name = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        found.iter().map(|one| (name(&one.shown_path), one.kind.clone())).collect()
    }

    #[test]
    fn files_come_sorted_and_once() {
        let (_guard, root) = folder();
        for name in ["b", "a/z", "a/c"] {
            write(&root.join(name));
        }
        let found = list(&[root.clone(), root.join("b"), root.join("none")], &Limits::default());
        let names = shown(&found, &root);
        let expected = [("a/c", FileKind::File), ("a/z", FileKind::File), ("b", FileKind::File)];
        assert_eq!(names[..3], expected.map(|(name, kind)| (name.to_owned(), kind)));
        assert!(matches!(&names[3..], [(name, FileKind::Error(_))] if name == "none"));
        assert!(found[0].open().is_ok());
    }

    #[test]
    fn links_are_followed_inside_only() {
        let (_guard, root) = folder();
        write(&root.join("given/real"));
        write(&root.join("outside"));
        symlink("real", root.join("given/link")).expect("links can be made");
        symlink("../outside", root.join("given/out")).expect("links can be made");
        symlink("loop", root.join("given/loop")).expect("links can be made");
        symlink(".", root.join("given/self")).expect("links can be made");
        let found = list(&[root.join("given")], &Limits::default());
        let names = shown(&found, &root.join("given"));
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(names[0], ("link".into(), FileKind::File));
        assert!(matches!(&names[1], (name, FileKind::Error(_)) if name == "loop"));
        assert_eq!(names[2], ("out".into(), FileKind::Escapes(root.join("outside"))));
    }

    #[test]
    fn a_snapshot_of_the_hub_cache_may_use_its_blobs() {
        let (_guard, root) = folder();
        let repository = root.join("models--a--b");
        write(&repository.join("blobs/1234"));
        fs::create_dir_all(repository.join("snapshots/main")).expect("it can be made");
        symlink("../../blobs/1234", repository.join("snapshots/main/model.bin")).expect("links can be made");
        for given in [repository.join("snapshots/main"), repository.clone()] {
            let found = list(&[given], &Limits::default());
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].shown_path.ends_with("model.bin") && found[0].kind == FileKind::File);
            assert!(found[0].path.ends_with("blobs/1234") && found[0].open().is_ok());
        }
    }

    #[test]
    fn special_files_are_named_and_not_opened() {
        let (_guard, root) = folder();
        let _listener = UnixListener::bind(root.join("socket")).expect("a socket can be made");
        let made = std::process::Command::new("mkfifo").arg(root.join("fifo")).status();
        let found = list(std::slice::from_ref(&root), &Limits::default());
        let names = shown(&found, &root);
        assert!(names.contains(&("socket".into(), FileKind::Special("socket"))));
        if made.is_ok_and(|status| status.success()) {
            assert!(names.contains(&("fifo".into(), FileKind::Special("FIFO"))));
            let fifo = FoundFile { path: root.join("fifo"), shown_path: root.join("fifo"), kind: FileKind::File };
            assert!(fifo.open().is_err());
        } else {
            eprintln!("no mkfifo here: FIFOs are not tried");
        }
        let device = list(&["/dev/null".into()], &Limits::default());
        assert_eq!(device[0].kind, FileKind::Special("character device"));
    }

    #[test]
    fn a_link_that_takes_the_place_of_a_file_is_not_followed() {
        let (_guard, root) = folder();
        write(&root.join("file"));
        let found = list(std::slice::from_ref(&root), &Limits::default());
        fs::remove_file(root.join("file")).expect("it is there");
        symlink("/etc/passwd", root.join("file")).expect("links can be made");
        assert!(found[0].open().is_err());
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let (_guard, root) = folder();
        for name in ["a/b/c/d", "a/1", "a/2", "a/3"] {
            write(&root.join(name));
        }
        let stated = |limits: &Limits| {
            let found = list(std::slice::from_ref(&root), limits);
            found.into_iter().any(|one| matches!(one.kind, FileKind::Error(_)))
        };
        assert!(!stated(&Limits::default()));
        assert!(stated(&Limits { folder_depth: 2, ..Limits::default() }));
        assert!(stated(&Limits { files: 2, ..Limits::default() }));
    }
}
