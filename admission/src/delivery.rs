//! A copy that gets its place whole or not at all, and only once.
//!
//! The place may be a mount of its own (a volume that an init container fills), so it cannot be renamed into: all is made in a
//! hidden folder inside, the lock of it last, and then moved, the lock last again. A place with a lock is finished; a hidden
//! folder with a lock is complete and was interrupted while it was moved; one without is thrown away.

use crate::check::{Checked, check};
use crate::lock::{self, Lock, Seen, see};
use crate::walk::Folder;
use scanner::Limits;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The hidden folder.
const PARTIAL: &str = ".modelscan.partial";
const FILES: &str = "files";

/// How a place was found.
pub enum Place {
    /// It was filled before, and what it holds is what its lock says.
    Finished(Lock),
    /// It is empty, and can be filled.
    Empty(Delivery),
}

/// Why a place cannot be had.
#[derive(Debug)]
pub enum Error {
    /// It holds something that is not ours, or not any more what its lock says.
    Taken(String),
    /// The operating system refuses.
    Io(PathBuf, io::Error),
}

/// A place that is being filled. Everything is taken away again when it is dropped unfinished.
pub struct Delivery {
    place: PathBuf,
    /// Whether the place itself was made here.
    made: bool,
    finished: bool,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::Io(path.to_owned(), error)
}

/// Looks at a place, and makes it ready where it is empty or not there.
///
/// # Errors
/// When it holds anything else.
pub fn prepare(place: &Path, limits: &Limits) -> Result<Place, Error> {
    let made = !place.exists();
    fs::create_dir_all(place).map_err(at(place))?;
    let place = fs::canonicalize(place).map_err(at(place))?;
    let delivery = Delivery { made, finished: false, place };
    let place = delivery.place.clone();
    if delivery.hidden(lock::NAME).exists() {
        delivery.settle()?;
    }
    if place.join(lock::NAME).exists() {
        let lock = verified(&place, limits)?;
        return Ok(Place::Finished(lock));
    }
    match fs::remove_dir_all(place.join(PARTIAL)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&place)(error)),
        _ => {}
    }
    if let Some(other) = fs::read_dir(&place).map_err(at(&place))?.next() {
        let name = other.map_err(at(&place))?.file_name().to_string_lossy().into_owned();
        return Err(Error::Taken(format!("{}: {name} is there, and no lock of ours; empty it", place.display())));
    }
    let files = delivery.files();
    fs::create_dir_all(&files).map_err(at(&files))?;
    let hidden = place.join(PARTIAL);
    fs::set_permissions(&hidden, Permissions::from_mode(0o700)).map_err(at(&hidden))?;
    Ok(Place::Empty(delivery))
}

/// The lock of a place, if it speaks the truth.
fn verified(place: &Path, limits: &Limits) -> Result<Lock, Error> {
    let path = place.join(lock::NAME);
    let taken = |why: String| Error::Taken(format!("{}: {why}; empty it", place.display()));
    if fs::metadata(&path).map_err(at(&path))?.len() > lock::MAX_BYTES {
        return Err(taken("its lock is too long".to_owned()));
    }
    let text = fs::read_to_string(&path).map_err(at(&path))?;
    let lock = Lock::parse(&text).map_err(taken)?;
    let folder = Folder::open(place).map_err(at(place))?;
    let Checked { differences, problems, .. } = check(&folder, &lock, limits, Some(&path));
    match (differences.first(), problems.first()) {
        (Some(difference), _) => Err(taken(format!("it is not what was put there: {difference}"))),
        (None, Some(problem)) => Err(taken(format!("{}: {}", problem.path, problem.why))),
        (None, None) => Ok(lock),
    }
}

impl Delivery {
    /// The folder that is to be filled: nobody else's.
    pub fn files(&self) -> PathBuf {
        self.hidden(FILES)
    }

    fn hidden(&self, name: &str) -> PathBuf {
        self.place.join(PARTIAL).join(name)
    }

    /// Locks what was filled in, and moves it to its place.
    ///
    /// # Errors
    /// When something in it cannot be read, or moved.
    pub fn finish(mut self, limits: &Limits) -> Result<Lock, Error> {
        let files = self.files();
        let folder = Folder::open(&files).map_err(at(&files))?;
        let Seen { files: seen, problems } = see(&folder, limits, None);
        if let Some(problem) = problems.first() {
            return Err(Error::Io(files.join(&problem.path), io::Error::other(problem.why.clone())));
        }
        if seen.iter().any(|(locked, _)| locked.path == lock::NAME) {
            return Err(Error::Taken(format!(
                "the source has a {} of its own; name it by --lock or take it away",
                lock::NAME
            )));
        }
        let lock = Lock::new(seen.into_iter().map(|(locked, _)| locked).collect());
        readable(&files).map_err(at(&files))?;
        let path = self.hidden(lock::NAME);
        let write = || -> io::Result<()> {
            let mut file = File::create_new(&path)?;
            file.write_all(lock.text().as_bytes())?;
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.sync_all()
        };
        write().map_err(at(&path))?;
        self.settle()?;
        self.finished = true;
        Ok(lock)
    }

    /// Moves what is complete, the lock last.
    fn settle(&self) -> Result<(), Error> {
        let files = self.files();
        if files.exists() {
            for entry in fs::read_dir(&files).map_err(at(&files))? {
                let name = entry.map_err(at(&files))?.file_name();
                let to = self.place.join(name.clone());
                fs::rename(files.join(&name), &to).map_err(at(&to))?;
            }
        }
        let to = self.place.join(lock::NAME);
        fs::rename(self.hidden(lock::NAME), &to).map_err(at(&to))?;
        _ = fs::remove_dir_all(self.place.join(PARTIAL));
        if let Ok(folder) = File::open(&self.place) {
            _ = folder.sync_all();
        }
        Ok(())
    }
}

/// Whoever serves it may be another user.
fn readable(folder: &Path) -> io::Result<()> {
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                todo.push(path);
            } else {
                fs::set_permissions(&path, Permissions::from_mode(0o644))?;
            }
        }
    }
    Ok(())
}

impl Drop for Delivery {
    fn drop(&mut self) {
        // What is complete and could not be moved is moved the next time.
        if !self.finished && !self.hidden(lock::NAME).exists() {
            _ = fs::remove_dir_all(self.place.join(PARTIAL));
            if self.made {
                _ = fs::remove_dir(&self.place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("it is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("it is there").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn empty(place: &Path) -> Delivery {
        match prepare(place, &Limits::default()) {
            Ok(Place::Empty(delivery)) => delivery,
            Ok(Place::Finished(_)) => unreachable!("it is finished"),
            Err(error) => unreachable!("{error:?}"),
        }
    }

    fn filled(place: &Path) -> Delivery {
        let delivery = empty(place);
        fs::create_dir(delivery.files().join("sub")).expect("it can be made");
        fs::write(delivery.files().join("sub/a.pkl"), b"].").expect("it can be written");
        fs::write(delivery.files().join("b.json"), b"{}").expect("it can be written");
        delivery
    }

    #[test]
    fn it_is_there_whole_with_its_lock_and_once() {
        let root = tempfile::tempdir().expect("a folder can be made");
        let place = root.path().join("new/models");
        let lock = filled(&place).finish(&Limits::default()).expect("it can be moved");
        assert_eq!(names(&place), ["b.json", "modelscan.lock", "sub"]);
        assert!(matches!(prepare(&place, &Limits::default()), Ok(Place::Finished(found)) if found == lock));
        fs::write(place.join("b.json"), b"[]").expect("it can be written");
        assert!(matches!(prepare(&place, &Limits::default()), Err(Error::Taken(why)) if why.contains("b.json")));
        assert_eq!(names(&place), ["b.json", "modelscan.lock", "sub"]);
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let root = tempfile::tempdir().expect("a folder can be made");
        let place = root.path().join("models");
        drop(filled(&place));
        assert!(!place.exists());
        fs::create_dir(&place).expect("it can be made");
        drop(filled(&place));
        assert_eq!(names(&place), Vec::<String>::new());
    }

    #[test]
    fn what_was_interrupted_is_begun_anew_or_moved_to_the_end() {
        let root = tempfile::tempdir().expect("a folder can be made");
        let place = root.path().join("models");
        std::mem::forget(filled(&place));
        assert_eq!(names(&empty(&place).files()), Vec::<String>::new());
        // Complete, and one file of it is moved already.
        let mut delivery = filled(&place);
        let lock = lock::see(&Folder::open(&delivery.files()).expect("it is there"), &Limits::default(), None);
        let lock = Lock::new(lock.files.into_iter().map(|(locked, _)| locked).collect());
        fs::write(delivery.hidden(lock::NAME), lock.text()).expect("it can be written");
        fs::rename(delivery.files().join("b.json"), place.join("b.json")).expect("it can be moved");
        delivery.finished = true;
        drop(delivery);
        assert!(matches!(prepare(&place, &Limits::default()), Ok(Place::Finished(_))));
        assert_eq!(names(&place), ["b.json", "modelscan.lock", "sub"]);
    }

    #[test]
    fn what_others_put_there_stays() {
        let root = tempfile::tempdir().expect("a folder can be made");
        fs::write(root.path().join("mine"), "x").expect("it can be written");
        assert!(matches!(prepare(root.path(), &Limits::default()), Err(Error::Taken(why)) if why.contains("mine")));
        assert_eq!(names(root.path()), ["mine"]);
    }
}
