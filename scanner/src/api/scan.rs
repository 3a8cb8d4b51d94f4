//! Scans of files, folders and the inputs of a provider. `inspect` shows the content of a single file.

use crate::api::providers::{BufferedFile, FetchedInput, InputProvider, LocalFile};
use crate::api::unopened;
use crate::error::Error;
use crate::examine::examine;
use crate::fact::{Fact, Unread};
use crate::format::lfs_pointer::{self, Pointer};
use crate::io::bounds::judge::{MAX_HASHED_FILE_BYTES, MAX_ONE_THREAD_BYTES};
use crate::io::budget::ScanBudget;
use crate::io::directory::{self, FileKind, FoundFile};
use crate::io::hash;
use crate::io::limits::Limits;
use crate::io::source::Source;
use crate::judge::policy::Policy;
use crate::judge::report::{ArtifactReport, Integrity, LfsReport, NotRead, Report, ScanError};
use crate::judge::verdict::judge_artifact;
use crate::judge::verdict_cache::{CacheKey, VerdictCache};
use crate::observe::examined::Examination;
use crate::observe::observations::Retain;
use rayon::prelude::*;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Settings of a scan.
#[derive(Default)]
pub struct ScanOptions<'a> {
    /// Bounds for each file.
    pub limits: Limits,
    /// Accepted findings and the gate.
    pub policy: Policy,
    /// Threads; 0 for one a core.
    pub jobs: usize,
    /// The calling thread is one of the threads, and the others stay after the scan: for a program that scans once. The first
    /// thread of a program gets memory in larger pieces than the others, with fewer system calls.
    pub use_calling_thread: bool,
    /// Receives the progress.
    pub progress: Option<&'a dyn Progress>,
    /// Adds the SHA-256 of each file to the report.
    pub hash: bool,
    /// Opens inputs that are not files of this machine.
    pub input_provider: Option<&'a dyn InputProvider>,
    /// Verdicts of earlier scans.
    pub verdict_cache: Option<&'a VerdictCache>,
}

/// Receives the progress of a scan, from any thread.
pub trait Progress: Sync {
    /// So many more files and bytes were found.
    fn found(&self, files: u64, bytes: u64);
    /// A file of that size was scanned.
    fn done(&self, path: &Path, bytes: u64);
}

/// Scans files, folders and the inputs of the provider.
pub fn scan(paths: &[PathBuf], options: &ScanOptions<'_>) -> Report {
    let found = directory::list(paths, &options.limits);
    let remote = options.input_provider.map(InputProvider::inputs).unwrap_or_default();
    if let Some(progress) = options.progress {
        let bytes = found.iter().map(size).sum();
        progress.found((found.len() + remote.len()) as u64, bytes);
    }
    let scan = Scan { options, limits: Arc::new(options.limits.clone()), bytes_read: Arc::default() };
    if let Some(provider) = options.input_provider.filter(|provider| provider.wants_prefetch()) {
        provider.prefetch(&scan.unknown_pointers(&found));
    }
    // One small file is done before a second thread would have started.
    let small = found.len() + remote.len() == 1 && found.iter().all(|file| size(file) < MAX_ONE_THREAD_BYTES);
    let remote = remote.into_iter().enumerate().map(|(index, shown)| ScanInput::Remote { index, shown });
    let inputs: Vec<ScanInput> = found.into_iter().map(ScanInput::Local).chain(remote).collect();
    let run = |input: &ScanInput| {
        let result = scan.scan_input(input);
        if let Some(progress) = options.progress {
            match input {
                ScanInput::Local(found) => progress.done(&found.path, size(found)),
                ScanInput::Remote { shown, .. } => progress.done(Path::new(shown), 0),
            }
        }
        result
    };
    let results: Vec<Result<ArtifactReport, ScanError>> = if options.jobs == 1 || small {
        in_pool(1, true, || inputs.iter().map(run).collect())
    } else {
        in_pool(options.jobs, options.use_calling_thread, || inputs.par_iter().map(run).collect())
    };
    let (mut artifacts, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(artifact) => artifacts.push(artifact),
            Err(error) => errors.push(error),
        }
    }
    Report::new(artifacts, errors, scan.bytes_read.load(Ordering::Relaxed))
}

fn size(found: &FoundFile) -> u64 {
    std::fs::metadata(&found.path).map_or(0, |meta| meta.len())
}

fn in_pool<T: Send>(jobs: usize, use_current_thread: bool, work: impl FnOnce() -> T + Send) -> T {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(jobs);
    let builder = if use_current_thread { builder.use_current_thread() } else { builder };
    match builder.build() {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

/// An input of a scan.
enum ScanInput {
    /// A file of this machine.
    Local(FoundFile),
    /// An input of the provider.
    Remote {
        /// Its index in [`InputProvider::inputs`].
        index: usize,
        /// How reports call it.
        shown: String,
    },
}

/// A scan in progress.
struct Scan<'a> {
    options: &'a ScanOptions<'a>,
    limits: Arc<Limits>,
    bytes_read: Arc<AtomicU64>,
}

impl Scan<'_> {
    /// The Git LFS pointers whose objects have no cached verdict. The scan of such a file reads the pointer again and uses what
    /// it reads then.
    fn unknown_pointers<'f>(&self, found: &'f [FoundFile]) -> Vec<(&'f Path, Pointer)> {
        let short =
            |found: &&FoundFile| found.kind == FileKind::File && size(found) < lfs_pointer::MAX_POINTER_BYTES as u64;
        let read = |found: &'f FoundFile| {
            let file = LocalFile::open(found, Arc::default()).ok()?;
            Some((found, Pointer::read(&file).ok()??))
        };
        let unknown =
            |(found, pointer): &(&FoundFile, Pointer)| self.cached_object(pointer, &file_name(found), "").is_none();
        let pointers = found.iter().filter(short).filter_map(read).filter(unknown);
        pointers.map(|(found, pointer)| (found.path.as_path(), pointer)).collect()
    }

    fn scan_input(&self, input: &ScanInput) -> Result<ArtifactReport, ScanError> {
        let (path, result) = match input {
            ScanInput::Local(found) => {
                let path = found.shown_path.to_string_lossy().into_owned();
                let result = self.scan_local(found, &path);
                (path, result)
            }
            ScanInput::Remote { index, shown } => (shown.clone(), self.scan_remote(*index, shown)),
        };
        let mut report = result.map_err(|error| ScanError { path: path.clone(), message: error.to_string() })?;
        self.options.policy.apply(&mut report.findings, &path, report.sha256.as_deref());
        Ok(report)
    }

    fn scan_remote(&self, index: usize, shown: &str) -> Result<ArtifactReport, Error> {
        let Some(provider) = self.options.input_provider else {
            return Err(Error::Unavailable { input: shown.to_owned(), reason: "there is no provider".to_owned() });
        };
        self.scan_source(&provider.open(index, &self.bytes_read)?, shown)
    }

    fn scan_local(&self, found: &FoundFile, path: &str) -> Result<ArtifactReport, Error> {
        match &found.kind {
            FileKind::Error(reason) => {
                return Err(Error::NotListed { path: found.path.clone(), reason: reason.clone() });
            }
            FileKind::Special(kind) => return Ok(unopened::report(path, Fact::SpecialFile { kind }, &self.limits)),
            FileKind::Escapes(target) => {
                let fact = unopened::escaping_link("folder that is scanned", target);
                return Ok(unopened::report(path, fact, &self.limits));
            }
            FileKind::File => {}
        }
        let file = self.open_local(found).map_err(Error::io(&found.path))?;
        let report = self.scan_source(&file, path)?;
        match self.options.input_provider {
            Some(provider) if report.is_pointer() && provider.resolves_pointers() => {
                self.scan_object(provider, found, file, report)
            }
            _ => Ok(report),
        }
    }

    /// The report on the object of a pointer, in place of the report on the pointer. Without the object, `report` stays, with the
    /// reason.
    fn scan_object(
        &self,
        provider: &dyn InputProvider,
        found: &FoundFile,
        file: FetchedInput,
        mut report: ArtifactReport,
    ) -> Result<ArtifactReport, Error> {
        let path = report.path.clone();
        let pointer = Pointer::read(file.source.as_ref()).map_err(Error::io(&found.path))?;
        let Some(pointer) = pointer else { return Ok(report) };
        if let Some(cached) = self.cached_object(&pointer, &file.name, &path) {
            return Ok(cached);
        }
        let object = provider.open_object(&found.path, &pointer, &self.bytes_read);
        let object = object.and_then(|object| self.scan_source(&FetchedInput { name: file.name, ..object }, &path));
        object.or_else(|error| {
            let reason = format!("the object of this pointer was not scanned: {error}");
            report.not_read.push(NotRead { member: None, offset: None, reason });
            Ok(report)
        })
    }

    /// Opens a file. With a verdict cache, a small file is read and hashed: that takes less time than a scan.
    fn open_local(&self, found: &FoundFile) -> io::Result<FetchedInput> {
        let file = LocalFile::open(found, self.bytes_read.clone())?;
        let name = file_name(found);
        if self.options.verdict_cache.is_none() || file.len() > MAX_HASHED_FILE_BYTES {
            return Ok(FetchedInput { source: Arc::new(file), name, sha256: None, lfs: None });
        }
        let source = BufferedFile::read(file)?;
        let sha256 = Some(hash::of(&source)?);
        Ok(FetchedInput { source: Arc::new(source), name, sha256, lfs: None })
    }

    /// The cached report on the object of a pointer. Neither the object nor its server is needed then.
    fn cached_object(&self, pointer: &Pointer, name: &str, path: &str) -> Option<ArtifactReport> {
        let Pointer { oid, size } = pointer;
        let report = self.options.verdict_cache?.get(&CacheKey::new(oid, *size, name, &self.limits), path)?;
        let lfs = LfsReport { oid: oid.clone(), size: *size, integrity: Integrity::Sha256 };
        Some(ArtifactReport { sha256: self.options.hash.then(|| oid.clone()), lfs: Some(lfs), ..report })
    }

    /// The report on an open input: from the cache, or by a scan.
    fn scan_source(&self, input: &FetchedInput, path: &str) -> Result<ArtifactReport, Error> {
        let source = input.source.as_ref();
        let cache = self.options.verdict_cache.filter(|_| source.is_stable());
        let wants_hash = self.options.hash && input.sha256.is_none();
        let mut sha256 = Ok(input.sha256.clone());
        if wants_hash && cache.is_some() {
            sha256 = hash::of(source).map(Some);
        }
        let key = |sha256: &String| CacheKey::new(sha256, source.len(), &input.name, &self.limits);
        let key = cache.and(sha256.as_ref().ok()).and_then(Option::as_ref).map(key);
        let entry = cache.zip(key);
        let cached = entry.as_ref().and_then(|(cache, key)| cache.get(key, path));
        let report = match cached.filter(|_| source.integrity_error().is_none()) {
            Some(report) => report,
            None => {
                let budget = ScanBudget::start(self.limits.clone());
                let mut examination = examine(input.source.clone(), &input.name, &budget, Retain::default());
                // After the scan, so that a read that fails here hides nothing from it.
                if wants_hash && cache.is_none() {
                    sha256 = hash::of(source).map(Some);
                }
                let hash_error = sha256.as_ref().err().map(io::Error::to_string);
                let failure = source.integrity_error().or(hash_error);
                if let Some(reason) = &failure {
                    mark_unreliable(&mut examination, reason, path)?;
                }
                let report = judge_artifact(&examination, path, &self.limits);
                if let (Some((cache, key)), None) = (&entry, &failure) {
                    cache.put(key, &report);
                }
                report
            }
        };
        let sha256 = sha256.unwrap_or_default();
        let lfs = input.lfs.as_ref().map(|lfs| verified(lfs, sha256.as_deref(), path)).transpose()?;
        Ok(ArtifactReport { sha256: sha256.filter(|_| self.options.hash), lfs, ..report })
    }
}

/// Adds a failed read to the examination of the file. Without a known format the failed read may be the one that would have
/// recognized it, so there is no report.
fn mark_unreliable(examination: &mut Examination, reason: &str, path: &str) -> Result<(), Error> {
    let Some(root) = examination.artifacts.first_mut().filter(|root| root.format.is_some()) else {
        return Err(Error::Unreliable { input: path.to_owned(), reason: reason.to_owned() });
    };
    if !root.unread.iter().any(|(_, why)| matches!(why, Unread::Io(known) if known == reason)) {
        root.unread.push((None, Unread::Io(reason.to_owned())));
    }
    Ok(())
}

/// Compares the hash of an object, if there is one, with its pointer.
fn verified(lfs: &LfsReport, sha256: Option<&str>, path: &str) -> Result<LfsReport, Error> {
    match sha256 {
        Some(sha256) if lfs.oid != sha256 => {
            Err(Error::WrongObject { input: path.to_owned(), sha256: sha256.to_owned() })
        }
        // A server may answer two reads of a range differently.
        Some(_) if lfs.integrity != Integrity::Range => Ok(LfsReport { integrity: Integrity::Sha256, ..lfs.clone() }),
        _ => Ok(lfs.clone()),
    }
}

fn file_name(found: &FoundFile) -> String {
    found.shown_path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
