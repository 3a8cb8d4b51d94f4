//! Lists a folder and opens its files. Each file is opened from the descriptor of the folder down, one name after the other
//! (openat(2) with `O_NOFOLLOW`), so that a link that is created after the listing is not followed.
//!
//! A loader may use any path to a file, so a link and its target are two entries. Links are followed to files within the folder
//! only, or to the blobs beside a snapshot of the Hugging Face cache. Anything that is neither a file nor a folder, links out of the
//! folder, and names that are not UTF-8 are problems; none is left out silently.

use crate::error::Problem;
use rustix::fs::{Mode, OFlags, open, openat};
use scanner::Limits;
use scanner::directory::{FileKind, boundary, kind};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

/// The folder that is not listed: it changes with every fetch, and nothing is loaded from it.
const GIT_DIR: &str = ".git";

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Its name below the folder, with `/` between the parts.
    pub path: String,
    /// Its path below the descriptor, without links.
    path_below_boundary: PathBuf,
}

/// An open folder.
pub struct Folder {
    /// Its path without links.
    path: PathBuf,
    /// The folder that links must stay in: the folder itself, or the cache folder around a snapshot.
    boundary: PathBuf,
    /// The descriptor of `boundary`.
    descriptor: OwnedFd,
    /// The only file that is listed, if the folder was opened for one.
    only: Option<PathBuf>,
}

/// The content of a folder, sorted by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FolderListing {
    /// The files.
    pub files: Vec<ListedFile>,
    /// Everything that cannot be admitted.
    pub problems: Vec<Problem>,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// When the path is not a folder that can be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let boundary = boundary(&path);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = open(&boundary, flags, Mode::empty())?;
        if !fs::metadata(&path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path, boundary, descriptor, only: None })
    }

    /// Opens the folder of a file, and lists that file only.
    ///
    /// # Errors
    /// When the path is not a file in a folder that can be opened.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let folder = path.parent().ok_or(io::ErrorKind::IsADirectory)?;
        Ok(Self { only: Some(path.clone()), ..Self::open(folder)? })
    }

    /// Its path without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lists the folder. `except` is left out: the lock of the folder, which cannot contain its own hash.
    pub fn list(&self, limits: &Limits, except: Option<&Path>) -> FolderListing {
        let mut listing = FolderListing::default();
        let mut todo = vec![(self.path.clone(), 0)];
        if let Some(only) = &self.only {
            todo.clear();
            self.list_path(only, 0, &mut Vec::new(), &mut listing);
        }
        while let Some((folder, depth)) = todo.pop() {
            let names = fs::read_dir(&folder).and_then(|entries| {
                entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()
            });
            match names {
                Ok(paths) => {
                    let left_out = |path: &Path| except == Some(path) || path == self.path.join(GIT_DIR);
                    for path in paths.into_iter().filter(|path| !left_out(path)) {
                        self.list_path(&path, depth, &mut todo, &mut listing);
                    }
                }
                Err(error) => listing.add_problem(self.relative(&folder), error.to_string()),
            }
            if listing.files.len() > limits.files {
                listing.add_problem(String::new(), format!("more than {} files", limits.files));
                break;
            }
            if depth > limits.folder_depth {
                listing.add_problem(self.relative(&folder), format!("more than {} folders deep", limits.folder_depth));
                break;
            }
        }
        listing.files.sort_by(|one, other| one.path.cmp(&other.path));
        listing.problems.sort_by(|one, other| one.path.cmp(&other.path));
        listing
    }

    fn list_path(&self, path: &Path, depth: usize, todo: &mut Vec<(PathBuf, usize)>, listing: &mut FolderListing) {
        let name = self.relative(path);
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) => return listing.add_problem(name, error.to_string()),
        };
        let target = if meta.is_symlink() { fs::canonicalize(path) } else { Ok(path.to_owned()) };
        let target = match target {
            Ok(target) => target,
            Err(error) => return listing.add_problem(name, format!("a link that leads nowhere: {error}")),
        };
        let Ok(below) = target.strip_prefix(&self.boundary) else {
            let reason = format!("a link that leaves the folder, to {}; it was not followed", target.display());
            return listing.add_problem(name, reason);
        };
        match fs::metadata(&target).map(|meta| meta.file_type()) {
            Ok(found) if found.is_dir() && meta.is_symlink() => {
                listing.add_problem(name, "a link to a folder; put the folder in its place".to_owned());
            }
            Ok(found) if found.is_dir() => todo.push((target, depth + 1)),
            Ok(found) => match kind(found) {
                FileKind::File => listing.add_file(path.strip_prefix(&self.path).unwrap_or(path), below.to_owned()),
                FileKind::Special(what) => listing.add_problem(name, format!("a {what}; it was not opened")),
                FileKind::Escapes(_) | FileKind::Error(_) => listing.add_problem(name, "no file".to_owned()),
            },
            Err(error) => listing.add_problem(name, error.to_string()),
        }
    }

    /// The path below the folder, for messages.
    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.path).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// Opens a listed file. No link is followed: those of its path were followed when it was listed.
    ///
    /// # Errors
    /// Those of the operating system, or that it is not a regular file any more.
    pub fn open_file(&self, listed: &ListedFile) -> io::Result<File> {
        let mut parts = listed.path_below_boundary.components().peekable();
        let mut folder: Option<OwnedFd> = None;
        while let Some(Component::Normal(part)) = parts.next() {
            let parent = folder.as_ref().unwrap_or(&self.descriptor);
            if parts.peek().is_some() {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                folder = Some(openat(parent, part, flags, Mode::empty())?);
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let file = File::from(openat(parent, part, flags, Mode::empty())?);
            return if file.metadata()?.is_file() {
                Ok(file)
            } else {
                Err(io::Error::other("no regular file any more"))
            };
        }
        Err(io::Error::other("it names no file"))
    }
}

impl FolderListing {
    fn add_problem(&mut self, path: String, reason: String) {
        self.problems.push(Problem { path, reason });
    }

    fn add_file(&mut self, path: &Path, path_below_boundary: PathBuf) {
        match path.to_str() {
            Some(path) => self.files.push(ListedFile { path: path.to_owned(), path_below_boundary }),
            None => {
                let reason = "its name is not UTF-8, so no lock can hold it; rename it".to_owned();
                self.add_problem(path.to_string_lossy().into_owned(), reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder can be made");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
            fs::write(path, file).expect("it can be written");
        }
        folder
    }

    fn listed(path: &Path) -> (Vec<String>, Vec<Problem>) {
        let listing = Folder::open(path).expect("it is there").list(&Limits::default(), None);
        (listing.files.into_iter().map(|file| file.path).collect(), listing.problems)
    }

    #[test]
    fn files_are_sorted_and_the_git_folder_is_left_out() {
        let folder = folder(&["b", "a/c", "a.b", ".git/config", "x/.git/kept"]);
        assert_eq!(listed(folder.path()).0, ["a.b", "a/c", "b", "x/.git/kept"]);
    }

    #[test]
    fn a_link_within_the_folder_is_a_file_and_other_links_are_problems() {
        let folder = folder(&["real/file", "out"]);
        let root = folder.path().join("real");
        for (target, link) in [("file", "link"), ("../out", "away"), ("nowhere", "lost"), (".", "loop")] {
            symlink(target, root.join(link)).expect("links can be made");
        }
        let (files, problems) = listed(&root);
        assert_eq!(files, ["file", "link"]);
        assert_eq!(problems.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), ["away", "loop", "lost"]);
        let open = Folder::open(&root).expect("it is there");
        let link = open.list(&Limits::default(), None).files.pop().expect("there are two");
        assert_eq!(open.open_file(&link).expect("it opens").metadata().expect("it is there").len(), 9);
    }

    #[test]
    fn a_snapshot_of_the_hub_is_read_through_its_links() {
        let folder = folder(&["models--a--b/blobs/1", "models--a--b/snapshots/main/README"]);
        let root = folder.path().join("models--a--b/snapshots/main");
        symlink("../../blobs/1", root.join("model.bin")).expect("links can be made");
        let open = Folder::open(&root).expect("it is there");
        let listing = open.list(&Limits::default(), None);
        assert_eq!(listing.problems, []);
        let sizes =
            listing.files.iter().map(|file| open.open_file(file).expect("it opens").metadata().expect("there").len());
        assert_eq!(sizes.collect::<Vec<_>>(), [34, 20]);
    }

    #[test]
    fn a_link_that_is_created_after_the_listing_is_not_followed() {
        let folder = folder(&["root/a/file", "other/file"]);
        let open = Folder::open(&folder.path().join("root")).expect("it is there");
        let listing = open.list(&Limits::default(), None);
        fs::rename(folder.path().join("root/a"), folder.path().join("root/b")).expect("it can be renamed");
        symlink("../other", folder.path().join("root/a")).expect("links can be made");
        let file = listing.files.first().expect("there is one");
        assert!(open.open_file(file).is_err());
    }

    #[test]
    fn names_that_are_not_utf8_and_special_files_are_problems() {
        let folder = folder(&["a"]);
        fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").expect("it can be written");
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).expect("a socket can be made");
        let (files, problems) = listed(folder.path());
        assert_eq!((files.len(), problems.len()), (1, 2));
        assert!(Folder::open(&folder.path().join("a")).is_err());
    }
}
