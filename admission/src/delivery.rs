//! Publishes a copy in a destination folder, as a whole or not at all, and once.
//!
//! The destination may be a mount point (a volume that an init container fills), which rename(2) cannot replace. So all files are
//! written to a hidden folder inside it, the lock last, and then renamed, the lock last again. A destination with a lock is
//! finished. A hidden folder with a lock is complete, and renaming was interrupted. A hidden folder without a lock is removed.

use crate::error::{DestinationFault, Error, LOCK_NAME};
use crate::folder::Folder;
use crate::lock::{Lock, MAX_LOCK_BYTES, assess_folder};
use crate::lock_check::{LockCheck, check_lock};
use scanner::Limits;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The hidden folder.
const PARTIAL: &str = ".modelscan.partial";
/// The folder of files in the hidden folder.
const FILES: &str = "files";

/// The state of a destination.
pub enum DestinationState {
    /// It was filled before, and agrees with its lock.
    Finished(Lock),
    /// It can be filled.
    Empty(Delivery),
}

/// A destination that is being filled. Dropped unfinished, it removes its files again.
pub struct Delivery {
    destination: PathBuf,
    /// Whether the destination was created here.
    created: bool,
    finished: bool,
}

/// Checks a destination, and creates it if it does not exist.
///
/// # Errors
/// [`Error::DestinationTaken`] if it holds other files.
pub fn prepare_destination(path: &Path, limits: &Limits) -> Result<DestinationState, Error> {
    let created = !path.exists();
    fs::create_dir_all(path).map_err(Error::io(path))?;
    let destination = fs::canonicalize(path).map_err(Error::io(path))?;
    let delivery = Delivery { created, finished: false, destination: destination.clone() };
    if delivery.hidden(LOCK_NAME).exists() {
        delivery.publish()?;
    }
    if destination.join(LOCK_NAME).exists() {
        return verified_lock(&destination, limits).map(DestinationState::Finished);
    }
    let hidden = destination.join(PARTIAL);
    match fs::remove_dir_all(&hidden) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(&destination)(error)),
        Ok(()) | Err(_) => {}
    }
    if let Some(other) = fs::read_dir(&destination).map_err(Error::io(&destination))?.next() {
        let name = other.map_err(Error::io(&destination))?.file_name().to_string_lossy().into_owned();
        return Err(Error::DestinationTaken { path: destination, fault: DestinationFault::ForeignFile(name) });
    }
    let files = delivery.files();
    fs::create_dir_all(&files).map_err(Error::io(&files))?;
    fs::set_permissions(&hidden, Permissions::from_mode(0o700)).map_err(Error::io(&hidden))?;
    Ok(DestinationState::Empty(delivery))
}

/// The lock of a destination that agrees with it.
fn verified_lock(destination: &Path, limits: &Limits) -> Result<Lock, Error> {
    let path = destination.join(LOCK_NAME);
    let taken = |fault| Error::DestinationTaken { path: destination.to_owned(), fault };
    if fs::metadata(&path).map_err(Error::io(&path))?.len() > MAX_LOCK_BYTES {
        return Err(taken(DestinationFault::LockTooLong));
    }
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let lock = Lock::parse_checked(&text).map_err(|fault| taken(DestinationFault::InvalidLock(fault)))?;
    let folder = Folder::open(destination).map_err(Error::io(destination))?;
    let LockCheck { differences, problems, .. } = check_lock(&folder, &lock, limits, Some(&path));
    let difference = differences.into_iter().next().map(DestinationFault::Changed);
    let fault = difference.or_else(|| problems.into_iter().next().map(DestinationFault::Problem));
    fault.map_or(Ok(lock), |fault| Err(taken(fault)))
}

impl Delivery {
    /// The folder to fill. Only this user can enter it.
    pub fn files(&self) -> PathBuf {
        self.hidden(FILES)
    }

    fn hidden(&self, name: &str) -> PathBuf {
        self.destination.join(PARTIAL).join(name)
    }

    /// Locks the files of [`files`](Self::files), and publishes them.
    ///
    /// # Errors
    /// When a file cannot be read or renamed, or has the name of the lock.
    pub fn finish(mut self, limits: &Limits) -> Result<Lock, Error> {
        let files = self.files();
        let folder = Folder::open(&files).map_err(Error::io(&files))?;
        let assessed = assess_folder(&folder, limits, None);
        if let Some(problem) = assessed.problems.first() {
            return Err(Error::io(&files.join(&problem.path))(io::Error::other(problem.reason.clone())));
        }
        let lock = assessed.into_lock();
        if lock.get(LOCK_NAME).is_some() {
            return Err(Error::LockInSource);
        }
        make_readable(&files).map_err(Error::io(&files))?;
        let path = self.hidden(LOCK_NAME);
        let write = || -> io::Result<()> {
            let mut file = File::create_new(&path)?;
            file.write_all(lock.to_json().as_bytes())?;
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.sync_all()
        };
        write().map_err(Error::io(&path))?;
        self.publish()?;
        self.finished = true;
        Ok(lock)
    }

    /// Renames the files of a complete hidden folder, the lock last.
    fn publish(&self) -> Result<(), Error> {
        let files = self.files();
        if files.exists() {
            for entry in fs::read_dir(&files).map_err(Error::io(&files))? {
                let name = entry.map_err(Error::io(&files))?.file_name();
                let to = self.destination.join(name.clone());
                fs::rename(files.join(&name), &to).map_err(Error::io(&to))?;
            }
        }
        let to = self.destination.join(LOCK_NAME);
        fs::rename(self.hidden(LOCK_NAME), &to).map_err(Error::io(&to))?;
        _ = fs::remove_dir_all(self.destination.join(PARTIAL));
        if let Ok(folder) = File::open(&self.destination) {
            _ = folder.sync_all();
        }
        Ok(())
    }
}

/// Makes a folder readable for all: the server may run as another user.
fn make_readable(folder: &Path) -> io::Result<()> {
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
        // A complete hidden folder is published by the next run.
        if !self.finished && !self.hidden(LOCK_NAME).exists() {
            _ = fs::remove_dir_all(self.destination.join(PARTIAL));
            if self.created {
                _ = fs::remove_dir(&self.destination);
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
        match prepare_destination(place, &Limits::default()) {
            Ok(DestinationState::Empty(delivery)) => delivery,
            Ok(DestinationState::Finished(_)) => unreachable!("it is finished"),
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
    fn a_delivery_is_complete_with_its_lock_and_made_once() {
        let root = tempfile::tempdir().expect("a folder can be made");
        let place = root.path().join("new/models");
        let lock = filled(&place).finish(&Limits::default()).expect("it can be moved");
        assert_eq!(names(&place), ["b.json", "modelscan.lock", "sub"]);
        assert!(
            matches!(prepare_destination(&place, &Limits::default()), Ok(DestinationState::Finished(found)) if found == lock)
        );
        fs::write(place.join("b.json"), b"[]").expect("it can be written");
        assert!(
            matches!(prepare_destination(&place, &Limits::default()), Err(error @ Error::DestinationTaken { .. }) if error.to_string().contains("b.json"))
        );
        assert_eq!(names(&place), ["b.json", "modelscan.lock", "sub"]);
    }

    #[test]
    fn an_unfinished_delivery_leaves_nothing() {
        let root = tempfile::tempdir().expect("a folder can be made");
        let place = root.path().join("models");
        drop(filled(&place));
        assert!(!place.exists());
        fs::create_dir(&place).expect("it can be made");
        drop(filled(&place));
        assert_eq!(names(&place), Vec::<String>::new());
    }

    #[test]
    fn an_interrupted_delivery_starts_again_or_is_published() {
        let root = tempfile::tempdir().expect("a folder can be made");
        let place = root.path().join("models");
        std::mem::forget(filled(&place));
        assert_eq!(names(&empty(&place).files()), Vec::<String>::new());
        // Complete, and one file is renamed already.
        let mut delivery = filled(&place);
        let folder = Folder::open(&delivery.files()).expect("it is there");
        let lock = assess_folder(&folder, &Limits::default(), None).into_lock();
        fs::write(delivery.hidden(LOCK_NAME), lock.to_json()).expect("it can be written");
        fs::rename(delivery.files().join("b.json"), place.join("b.json")).expect("it can be moved");
        delivery.finished = true;
        drop(delivery);
        assert!(matches!(prepare_destination(&place, &Limits::default()), Ok(DestinationState::Finished(_))));
        assert_eq!(names(&place), ["b.json", "modelscan.lock", "sub"]);
    }

    #[test]
    fn foreign_files_stay() {
        let root = tempfile::tempdir().expect("a folder can be made");
        fs::write(root.path().join("mine"), "x").expect("it can be written");
        assert!(
            matches!(prepare_destination(root.path(), &Limits::default()), Err(error @ Error::DestinationTaken { .. }) if error.to_string().contains("mine"))
        );
        assert_eq!(names(root.path()), ["mine"]);
    }
}
