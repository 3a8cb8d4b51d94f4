//! Verdicts that are remembered: a folder with one file for each content that was scanned, so that bytes which were seen
//! before need not be looked at again, nor even be fetched when their hash is known.
//!
//! What is remembered is what the scanner said, before any policy, under everything that it depends on: the SHA-256 and
//! the size of the bytes, their name (a hint to formats), this build of the scanner with its rules and tables, and all
//! limits. Whoever can write into the folder can make the scanner say anything, so the folder must be the user's alone; a
//! checksum finds what is damaged, not what is forged. An entry that is not what it should be is not there.

use crate::format::all as formats;
use crate::io::hash::hex;
use crate::io::limits::Limits;
use crate::judge::finding::{Finding, Line, Severity, Verdict, fingerprint};
use crate::judge::report::ArtifactReport;
use crate::judge::rule::rules;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

/// This build: its version, and a number over its sources, rules, tables and the versions of its dependencies.
pub const ENGINE: &str = concat!(env!("CARGO_PKG_VERSION"), "+", env!("MODELSCAN_BUILD"));

/// A report with a thousand findings of each rule takes some megabytes.
const LONGEST: u64 = 32 << 20;

/// A folder of verdicts.
pub struct Verdicts {
    folder: PathBuf,
    /// Who we are, as the file system says.
    owner: u32,
    written: AtomicU64,
}

/// What a verdict depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    engine: String,
    limits: String,
    name: String,
    sha256: String,
    size: u64,
}

impl Key {
    pub(crate) fn new(sha256: &str, size: u64, name: &str, limits: &Limits) -> Self {
        let limits = format!("{limits:?}");
        Self { engine: ENGINE.to_owned(), limits, name: name.to_owned(), sha256: sha256.to_owned(), size }
    }

    /// The name of its file: nothing in it comes from a stranger.
    fn file(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.engine, &self.limits, &self.name, &self.sha256, &self.size.to_string()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hex(&hash.finalize())
    }
}

#[derive(Serialize, Deserialize)]
struct Entry {
    key: Key,
    format: String,
    verdict: Verdict,
    findings: Vec<Kept>,
}

/// A finding without what depends on the path.
#[derive(Serialize, Deserialize)]
struct Kept {
    rule: String,
    severity: Severity,
    member: Option<String>,
    stream: Option<u64>,
    offset: Option<u64>,
    callable: Option<String>,
    evidence: Option<String>,
    message: String,
    help: Option<String>,
    verdict: Verdict,
    count: u64,
    lines: Vec<(u64, String, Option<String>)>,
}

impl Verdicts {
    /// Opens a folder, or makes it.
    ///
    /// # Errors
    /// When it cannot be made or written, or others may write there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let folder = fs::canonicalize(folder)?;
        let verdicts = Self { folder, owner: 0, written: AtomicU64::new(0) };
        // A file that we make is ours: its owner tells who we are.
        let probe = verdicts.beside();
        let owner = new_file(&probe).and_then(|file| file.metadata()).map(|meta| meta.uid());
        _ = fs::remove_file(&probe);
        let (owner, meta) = (owner?, fs::metadata(&verdicts.folder)?);
        if meta.uid() != owner || meta.mode() & 0o077 != 0 {
            let why = "others may write or read there; it must be yours alone (chmod 700)";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(Self { owner, ..verdicts })
    }

    /// The folder, with links followed.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A name that nobody has: in a container each process may have the number of one that was killed over its own file.
    fn beside(&self) -> PathBuf {
        let number = self.written.fetch_add(1, Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        self.folder.join(format!(".{}.{now}.{number}.part", std::process::id()))
    }

    /// What was said of these bytes, as if they stood at `path`.
    pub(crate) fn get(&self, key: &Key, path: &str) -> Option<ArtifactReport> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(self.folder.join(key.file())).ok()?;
        let meta = file.metadata().ok()?;
        if !meta.is_file() || meta.uid() != self.owner || meta.mode() & 0o022 != 0 || meta.len() > LONGEST {
            return None;
        }
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        let (sum, body) = text.split_once('\n')?;
        if sum != hex(&Sha256::digest(body)) {
            return None;
        }
        let entry: Entry = serde_json::from_str(body).ok()?;
        if entry.key != *key {
            return None;
        }
        let findings = entry.findings.into_iter().map(|kept| kept.finding(path)).collect::<Option<Vec<_>>>()?;
        Some(ArtifactReport {
            path: path.to_owned(),
            format: format(&entry.format)?,
            size: key.size,
            verdict: entry.verdict,
            sha256: None,
            lfs: None,
            findings,
            not_read: Vec::new(),
        })
    }

    /// Remembers a report over all of the bytes. That it cannot be written costs time, and nothing else.
    pub(crate) fn put(&self, key: &Key, report: &ArtifactReport) {
        // What was not read today may be read tomorrow.
        if !report.not_read.is_empty() || format(report.format).is_none() {
            return;
        }
        let findings = report.findings.iter().map(Kept::of).collect();
        let entry = Entry { key: key.clone(), format: report.format.to_owned(), verdict: report.verdict, findings };
        let Ok(body) = serde_json::to_string(&entry) else { return };
        let text = format!("{}\n{body}", hex(&Sha256::digest(&body)));
        if text.len() as u64 > LONGEST {
            return;
        }
        let beside = self.beside();
        let written = new_file(&beside).and_then(|mut file| file.write_all(text.as_bytes()));
        if written.and_then(|()| fs::rename(&beside, self.folder.join(key.file()))).is_err() {
            _ = fs::remove_file(&beside);
        }
    }
}

impl Kept {
    fn of(finding: &Finding) -> Self {
        Self {
            rule: finding.rule.to_owned(),
            severity: finding.severity,
            member: finding.member.clone(),
            stream: finding.stream,
            offset: finding.offset,
            callable: finding.callable.clone(),
            evidence: finding.evidence.clone(),
            message: finding.message.clone(),
            help: finding.help.clone(),
            verdict: finding.verdict,
            count: finding.count,
            lines: finding.lines.iter().map(|line| (line.offset, line.text.clone(), line.note.clone())).collect(),
        }
    }

    fn finding(self, path: &str) -> Option<Finding> {
        let rule = rules().iter().find(|rule| rule.id == self.rule)?.id;
        let print = fingerprint(rule, path, self.member.as_deref(), self.callable.as_deref(), self.stream);
        Some(Finding {
            rule,
            severity: self.severity,
            member: self.member,
            stream: self.stream,
            offset: self.offset,
            callable: self.callable,
            evidence: self.evidence,
            message: self.message,
            help: self.help,
            fingerprint: print,
            verdict: self.verdict,
            suppressed: None,
            count: self.count,
            lines: self.lines.into_iter().map(|(offset, text, note)| Line { offset, text, note }).collect(),
        })
    }
}

/// Readable and writable by us alone, and not there before.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The known format of that name. What no format claims was not scanned, and is not remembered.
fn format(id: &str) -> Option<&'static str> {
    formats::by_id(id).map(|info| info.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::scan_open::Opened;
    use crate::io::source::Memory;
    use std::sync::Arc;

    fn scanned(path: &str) -> ArtifactReport {
        let bytes = b"cposix\nsystem\n(S'true'\ntR.".as_slice();
        Opened::Bytes(Arc::new(Memory::new(bytes))).scan(path, 0, &Limits::default()).expect("memory reads").report
    }

    fn verdicts() -> (tempfile::TempDir, Verdicts) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let verdicts = Verdicts::open(&folder.path().join("a/b")).expect("it can be made");
        (folder, verdicts)
    }

    fn key() -> Key {
        Key::new("ab", 26, "a.pkl", &Limits::default())
    }

    #[test]
    fn what_was_said_is_said_again_at_any_path() {
        let (_folder, verdicts) = verdicts();
        assert_eq!(verdicts.get(&key(), "a.pkl"), None);
        let report = scanned("a.pkl");
        assert!(!report.findings.is_empty() && !report.findings[0].lines.is_empty());
        verdicts.put(&key(), &report);
        assert_eq!(verdicts.get(&key(), "a.pkl"), Some(report));
        assert_eq!(verdicts.get(&key(), "other/a.pkl"), Some(scanned("other/a.pkl")));
    }

    #[test]
    fn all_that_a_verdict_depends_on_is_in_its_key() {
        let (_folder, verdicts) = verdicts();
        verdicts.put(&key(), &scanned("a.pkl"));
        let limits = Limits { depth: 3, ..Limits::default() };
        let others = [
            Key::new("ac", 26, "a.pkl", &Limits::default()),
            Key::new("ab", 27, "a.pkl", &Limits::default()),
            Key::new("ab", 26, "a.npy", &Limits::default()),
            Key::new("ab", 26, "a.pkl", &limits),
            Key { engine: "0.1.0+another build".to_owned(), ..key() },
        ];
        for other in others {
            assert_eq!(verdicts.get(&other, "a.pkl"), None, "{other:?}");
            // Also where somebody renames the file.
            fs::copy(verdicts.folder.join(key().file()), verdicts.folder.join(other.file())).expect("it is there");
            assert_eq!(verdicts.get(&other, "a.pkl"), None, "{other:?}");
        }
        assert!(ENGINE.len() > 20 && ENGINE.starts_with(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn what_is_damaged_or_foreign_is_not_there() {
        let (_folder, verdicts) = verdicts();
        verdicts.put(&key(), &scanned("a.pkl"));
        let place = verdicts.folder.join(key().file());
        let whole = fs::read(&place).expect("it was written");
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&place, damaged).expect("it can be written");
            assert_eq!(verdicts.get(&key(), "a.pkl"), None, "byte {at}");
            fs::write(&place, &whole[..at]).expect("it can be written");
            assert_eq!(verdicts.get(&key(), "a.pkl"), None, "cut at {at}");
        }
        let moved = verdicts.folder.join("moved");
        fs::write(&place, &whole).expect("it can be written");
        fs::rename(&place, &moved).expect("it can be moved");
        std::os::unix::fs::symlink(&moved, &place).expect("links can be made");
        assert_eq!(verdicts.get(&key(), "a.pkl"), None);
        fs::remove_file(&place).expect("it is there");
        fs::rename(&moved, &place).expect("it can be moved");
        assert!(verdicts.get(&key(), "a.pkl").is_some());
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(&place, mode).expect("it is ours");
        assert_eq!(verdicts.get(&key(), "a.pkl"), None);
    }

    #[test]
    fn what_was_not_read_whole_is_not_remembered_and_nothing_is_left_behind() {
        let (_folder, verdicts) = verdicts();
        let mut report = scanned("a.pkl");
        report.not_read.push(crate::judge::report::NotRead {
            member: None,
            offset: None,
            reason: "time ran out".into(),
        });
        verdicts.put(&key(), &report);
        assert_eq!(fs::read_dir(&verdicts.folder).expect("it is there").count(), 0);
    }

    #[test]
    fn a_folder_that_others_may_use_is_refused() {
        let (_folder, verdicts) = verdicts();
        for mode in [0o755, 0o770, 0o701] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(&verdicts.folder, mode).expect("it is ours");
            assert!(Verdicts::open(&verdicts.folder).is_err());
        }
    }
}
