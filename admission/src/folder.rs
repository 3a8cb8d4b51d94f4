//! What stands in a folder, and how it is opened: from the folder's own descriptor down, one name after the other, so that
//! nobody can put a link in the way between the listing and the opening.
//!
//! Names are the loader's, so every path that leads to a file is one, also the link and the file that it leads to. Links are
//! followed to files inside of the folder only, or to the blobs beside a snapshot of the hub's cache. What is no file and no
//! folder, leads elsewhere, or has a name that no text can hold, is a problem and never silently left out.

use rustix::fs::{Mode, OFlags, open, openat};
use scanner::Limits;
use scanner::directory::{Kind, boundary, kind};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

/// The history of a repository changes with every fetch, and nothing loads from it: it is in no lock and in no copy.
const HISTORY: &str = ".git";

/// A file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name below the folder, with `/` between the parts.
    pub path: String,
    /// Where it stands below what is open.
    place: PathBuf,
}

/// What cannot be admitted, whatever is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name below the folder.
    pub path: String,
    /// Why.
    pub why: String,
}

/// A folder, open.
pub struct Folder {
    /// Its place without links.
    path: PathBuf,
    /// What links may lead to: the folder, or around it where it is a snapshot.
    around: PathBuf,
    descriptor: OwnedFd,
    /// The one file that is meant, where it is one.
    only: Option<PathBuf>,
}

/// What stands in it, sorted by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The files.
    pub files: Vec<Entry>,
    /// Everything that is neither file nor folder.
    pub problems: Vec<Problem>,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let around = boundary(&path);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = open(&around, flags, Mode::empty())?;
        if !fs::metadata(&path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path, around, descriptor, only: None })
    }

    /// Opens the folder of a file, as one that holds nothing else.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let folder = path.parent().ok_or(io::ErrorKind::IsADirectory)?;
        Ok(Self { only: Some(path.clone()), ..Self::open(folder)? })
    }

    /// Its place without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lists all of it. `except` is left out: the lock of the folder, which cannot hold its own hash.
    pub fn list(&self, limits: &Limits, except: Option<&Path>) -> Listing {
        let mut listing = Listing::default();
        let mut todo = vec![(self.path.clone(), 0)];
        if let Some(only) = &self.only {
            todo.clear();
            self.one(only, 0, &mut Vec::new(), &mut listing);
        }
        while let Some((folder, depth)) = todo.pop() {
            let names = fs::read_dir(&folder).and_then(|entries| {
                entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()
            });
            match names {
                Ok(paths) => {
                    let left_out = |path: &Path| except == Some(path) || path == self.path.join(HISTORY);
                    for path in paths.into_iter().filter(|path| !left_out(path)) {
                        self.one(&path, depth, &mut todo, &mut listing);
                    }
                }
                Err(error) => listing.problem(self.shown(&folder), error.to_string()),
            }
            if listing.files.len() > limits.files {
                listing.problem(String::new(), format!("more than {} files", limits.files));
                break;
            }
            if depth > limits.folder_depth {
                listing.problem(self.shown(&folder), format!("more than {} folders deep", limits.folder_depth));
                break;
            }
        }
        listing.files.sort_by(|one, other| one.path.cmp(&other.path));
        listing.problems.sort_by(|one, other| one.path.cmp(&other.path));
        listing
    }

    fn one(&self, path: &Path, depth: usize, todo: &mut Vec<(PathBuf, usize)>, listing: &mut Listing) {
        let shown = self.shown(path);
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) => return listing.problem(shown, error.to_string()),
        };
        let target = if meta.is_symlink() { fs::canonicalize(path) } else { Ok(path.to_owned()) };
        let target = match target {
            Ok(target) => target,
            Err(error) => return listing.problem(shown, format!("a link that leads nowhere: {error}")),
        };
        let Ok(place) = target.strip_prefix(&self.around) else {
            let why = format!("a link that leaves the folder, to {}; it was not followed", target.display());
            return listing.problem(shown, why);
        };
        match fs::metadata(&target).map(|meta| meta.file_type()) {
            Ok(found) if found.is_dir() && meta.is_symlink() => {
                listing.problem(shown, "a link to a folder; put the folder in its place".to_owned());
            }
            Ok(found) if found.is_dir() => todo.push((target, depth + 1)),
            Ok(found) => match kind(found) {
                Kind::File => listing.file(path.strip_prefix(&self.path).unwrap_or(path), place.to_owned()),
                Kind::Special(what) => listing.problem(shown, format!("a {what}; it was not opened")),
                Kind::Escapes(_) | Kind::Error(_) => listing.problem(shown, "no file".to_owned()),
            },
            Err(error) => listing.problem(shown, error.to_string()),
        }
    }

    /// For messages only.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.path).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// Opens a file of it, following no link at all: those that it was reached by were followed when it was listed.
    ///
    /// # Errors
    /// What the operating system says, or that it is no regular file any more.
    pub fn file(&self, entry: &Entry) -> io::Result<File> {
        let mut parts = entry.place.components().peekable();
        let mut folder: Option<OwnedFd> = None;
        while let Some(Component::Normal(part)) = parts.next() {
            let here = folder.as_ref().unwrap_or(&self.descriptor);
            if parts.peek().is_some() {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                folder = Some(openat(here, part, flags, Mode::empty())?);
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let file = File::from(openat(here, part, flags, Mode::empty())?);
            return if file.metadata()?.is_file() {
                Ok(file)
            } else {
                Err(io::Error::other("no regular file any more"))
            };
        }
        Err(io::Error::other("it names no file"))
    }
}

impl Listing {
    fn problem(&mut self, path: String, why: String) {
        self.problems.push(Problem { path, why });
    }

    fn file(&mut self, path: &Path, place: PathBuf) {
        match path.to_str() {
            Some(path) => self.files.push(Entry { path: path.to_owned(), place }),
            None => {
                let why = "its name is not UTF-8, so no lock can hold it; rename it".to_owned();
                self.problem(path.to_string_lossy().into_owned(), why);
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
    fn files_come_sorted_with_the_history_left_out() {
        let folder = folder(&["b", "a/c", "a.b", ".git/config", "x/.git/kept"]);
        assert_eq!(listed(folder.path()).0, ["a.b", "a/c", "b", "x/.git/kept"]);
    }

    #[test]
    fn a_link_inside_is_a_name_of_its_own_and_others_are_problems() {
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
        assert_eq!(open.file(&link).expect("it opens").metadata().expect("it is there").len(), 9);
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
            listing.files.iter().map(|file| open.file(file).expect("it opens").metadata().expect("there").len());
        assert_eq!(sizes.collect::<Vec<_>>(), [34, 20]);
    }

    #[test]
    fn a_link_put_in_the_way_after_the_listing_is_not_followed() {
        let folder = folder(&["root/a/file", "other/file"]);
        let open = Folder::open(&folder.path().join("root")).expect("it is there");
        let listing = open.list(&Limits::default(), None);
        fs::rename(folder.path().join("root/a"), folder.path().join("root/b")).expect("it can be renamed");
        symlink("../other", folder.path().join("root/a")).expect("links can be made");
        let file = listing.files.first().expect("there is one");
        assert!(open.file(file).is_err());
    }

    #[test]
    fn names_that_no_text_holds_and_what_is_no_file_are_problems() {
        let folder = folder(&["a"]);
        fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").expect("it can be written");
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).expect("a socket can be made");
        let (files, problems) = listed(folder.path());
        assert_eq!((files.len(), problems.len()), (1, 2));
        assert!(Folder::open(&folder.path().join("a")).is_err());
    }
}
