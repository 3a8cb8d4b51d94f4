//! Scans of bytes in memory and of open files, for a program that loads the same bytes afterwards. The names that an unpickler
//! would import come with the report.
//!
//! Each scan has its own threads, which end with it. A server forks, and the threads of a pool do not survive a fork.

use crate::examine::examine;
use crate::fact::Unread;
use crate::io::bounds::judge::{MAX_ONE_THREAD_BYTES, MAX_OPEN_FILE_THREADS};
use crate::io::budget::ScanBudget;
use crate::io::hash;
use crate::io::limits::Limits;
use crate::io::source::{FileSource, SharedSource, Window};
use crate::judge::report::ArtifactReport;
use crate::judge::verdict::judge_artifact;
use crate::observe::examined::Examination;
use crate::observe::observations::Retain;
use crate::pickle::trace::Trace;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// An input that is open.
pub enum OpenInput {
    /// Bytes in memory.
    Bytes(SharedSource),
    /// A file. Its length and times are compared before and after the scan.
    File(Arc<FileSource>),
}

/// The result of a scan.
pub struct ScanOutcome {
    /// The report.
    pub report: ArtifactReport,
    /// Every pair of module and name that an unpickler would import, as the stream has it.
    pub imports: BTreeSet<(String, String)>,
}

impl OpenInput {
    /// The bytes.
    pub fn source(&self) -> SharedSource {
        match self {
            Self::Bytes(source) => source.clone(),
            Self::File(file) => file.clone(),
        }
    }

    /// Scans from byte `start` to the end. Reports call the input `path`; its last part is a hint to formats.
    ///
    /// # Errors
    /// When the operating system refuses threads, or the length and times of the file.
    pub fn scan(&self, path: &str, start: u64, limits: &Limits) -> io::Result<ScanOutcome> {
        let stamp = || match self {
            Self::File(file) => file.stamp().map(Some),
            Self::Bytes(_) => Ok(None),
        };
        let source = match start {
            0 => self.source(),
            start => Arc::new(Window::new(self.source(), start, u64::MAX)),
        };
        let name = Path::new(path).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let before = stamp()?;
        let budget = ScanBudget::start(Arc::new(limits.clone()));
        let mut examination =
            in_own_threads(source.len(), || examine(source.clone(), &name, &budget, Retain::default()))?;
        if before != stamp()?
            && let Some(root) = examination.artifacts.first_mut()
        {
            root.unread.push((None, Unread::Io("the file changed while it was read".to_owned())));
        }
        let report = judge_artifact(&examination, path, limits);
        Ok(ScanOutcome { report, imports: imports(&examination) })
    }

    /// The SHA-256 of all bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn sha256(&self) -> io::Result<String> {
        hash::of(self.source().as_ref())
    }
}

/// Runs `work` over `len` bytes in threads that end with it.
///
/// # Errors
/// When the operating system refuses threads.
pub fn in_own_threads<T: Send>(len: u64, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_OPEN_FILE_THREADS));
    let threads = if len < MAX_ONE_THREAD_BYTES { 1 } else { cores() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
    Ok(pool.install(work))
}

fn imports(examination: &Examination) -> BTreeSet<(String, String)> {
    let mut todo: Vec<&Trace> =
        examination.artifacts.iter().flat_map(|examined| examined.pickles.iter().map(|stream| &stream.trace)).collect();
    let mut pairs = BTreeSet::new();
    while let Some(trace) = todo.pop() {
        pairs.extend(trace.callables.iter().filter_map(|pair| Some((pair.module.clone()?, pair.name.clone()?))));
        todo.extend(&trace.nested);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;
    use crate::io::source::Memory;

    const SYSTEM: &[u8] = b"cposix\nsystem\n(S'true'\ntR.";

    fn scan(bytes: &[u8], start: u64) -> ScanOutcome {
        let opened = OpenInput::Bytes(Arc::new(Memory::new(bytes)));
        opened.scan("a.pkl", start, &Limits::default()).expect("memory reads")
    }

    #[test]
    fn bytes_are_judged_as_a_file_of_them_and_say_what_they_import() {
        let outcome = scan(SYSTEM, 0);
        assert_eq!(outcome.report.verdict, Verdict::Dangerous);
        assert_eq!(outcome.imports.into_iter().collect::<Vec<_>>(), [("posix".to_owned(), "system".to_owned())]);
    }

    #[test]
    fn bytes_before_the_start_are_not_scanned() {
        let both = [SYSTEM, b"(K\x01K\x02t."].concat();
        let outcome = scan(&both, SYSTEM.len() as u64);
        assert_eq!((outcome.report.verdict, outcome.imports.len()), (Verdict::Clean, 0));
    }

    #[test]
    fn a_file_is_read_through_the_descriptor_that_is_given() {
        let path = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
        std::fs::write(&path, SYSTEM).expect("it is written");
        let file = std::fs::File::open(&path).expect("it is there");
        std::fs::remove_file(&path).expect("it goes");
        std::fs::write(&path, b"N.").expect("another one takes its name");
        let opened = OpenInput::File(Arc::new(FileSource::new(file, Arc::default()).expect("it has a length")));
        let outcome = opened.scan("a.pkl", 0, &Limits::default()).expect("it is open");
        assert_eq!(outcome.report.verdict, Verdict::Dangerous);
        assert_eq!(opened.sha256().expect("it reads").len(), 64);
    }
}
