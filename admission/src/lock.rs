//! The lock of a folder: each file with its hash, what it is, and what was said of it, by which rules.
//!
//! It is JSON, a file a few lines, sorted by path, and nothing in it depends on when or where it was written: the same folder
//! gives the same bytes, and a change in review is a change of the folder.

use crate::look::look_and_hash;
use crate::look::{Looked, Standing};
use crate::walk::{Folder, Listing, Problem};
use scanner::Limits;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name and version of this layout.
pub const SCHEMA: &str = "modelscan.lock/1";
/// What a lock is called where nobody says otherwise.
pub const NAME: &str = "modelscan.lock";
/// A lock of a hundred thousand files takes about 30 MB.
pub const MAX_BYTES: u64 = 256 << 20;

/// What a folder held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    schema: String,
    /// Who wrote it.
    pub tool: Tool,
    /// The rules that the verdicts were made by.
    pub rules: String,
    /// Every file, sorted by path.
    pub files: Vec<Locked>,
}

/// The program that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Its name below the folder.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// What it is.
    pub format: String,
    /// What was said of it.
    pub verdict: String,
}

/// What came of looking at a whole folder.
#[derive(Debug, Default)]
pub struct Seen {
    /// Every file that could be read, with its hash.
    pub files: Vec<(Locked, Looked)>,
    /// Everything else.
    pub problems: Vec<Problem>,
}

impl Locked {
    /// The line of a file.
    pub fn new(path: &str, looked: &Looked, sha256: String) -> Self {
        let report = &looked.report;
        Self {
            path: path.to_owned(),
            size: report.size,
            sha256,
            format: report.format.to_owned(),
            verdict: report.verdict.as_str().to_owned(),
        }
    }
}

/// Looks at every file of a folder but `except`, and hashes it.
pub fn see(folder: &Folder, limits: &Limits, except: Option<&Path>) -> Seen {
    let Listing { files, problems } = folder.list(limits, except);
    let mut seen = Seen { files: Vec::with_capacity(files.len()), problems };
    for entry in files {
        match folder.file(&entry).and_then(|file| look_and_hash(&file, &entry.path, limits)) {
            Ok((looked, sha256)) => seen.files.push((Locked::new(&entry.path, &looked, sha256), looked)),
            Err(error) => seen.problems.push(Problem { path: entry.path, why: error.to_string() }),
        }
    }
    seen
}

impl Seen {
    /// The files of a standing.
    pub fn of(&self, standing: Standing) -> impl Iterator<Item = (&Locked, &Looked)> {
        self.files
            .iter()
            .filter(move |(_, looked)| looked.standing == standing)
            .map(|(locked, looked)| (locked, looked))
    }
}

impl Lock {
    /// A lock of these files, by the rules of this program.
    pub fn new(mut files: Vec<Locked>) -> Self {
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Self {
            schema: SCHEMA.to_owned(),
            tool: Tool { name: "modelscan".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            rules: scanner::ruleset_id().to_owned(),
            files,
        }
    }

    /// As text.
    pub fn text(&self) -> String {
        // Neither a number out of range nor a key that is no text is in it.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Reads a lock.
    ///
    /// # Errors
    /// Why it is none. Names are checked: one that leads out of the folder, or stands twice, makes it none.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let head: Head = serde_json::from_str(text).map_err(|error| format!("no lock: {error}"))?;
        if head.schema != SCHEMA {
            return Err(format!("a lock of the layout {:?}; this program reads {SCHEMA}", head.schema));
        }
        let lock: Self = serde_json::from_str(text).map_err(|error| format!("no lock: {error}"))?;
        for file in &lock.files {
            let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
            if !file.path.split('/').all(plain) {
                return Err(format!("no lock: {:?} is no name below a folder", file.path));
            }
            if !is_sha256(&file.sha256) {
                return Err(format!("no lock: {:?} is no SHA-256, of {:?}", file.sha256, file.path));
            }
        }
        if let Some([one, _]) = lock.files.windows(2).find(|pair| matches!(pair, [a, b] if a.path >= b.path)) {
            return Err(format!("no lock: its files are not sorted, or {:?} stands twice", one.path));
        }
        Ok(lock)
    }

    /// The line of a file.
    pub fn get(&self, path: &str) -> Option<&Locked> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(at)
    }

    /// Whether its verdicts were made by the rules of this program.
    pub fn is_current(&self) -> bool {
        self.rules == scanner::ruleset_id()
    }
}

/// 64 hexadecimal digits in lower case.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(path: &str) -> Locked {
        let (format, verdict) = ("pickle".to_owned(), "clean".to_owned());
        Locked { path: path.to_owned(), size: 2, sha256: "a".repeat(64), format, verdict }
    }

    #[test]
    fn a_lock_is_sorted_and_reads_back() {
        let lock = Lock::new(vec![locked("b"), locked("a/c"), locked("a.b")]);
        let read = Lock::parse(&lock.text()).expect("it is one");
        assert_eq!(read, lock);
        assert_eq!(read.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a.b", "a/c", "b"]);
        assert!(read.get("a/c").is_some() && read.get("a").is_none() && read.is_current());
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        let text = Lock::new(vec![locked("a"), locked("b")]).text();
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
