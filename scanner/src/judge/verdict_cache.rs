//! A cache of reports: a folder with one file for each content that was scanned. Bytes with a cached report are not scanned
//! again, and not even fetched when their hash is known.
//!
//! A cached report is the one before any policy. Its key is all that it depends on: SHA-256 and size of the bytes, their name (a
//! hint to formats), [`ruleset_id`], and all limits. A writer to the folder can forge any report, so the folder must belong to the
//! user alone; the checksum finds damage, not forgery. A file with any defect counts as absent.

use crate::finding::{Finding, Line, Severity, Verdict, fingerprint};
use crate::format::all as formats;
use crate::io::bounds::judge::MAX_CACHED_REPORT_BYTES;
use crate::io::hash::hex;
use crate::io::limits::Limits;
use crate::judge::report::ArtifactReport;
use crate::judge::rule::rules;
use crate::judge::ruleset_id::ruleset_id;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

/// A folder of cached reports.
pub struct VerdictCache {
    folder: PathBuf,
    /// User id of this process, as the file system shows it.
    owner: u32,
    written: AtomicU64,
}

/// All that a report depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CacheKey {
    ruleset: String,
    limits: String,
    name: String,
    sha256: String,
    size: u64,
}

impl CacheKey {
    pub(crate) fn new(sha256: &str, size: u64, name: &str, limits: &Limits) -> Self {
        let limits = format!("{limits:?}");
        Self { ruleset: ruleset_id().to_owned(), limits, name: name.to_owned(), sha256: sha256.to_owned(), size }
    }

    /// The name of the cache file: hexadecimal digits only.
    fn file_name(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.ruleset, &self.limits, &self.name, &self.sha256, &self.size.to_string()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hex(&hash.finalize())
    }
}

#[derive(Serialize, Deserialize)]
struct CacheEntry {
    key: CacheKey,
    format: String,
    verdict: Verdict,
    findings: Vec<CachedFinding>,
}

/// A finding without the fields that depend on the path.
#[derive(Serialize, Deserialize)]
struct CachedFinding {
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

impl VerdictCache {
    /// Opens the folder, or creates it with mode 0700.
    ///
    /// # Errors
    /// When it cannot be created or written, or other users have access to it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let folder = fs::canonicalize(folder)?;
        let cache = Self { folder, owner: 0, written: AtomicU64::new(0) };
        // The owner of a new file is the user of this process.
        let probe = cache.temporary_path();
        let owner = new_file(&probe).and_then(|file| file.metadata()).map(|meta| meta.uid());
        _ = fs::remove_file(&probe);
        let (owner, meta) = (owner?, fs::metadata(&cache.folder)?);
        if meta.uid() != owner || meta.mode() & 0o077 != 0 {
            let why = "others may write or read there; it must be yours alone (chmod 700)";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(Self { owner, ..cache })
    }

    /// The canonical path of the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A name that no file has. The process id is not enough: in a container it may be that of a killed process.
    fn temporary_path(&self) -> PathBuf {
        let number = self.written.fetch_add(1, Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        self.folder.join(format!(".{}.{now}.{number}.part", std::process::id()))
    }

    /// The report on these bytes, for a file at `path`.
    pub(crate) fn get(&self, key: &CacheKey, path: &str) -> Option<ArtifactReport> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(self.folder.join(key.file_name())).ok()?;
        let meta = file.metadata().ok()?;
        if !meta.is_file()
            || meta.uid() != self.owner
            || meta.mode() & 0o022 != 0
            || meta.len() > MAX_CACHED_REPORT_BYTES
        {
            return None;
        }
        let mut text = String::new();
        file.take(MAX_CACHED_REPORT_BYTES).read_to_string(&mut text).ok()?;
        let (sum, body) = text.split_once('\n')?;
        if sum != hex(&Sha256::digest(body)) {
            return None;
        }
        let entry: CacheEntry = serde_json::from_str(body).ok()?;
        if entry.key != *key {
            return None;
        }
        let findings =
            entry.findings.into_iter().map(|cached| cached.into_finding(path)).collect::<Option<Vec<_>>>()?;
        Some(ArtifactReport {
            path: path.to_owned(),
            format: known_format(&entry.format)?,
            size: key.size,
            verdict: entry.verdict,
            sha256: None,
            lfs: None,
            findings,
            not_read: Vec::new(),
        })
    }

    /// Stores a report. A failure costs the time of the next scan, so it is ignored.
    pub(crate) fn put(&self, key: &CacheKey, report: &ArtifactReport) {
        // The next scan may read what this one did not.
        if !report.not_read.is_empty() || known_format(report.format).is_none() {
            return;
        }
        let findings = report.findings.iter().map(CachedFinding::of).collect();
        let entry =
            CacheEntry { key: key.clone(), format: report.format.to_owned(), verdict: report.verdict, findings };
        let Ok(body) = serde_json::to_string(&entry) else { return };
        let text = format!("{}\n{body}", hex(&Sha256::digest(&body)));
        if text.len() as u64 > MAX_CACHED_REPORT_BYTES {
            return;
        }
        let temporary = self.temporary_path();
        let written = new_file(&temporary).and_then(|mut file| file.write_all(text.as_bytes()));
        if written.and_then(|()| fs::rename(&temporary, self.folder.join(key.file_name()))).is_err() {
            _ = fs::remove_file(&temporary);
        }
    }
}

impl CachedFinding {
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

    fn into_finding(self, path: &str) -> Option<Finding> {
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

/// Creates a file with mode 0600. Fails if it exists.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The format of that id. A file without a format was not scanned and is not cached.
fn known_format(id: &str) -> Option<&'static str> {
    formats::by_id(id).map(|info| info.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::scan_open::OpenInput;
    use crate::io::source::Memory;
    use std::sync::Arc;

    fn scanned(path: &str) -> ArtifactReport {
        let bytes = b"cposix\nsystem\n(S'true'\ntR.".as_slice();
        OpenInput::Bytes(Arc::new(Memory::new(bytes))).scan(path, 0, &Limits::default()).expect("memory reads").report
    }

    fn cache() -> (tempfile::TempDir, VerdictCache) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let cache = VerdictCache::open(&folder.path().join("a/b")).expect("it can be made");
        (folder, cache)
    }

    fn key() -> CacheKey {
        CacheKey::new("ab", 26, "a.pkl", &Limits::default())
    }

    #[test]
    fn a_report_is_found_again_for_any_path() {
        let (_folder, cache) = cache();
        assert_eq!(cache.get(&key(), "a.pkl"), None);
        let report = scanned("a.pkl");
        assert!(!report.findings.is_empty() && !report.findings[0].lines.is_empty());
        cache.put(&key(), &report);
        assert_eq!(cache.get(&key(), "a.pkl"), Some(report));
        assert_eq!(cache.get(&key(), "other/a.pkl"), Some(scanned("other/a.pkl")));
    }

    #[test]
    fn all_that_a_verdict_depends_on_is_in_its_key() {
        let (_folder, cache) = cache();
        cache.put(&key(), &scanned("a.pkl"));
        let limits = Limits { depth: 3, ..Limits::default() };
        let others = [
            CacheKey::new("ac", 26, "a.pkl", &Limits::default()),
            CacheKey::new("ab", 27, "a.pkl", &Limits::default()),
            CacheKey::new("ab", 26, "a.npy", &Limits::default()),
            CacheKey::new("ab", 26, "a.pkl", &limits),
            CacheKey { ruleset: "0".repeat(64), ..key() },
        ];
        for other in others {
            assert_eq!(cache.get(&other, "a.pkl"), None, "{other:?}");
            // Nor under the name of the other key.
            fs::copy(cache.folder.join(key().file_name()), cache.folder.join(other.file_name())).expect("it is there");
            assert_eq!(cache.get(&other, "a.pkl"), None, "{other:?}");
        }
        assert_eq!(key().ruleset, ruleset_id());
    }

    #[test]
    fn damaged_and_foreign_files_count_as_absent() {
        let (_folder, cache) = cache();
        cache.put(&key(), &scanned("a.pkl"));
        let place = cache.folder.join(key().file_name());
        let complete = fs::read(&place).expect("it was written");
        for at in (0..complete.len()).step_by(7) {
            let mut damaged = complete.clone();
            damaged[at] ^= 1;
            fs::write(&place, damaged).expect("it can be written");
            assert_eq!(cache.get(&key(), "a.pkl"), None, "byte {at}");
            fs::write(&place, &complete[..at]).expect("it can be written");
            assert_eq!(cache.get(&key(), "a.pkl"), None, "cut at {at}");
        }
        let moved = cache.folder.join("moved");
        fs::write(&place, &complete).expect("it can be written");
        fs::rename(&place, &moved).expect("it can be moved");
        std::os::unix::fs::symlink(&moved, &place).expect("links can be made");
        assert_eq!(cache.get(&key(), "a.pkl"), None);
        fs::remove_file(&place).expect("it is there");
        fs::rename(&moved, &place).expect("it can be moved");
        assert!(cache.get(&key(), "a.pkl").is_some());
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(&place, mode).expect("it is ours");
        assert_eq!(cache.get(&key(), "a.pkl"), None);
    }

    #[test]
    fn an_incomplete_report_is_not_stored() {
        let (_folder, cache) = cache();
        let mut report = scanned("a.pkl");
        report.not_read.push(crate::judge::report::NotRead {
            member: None,
            offset: None,
            reason: "time ran out".into(),
        });
        cache.put(&key(), &report);
        assert_eq!(fs::read_dir(&cache.folder).expect("it is there").count(), 0);
    }

    #[test]
    fn a_folder_that_others_may_use_is_refused() {
        let (_folder, cache) = cache();
        for mode in [0o755, 0o770, 0o701] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(&cache.folder, mode).expect("it is ours");
            assert!(VerdictCache::open(&cache.folder).is_err());
        }
    }
}
