//! The lock of a folder: path, length, SHA-256, format and verdict of each file, with the id of the rule set.
//!
//! A lock is JSON, sorted by path, without a time or a host: the same folder gives the same bytes, so a review shows changes of
//! the folder and nothing else.

use crate::assess::{AssessedFile, assess_and_hash};
use crate::error::{Error, LOCK_SCHEMA, LockFault, Problem};
use crate::folder::{Folder, FolderListing};
use crate::policy::Admission;
use scanner::Limits;
use scanner::hash::is_sha256;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Bytes of a lock that is read. A lock of 100,000 files takes about 30 MB.
pub const MAX_LOCK_BYTES: u64 = 256 << 20;

/// The files of a folder at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    schema: String,
    /// The program that wrote it.
    pub tool: Tool,
    /// The id of the rule set that gave the verdicts.
    pub rules: String,
    /// Every file, sorted by path.
    pub files: Vec<LockedFile>,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One file of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedFile {
    /// Its name below the folder.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256, lower case.
    pub sha256: String,
    /// The id of its format.
    pub format: String,
    /// Its verdict, as reports write it.
    pub verdict: String,
}

/// The files of a folder, assessed and hashed.
#[derive(Debug, Default)]
pub struct AssessedFolder {
    /// Every file that could be read.
    pub files: Vec<(LockedFile, AssessedFile)>,
    /// Everything that cannot be admitted.
    pub problems: Vec<Problem>,
}

impl LockedFile {
    fn new(path: &str, assessed: &AssessedFile, sha256: String) -> Self {
        let report = &assessed.report;
        Self {
            path: path.to_owned(),
            size: report.size,
            sha256,
            format: report.format.to_owned(),
            verdict: report.verdict.as_str().to_owned(),
        }
    }
}

/// Assesses and hashes every file of a folder but `except`.
pub fn assess_folder(folder: &Folder, limits: &Limits, except: Option<&Path>) -> AssessedFolder {
    let FolderListing { files, problems } = folder.list(limits, except);
    let mut assessed = AssessedFolder { files: Vec::with_capacity(files.len()), problems };
    for listed in files {
        match folder.open_file(&listed).and_then(|file| assess_and_hash(&file, &listed.path, limits)) {
            Ok((file, sha256)) => assessed.files.push((LockedFile::new(&listed.path, &file, sha256), file)),
            Err(error) => assessed.problems.push(Problem { path: listed.path, reason: error.to_string() }),
        }
    }
    assessed
}

impl AssessedFolder {
    /// The files of one kind.
    pub fn with_admission(&self, admission: Admission) -> impl Iterator<Item = (&LockedFile, &AssessedFile)> {
        let files = self.files.iter().filter(move |(_, assessed)| assessed.admission == admission);
        files.map(|(locked, assessed)| (locked, assessed))
    }

    /// The lock of the files that could be read.
    pub fn into_lock(self) -> Lock {
        Lock::new(self.files.into_iter().map(|(locked, _)| locked).collect())
    }
}

impl Lock {
    /// A lock of these files, with the rule set of this program.
    pub fn new(mut files: Vec<LockedFile>) -> Self {
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Self {
            schema: LOCK_SCHEMA.to_owned(),
            tool: Tool { name: "modelscan".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            rules: scanner::ruleset_id().to_owned(),
            files,
        }
    }

    /// The lock as JSON.
    pub fn to_json(&self) -> String {
        // It cannot fail: all keys are text, and no number is out of range.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Parses a lock.
    ///
    /// # Errors
    /// [`Error::InvalidLock`], also for a path that leads out of the folder or is listed twice.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_checked(text).map_err(Error::InvalidLock)
    }

    pub(crate) fn parse_checked(text: &str) -> Result<Self, LockFault> {
        #[derive(Deserialize)]
        struct LockHeader {
            schema: String,
        }
        let syntax = |error: serde_json::Error| LockFault::Syntax(error.to_string());
        let head: LockHeader = serde_json::from_str(text).map_err(syntax)?;
        if head.schema != LOCK_SCHEMA {
            return Err(LockFault::Schema(head.schema));
        }
        let lock: Self = serde_json::from_str(text).map_err(syntax)?;
        for file in &lock.files {
            let is_name = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
            if !file.path.split('/').all(is_name) {
                return Err(LockFault::Path(file.path.clone()));
            }
            if !is_sha256(&file.sha256) {
                return Err(LockFault::Hash { sha256: file.sha256.clone(), path: file.path.clone() });
            }
        }
        if let Some([one, _]) = lock.files.windows(2).find(|pair| matches!(pair, [a, b] if a.path >= b.path)) {
            return Err(LockFault::Order(one.path.clone()));
        }
        Ok(lock)
    }

    /// The file of this path.
    pub fn get(&self, path: &str) -> Option<&LockedFile> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(at)
    }

    /// Whether its verdicts are those of the rule set of this program.
    pub fn is_current(&self) -> bool {
        self.rules == scanner::ruleset_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(path: &str) -> LockedFile {
        let (format, verdict) = ("pickle".to_owned(), "clean".to_owned());
        LockedFile { path: path.to_owned(), size: 2, sha256: "a".repeat(64), format, verdict }
    }

    #[test]
    fn a_lock_is_sorted_and_reads_back() {
        let lock = Lock::new(vec![locked("b"), locked("a/c"), locked("a.b")]);
        let read = Lock::parse(&lock.to_json()).expect("it is one");
        assert_eq!(read, lock);
        assert_eq!(read.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a.b", "a/c", "b"]);
        assert!(read.get("a/c").is_some() && read.get("a").is_none() && read.is_current());
    }

    #[test]
    fn text_that_is_not_a_lock_is_refused() {
        let text = Lock::new(vec![locked("a"), locked("b")]).to_json();
        for (from, to) in [
            ("\"b\"", "\"../b\""),
            ("\"b\"", "\"/b\""),
            ("\"b\"", "\"\""),
            ("\"b\"", "\"a\""),
            ("\"a\"", "\"c\""),
            ("lock/1", "lock/2"),
            ("aaaa", "AAAA"),
            ("\"size\"", "\"length\""),
        ] {
            assert!(Lock::parse(&text.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
        assert!(Lock::parse("]").is_err() && Lock::parse(&text).is_ok());
    }
}
