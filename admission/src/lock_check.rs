//! A folder compared with its lock: what is missing, what is another, and what came along.

use crate::hash;
use crate::lock::Lock;
use crate::look::{Standing, look};
use crate::walk::{Folder, Listing, Problem};
use scanner::Limits;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The file.
    pub path: String,
    /// What about it.
    pub what: What,
}

/// What is different about a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It is in the lock and not in the folder.
    Missing,
    /// It has another content.
    Different,
    /// It is in the folder and not in the lock.
    Additional,
    /// The same content, of which today's rules say worse.
    Worse(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.what {
            What::Missing => write!(f, "missing: {path}"),
            What::Different => write!(f, "different: {path} is not what was locked"),
            What::Additional => write!(f, "additional: {path} is not in the lock"),
            What::Worse(why) => write!(f, "worse: {path} is {why} by today's rules"),
        }
    }
}

/// What came of a comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Every difference, sorted by path.
    pub differences: Vec<Difference>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Whether files were scanned anew, because the lock was made by other rules.
    pub anew: bool,
}

/// What the lock says against a file of this length and hash.
pub fn against(lock: &Lock, path: &str, size: u64, sha256: &str) -> Option<Difference> {
    let what = match lock.get(path) {
        None => What::Additional,
        Some(locked) if locked.size != size || locked.sha256 != sha256 => What::Different,
        Some(_) => return None,
    };
    Some(Difference { path: path.to_owned(), what })
}

/// What is in the lock and not among these files.
pub fn missing<'a>(lock: &Lock, there: impl Iterator<Item = &'a str>) -> Vec<Difference> {
    let there: BTreeSet<&str> = there.collect();
    let gone = lock.files.iter().filter(|file| !there.contains(file.path.as_str()));
    gone.map(|file| Difference { path: file.path.clone(), what: What::Missing }).collect()
}

/// Compares a folder with a lock. `except` is left out: the lock itself.
pub fn check(folder: &Folder, lock: &Lock, limits: &Limits, except: Option<&Path>) -> Checked {
    let Listing { files, problems } = folder.list(limits, except);
    let named = files.iter().map(|entry| entry.path.as_str());
    let differences = missing(lock, named.chain(problems.iter().map(|problem| problem.path.as_str())));
    let mut checked = Checked { differences, problems, anew: !lock.is_current() };
    for entry in files {
        let one = || -> std::io::Result<Option<Difference>> {
            let file = folder.file(&entry)?;
            let size = file.metadata()?.len();
            // What has another length, or is in no lock, need not be read for that.
            let known = lock.get(&entry.path).filter(|locked| locked.size == size);
            let sha256 = known.map(|_| hash::of(&file)).transpose()?.unwrap_or_default();
            if let Some(difference) = against(lock, &entry.path, size, &sha256) {
                return Ok(Some(difference));
            }
            let was = known.map_or("", |locked| locked.verdict.as_str());
            Ok(if checked.anew { worse(&entry.path, was, &look(&file, &entry.path, limits)?) } else { None })
        };
        match one() {
            Ok(difference) => checked.differences.extend(difference),
            Err(error) => checked.problems.push(Problem { path: entry.path, why: error.to_string() }),
        }
    }
    checked.differences.sort();
    checked
}

/// Whether what was clean is so no longer, or what was not dangerous is.
fn worse(path: &str, was: &str, now: &crate::look::Looked) -> Option<Difference> {
    let verdict = now.report.verdict.as_str();
    let fell = match now.standing {
        Standing::Dangerous => was != verdict,
        _ => was == "clean" && verdict != "clean",
    };
    fell.then(|| Difference { path: path.to_owned(), what: What::Worse(now.why()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{Locked, see};
    use std::fs;

    fn lock_of(folder: &Folder) -> Lock {
        let seen = see(folder, &Limits::default(), None);
        Lock::new(seen.files.into_iter().map(|(locked, _)| locked).collect())
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
        assert_eq!(check(&open, &lock, &Limits::default(), None), Checked::default());
        write("longer", "12");
        write("other", "2");
        write("new", "1");
        fs::remove_file(folder.path().join("gone")).expect("it is there");
        let found = check(&open, &lock, &Limits::default(), None).differences;
        let expected = [
            ("gone", What::Missing),
            ("longer", What::Different),
            ("new", What::Additional),
            ("other", What::Different),
        ];
        assert_eq!(
            found.into_iter().map(|one| (one.path, one.what)).collect::<Vec<_>>(),
            expected.map(|(a, b)| (a.to_owned(), b))
        );
    }

    #[test]
    fn where_other_rules_hold_the_same_files_are_looked_at_anew() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        fs::write(folder.path().join("a.pkl"), "cposix\nsystem\n(S'id'\ntR.").expect("it can be written");
        let open = Folder::open(folder.path()).expect("it is there");
        let mut lock = lock_of(&open);
        lock.rules = "0".repeat(64);
        assert_eq!(check(&open, &lock, &Limits::default(), None), Checked { anew: true, ..Checked::default() });
        let clean = |file: Locked| Locked { verdict: "clean".to_owned(), ..file };
        lock.files = lock.files.into_iter().map(clean).collect();
        let found = check(&open, &lock, &Limits::default(), None);
        assert!(
            matches!(&found.differences[..], [Difference { what: What::Worse(why), .. }] if why.contains("system"))
        );
    }
}
