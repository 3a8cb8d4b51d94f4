//! Compares a folder with its lock.

use crate::assess::{AssessedFile, assess_file};
use crate::difference::{Difference, DifferenceKind};
use crate::error::Problem;
use crate::file_bytes;
use crate::folder::{Folder, FolderListing, ListedFile};
use crate::lock::Lock;
use crate::policy::Admission;
use scanner::Limits;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// The result of a comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LockCheck {
    /// Every difference, sorted by path.
    pub differences: Vec<Difference>,
    /// Files that could not be read.
    pub problems: Vec<Problem>,
    /// Whether all files were scanned again, because the lock has the verdicts of another rule set.
    pub rescanned: bool,
}

/// Compares length and hash of a file with the lock.
pub(crate) fn compare_file(lock: &Lock, path: &str, size: u64, sha256: &str) -> Option<Difference> {
    let kind = match lock.get(path) {
        None => DifferenceKind::Additional,
        Some(locked) if locked.size != size || locked.sha256 != sha256 => DifferenceKind::Changed,
        Some(_) => return None,
    };
    Some(Difference { path: path.to_owned(), kind })
}

/// The files of the lock that are not among `present`.
pub(crate) fn missing_files<'a>(lock: &Lock, present: impl Iterator<Item = &'a str>) -> Vec<Difference> {
    let present: BTreeSet<&str> = present.collect();
    let missing = lock.files.iter().filter(|file| !present.contains(file.path.as_str()));
    missing.map(|file| Difference { path: file.path.clone(), kind: DifferenceKind::Missing }).collect()
}

/// Compares a folder with a lock. `except` is left out: the lock itself.
pub fn check_lock(folder: &Folder, lock: &Lock, limits: &Limits, except: Option<&Path>) -> LockCheck {
    let FolderListing { files, problems } = folder.list(limits, except);
    let listed = files.iter().map(|file| file.path.as_str());
    let differences = missing_files(lock, listed.chain(problems.iter().map(|problem| problem.path.as_str())));
    let mut check = LockCheck { differences, problems, rescanned: !lock.is_current() };
    for file in files {
        match check_file(folder, lock, limits, &file) {
            Ok(difference) => check.differences.extend(difference),
            Err(error) => check.problems.push(Problem { path: file.path, reason: error.to_string() }),
        }
    }
    check.differences.sort();
    check
}

fn check_file(folder: &Folder, lock: &Lock, limits: &Limits, listed: &ListedFile) -> io::Result<Option<Difference>> {
    let path = &listed.path;
    let file = folder.open_file(listed)?;
    let size = file.metadata()?.len();
    // A file of another length, or one that is not in the lock, differs whatever its hash is.
    let same_size = lock.get(path).filter(|locked| locked.size == size);
    let sha256 = same_size.map(|_| file_bytes::sha256(&file)).transpose()?.unwrap_or_default();
    if let Some(difference) = compare_file(lock, path, size, &sha256) {
        return Ok(Some(difference));
    }
    let locked_verdict = same_size.map_or("", |locked| locked.verdict.as_str());
    if lock.is_current() {
        return Ok(None);
    }
    Ok(worse_verdict(path, locked_verdict, &assess_file(&file, path, limits)?))
}

/// The difference if a clean file is not clean any more, or a file became dangerous.
fn worse_verdict(path: &str, locked_verdict: &str, assessed: &AssessedFile) -> Option<Difference> {
    let verdict = assessed.report.verdict.as_str();
    let is_worse = match assessed.admission {
        Admission::Dangerous => locked_verdict != verdict,
        Admission::Admitted | Admission::Program | Admission::Unproven | Admission::Unread | Admission::Archive => {
            locked_verdict == "clean" && verdict != "clean"
        }
    };
    is_worse.then(|| Difference { path: path.to_owned(), kind: DifferenceKind::Worse(assessed.reason()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{LockedFile, assess_folder};
    use std::fs;

    fn lock_of(folder: &Folder) -> Lock {
        assess_folder(folder, &Limits::default(), None).into_lock()
    }

    #[test]
    fn every_difference_is_named() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it can be written");
        for name in ["same", "longer", "other", "gone"] {
            write(name, "1");
        }
        let open = Folder::open(folder.path()).expect("it is there");
        let lock = lock_of(&open);
        assert_eq!(check_lock(&open, &lock, &Limits::default(), None), LockCheck::default());
        write("longer", "12");
        write("other", "2");
        write("new", "1");
        fs::remove_file(folder.path().join("gone")).expect("it is there");
        let found = check_lock(&open, &lock, &Limits::default(), None).differences;
        let expected = [
            ("gone", DifferenceKind::Missing),
            ("longer", DifferenceKind::Changed),
            ("new", DifferenceKind::Additional),
            ("other", DifferenceKind::Changed),
        ];
        assert_eq!(
            found.into_iter().map(|one| (one.path, one.kind)).collect::<Vec<_>>(),
            expected.map(|(a, b)| (a.to_owned(), b))
        );
    }

    #[test]
    fn files_are_scanned_again_under_another_rule_set() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        fs::write(folder.path().join("a.pkl"), "cposix\nsystem\n(S'id'\ntR.").expect("it can be written");
        let open = Folder::open(folder.path()).expect("it is there");
        let mut lock = lock_of(&open);
        lock.rules = "0".repeat(64);
        assert_eq!(
            check_lock(&open, &lock, &Limits::default(), None),
            LockCheck { rescanned: true, ..LockCheck::default() }
        );
        let clean = |file: LockedFile| LockedFile { verdict: "clean".to_owned(), ..file };
        lock.files = lock.files.into_iter().map(clean).collect();
        let found = check_lock(&open, &lock, &Limits::default(), None);
        assert!(
            matches!(&found.differences[..], [Difference { kind: DifferenceKind::Worse(reason), .. }] if reason.contains("system"))
        );
    }
}
