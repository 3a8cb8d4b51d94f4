//! The face of the scanner: files and folders in, reports out. What is inside a single file is told in `inspect`.

use crate::api::not_followed;
use crate::api::providers::{FetchedInput, Gathered, InputProvider, Unchanged};
use crate::examine::{Examination, examine};
use crate::format::lfs_pointer::{self, Pointer};
use crate::io::budget::ScanBudget;
use crate::io::directory::{self, FileKind, FoundFile};
use crate::io::hash;
use crate::io::limits::Limits;
use crate::io::source::Source;
use crate::judge::judgement::judge;
use crate::judge::policy::Policy;
use crate::judge::report::{ArtifactReport, Integrity, LfsReport, NotRead, Report, ScanError};
use crate::judge::verdict_cache::{Key, Verdicts};
use crate::observe::fact::{Fact, Unread};
use crate::observe::observations::Retain;
use rayon::prelude::*;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a scan needs to know beside the paths.
#[derive(Default)]
pub struct ScanOptions<'a> {
    /// The bounds.
    pub limits: Limits,
    /// The user's decisions.
    pub policy: Policy,
    /// Threads; 0 for one a core.
    pub jobs: usize,
    /// The calling thread is one of them, and the others stay when it is done: for a program that scans once. Memory that the
    /// first thread of a program asks for comes without a call to the system for every few pages.
    pub once: bool,
    /// Who wants to know how far it is.
    pub progress: Option<&'a dyn Progress>,
    /// Whether the SHA-256 of each file stands in the report.
    pub hash: bool,
    /// Who brings what is no file of this machine.
    pub input_provider: Option<&'a dyn InputProvider>,
    /// What was said of bytes that were seen before.
    pub verdicts: Option<&'a Verdicts>,
}

/// Up to this size a file is hashed where verdicts are remembered.
const CHEAP: u64 = 16 << 20;

/// Is told how far a scan is, from any thread.
pub trait Progress: Sync {
    /// So many more files and bytes were found.
    fn found(&self, files: u64, bytes: u64);
    /// A file of that size was looked at.
    fn done(&self, path: &Path, bytes: u64);
}

/// Scans files and folders, and what is to be brought from elsewhere.
pub fn scan(paths: &[PathBuf], options: &ScanOptions<'_>) -> Report {
    let found = directory::list(paths, &options.limits);
    let elsewhere = options.input_provider.map(InputProvider::inputs).unwrap_or_default();
    if let Some(progress) = options.progress {
        let bytes = found.iter().map(size).sum();
        progress.found((found.len() + elsewhere.len()) as u64, bytes);
    }
    let scan = Scan { options, limits: Arc::new(options.limits.clone()), read: Arc::default() };
    if let Some(provider) = options.input_provider.filter(|provider| provider.gathers()) {
        provider.expect(&scan.pointers(&found));
    }
    let small = found.len() + elsewhere.len() == 1 && found.iter().all(|one| size(one) < 1 << 20);
    let elsewhere = elsewhere.into_iter().enumerate().map(|(number, shown)| ScanInput::Elsewhere(number, shown));
    let places: Vec<ScanInput> = found.into_iter().map(ScanInput::Here).chain(elsewhere).collect();
    let one = |place: &ScanInput| {
        let result = scan.place(place);
        if let Some(progress) = options.progress {
            match place {
                ScanInput::Here(found) => progress.done(&found.path, size(found)),
                ScanInput::Elsewhere(_, shown) => progress.done(Path::new(shown), 0),
            }
        }
        result
    };
    let results: Vec<Result<ArtifactReport, ScanError>> = if options.jobs == 1 || small {
        // One small file is done before a second thread would have started.
        in_pool(1, true, || places.iter().map(one).collect())
    } else {
        in_pool(options.jobs, options.once, || places.par_iter().map(one).collect())
    };
    let (mut artifacts, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(artifact) => artifacts.push(artifact),
            Err(error) => errors.push(error),
        }
    }
    Report::new(artifacts, errors, scan.read.load(Ordering::Relaxed))
}

fn size(found: &FoundFile) -> u64 {
    std::fs::metadata(&found.path).map_or(0, |meta| meta.len())
}

fn in_pool<T: Send>(jobs: usize, here: bool, work: impl FnOnce() -> T + Send) -> T {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(jobs);
    let builder = if here { builder.use_current_thread() } else { builder };
    match builder.build() {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

/// Something that is to be scanned.
enum ScanInput {
    /// A file of this machine.
    Here(FoundFile),
    /// Something that is to be brought, by its number, and what reports call it.
    Elsewhere(usize, String),
}

/// A scan under way.
struct Scan<'a> {
    options: &'a ScanOptions<'a>,
    limits: Arc<Limits>,
    read: Arc<AtomicU64>,
}

impl Scan<'_> {
    /// What stands in small files that are pointers, of which nothing is remembered. Whoever scans such a file reads it
    /// again, and believes that.
    fn pointers<'f>(&self, found: &'f [FoundFile]) -> Vec<(&'f Path, Pointer)> {
        let short =
            |found: &&FoundFile| found.kind == FileKind::File && size(found) < lfs_pointer::MAX_POINTER_BYTES as u64;
        let read = |found: &FoundFile| Pointer::read(&Unchanged::open(found, Arc::default()).ok()?).ok()?;
        let read = |found: &'f FoundFile| Some((found, read(found)?));
        let new = |(found, pointer): &(&FoundFile, Pointer)| self.remembered(pointer, &file_name(found), "").is_none();
        let pointers = found.iter().filter(short).filter_map(read).filter(new);
        pointers.map(|(found, pointer)| (found.path.as_path(), pointer)).collect()
    }

    fn place(&self, place: &ScanInput) -> Result<ArtifactReport, ScanError> {
        let (path, result) = match place {
            ScanInput::Here(found) => {
                let path = found.shown_path.to_string_lossy().into_owned();
                let result = self.file(found, &path);
                (path, result)
            }
            ScanInput::Elsewhere(number, shown) => {
                let brought = self.options.input_provider.ok_or_else(|| "nobody brings it".to_owned());
                let brought = brought.and_then(|provider| provider.open(*number, &self.read));
                (shown.clone(), brought.and_then(|brought| self.look(&brought, shown)))
            }
        };
        let mut report = result.map_err(|message| ScanError { path: path.clone(), message })?;
        self.options.policy.apply(&mut report.findings, &path, report.sha256.as_deref());
        Ok(report)
    }

    fn file(&self, found: &FoundFile, path: &str) -> Result<ArtifactReport, String> {
        match &found.kind {
            FileKind::Error(message) => return Err(message.clone()),
            FileKind::Special(kind) => return Ok(not_followed::report(path, Fact::SpecialFile { kind }, &self.limits)),
            FileKind::Escapes(target) => {
                let what = "a symbolic link that leaves the folder that is scanned; it was not followed".to_owned();
                let target = target.to_string_lossy().into_owned();
                return Ok(not_followed::report(path, Fact::ExternalReference { target, what }, &self.limits));
            }
            FileKind::File => {}
        }
        let file = self.open(found).map_err(|error| error.to_string())?;
        let mut report = self.look(&file, path)?;
        let resolves = |provider: &&dyn InputProvider| report.is_pointer() && provider.resolves();
        let Some(provider) = self.options.input_provider.filter(resolves) else { return Ok(report) };
        let pointer = Pointer::read(file.source.as_ref()).map_err(|error| error.to_string())?;
        let Some(pointer) = pointer else { return Ok(report) };
        if let Some(remembered) = self.remembered(&pointer, &file.name, path) {
            return Ok(remembered);
        }
        // The object takes the pointer's place in the report. Where it cannot be had, the pointer stays there unscanned.
        let object = provider.object(&found.path, &pointer, &self.read);
        let object = object.and_then(|brought| self.look(&FetchedInput { name: file.name, ..brought }, path));
        object.or_else(|why| {
            let reason = format!("the object of this pointer was not scanned: {why}");
            report.not_read.push(NotRead { member: None, offset: None, reason });
            Ok(report)
        })
    }

    /// Opens a file. Where verdicts are remembered, a small one is hashed: that takes less time than a look.
    fn open(&self, found: &FoundFile) -> io::Result<FetchedInput> {
        let file = Unchanged::open(found, self.read.clone())?;
        let name = file_name(found);
        if self.options.verdicts.is_none() || file.len() > CHEAP {
            return Ok(FetchedInput { source: Arc::new(file), name, sha256: None, lfs: None });
        }
        let source = Gathered::read(file)?;
        let sha256 = Some(hash::of(&source)?);
        Ok(FetchedInput { source: Arc::new(source), name, sha256, lfs: None })
    }

    /// What was said of an object when all of it was read: neither it nor its server is needed.
    fn remembered(&self, pointer: &Pointer, name: &str, path: &str) -> Option<ArtifactReport> {
        let Pointer { oid, size } = pointer;
        let report = self.options.verdicts?.get(&Key::new(oid, *size, name, &self.limits), path)?;
        let lfs = LfsReport { oid: oid.clone(), size: *size, integrity: Integrity::Sha256 };
        Some(ArtifactReport { sha256: self.options.hash.then(|| oid.clone()), lfs: Some(lfs), ..report })
    }

    /// Looks at bytes, wherever they come from.
    fn look(&self, brought: &FetchedInput, path: &str) -> Result<ArtifactReport, String> {
        let (source, mut sha256, mut faults) = (&brought.source, brought.sha256.clone(), Vec::new());
        let verdicts = self.options.verdicts.filter(|_| source.is_stable());
        let mut take = |sha256: &mut Option<String>| match hash::of(source.as_ref()) {
            Ok(hash) => *sha256 = Some(hash),
            Err(error) => faults.push(error.to_string()),
        };
        let wanted = self.options.hash && sha256.is_none();
        if wanted && verdicts.is_some() {
            take(&mut sha256);
        }
        let key = verdicts.zip(sha256.as_ref());
        let key = key.map(|(verdicts, sha256)| (verdicts, Key::new(sha256, source.len(), &brought.name, &self.limits)));
        let known = key.as_ref().and_then(|(verdicts, key)| verdicts.get(key, path));
        let report = match known.filter(|_| source.integrity_error().is_none()) {
            Some(report) => report,
            None => {
                let budget = ScanBudget::start(self.limits.clone());
                let mut examination = examine(source.clone(), &brought.name, &budget, Retain::default());
                // Last, so that a read that fails here takes nothing from what is seen.
                if wanted && verdicts.is_none() {
                    take(&mut sha256);
                }
                faults.extend(source.integrity_error());
                let sound = faults.is_empty();
                faults.pop().map_or(Ok(()), |fault| unreliable(&mut examination, fault))?;
                let report = judge(&examination, path, &self.limits);
                if let Some((verdicts, key)) = key.filter(|_| sound) {
                    verdicts.put(&key, &report);
                }
                report
            }
        };
        let lfs = brought.lfs.as_ref().map(|lfs| verified(lfs, sha256.as_deref())).transpose()?;
        Ok(ArtifactReport { sha256: sha256.filter(|_| self.options.hash), lfs, ..report })
    }
}

/// States that a read failed, somewhere. Of no known format nothing can be said: that read may be the one that would have told.
fn unreliable(examination: &mut Examination, fault: String) -> Result<(), String> {
    let root = examination.artifacts.first_mut().filter(|root| root.format.is_some());
    let Some(root) = root else { return Err(fault) };
    let known = root.unread.iter().any(|(_, why)| matches!(why, Unread::Io(said) if *said == fault));
    root.unread.extend((!known).then_some((None, Unread::Io(fault))));
    Ok(())
}

/// Compares the hash of an object, where it is known, with its pointer.
fn verified(lfs: &LfsReport, sha256: Option<&str>) -> Result<LfsReport, String> {
    match sha256 {
        Some(sha256) if lfs.oid != sha256 => {
            Err(format!("its SHA-256 is {sha256} and not the one that the pointer names"))
        }
        // A server may answer one reading in this way and another one in that.
        Some(_) if lfs.integrity != Integrity::Range => Ok(LfsReport { integrity: Integrity::Sha256, ..lfs.clone() }),
        _ => Ok(lfs.clone()),
    }
}

fn file_name(found: &FoundFile) -> String {
    found.shown_path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
