//! What is open already: bytes in memory, or a file that somebody holds. For those who load in this very process what was
//! looked at, so nothing is opened here, and the names that an unpickler would ask for are handed out with the report.
//!
//! Each look has threads of its own, gone when it ends: a process that forks, as servers do, takes no pool along whose
//! threads did not come with it.

use crate::examine::{Examination, examine};
use crate::io::budget::ScanBudget;
use crate::io::hash;
use crate::io::limits::Limits;
use crate::io::source::{FileSource, SharedSource, Window};
use crate::judge::judgement::judge;
use crate::judge::report::ArtifactReport;
use crate::observe::fact::Unread;
use crate::observe::observations::Retain;
use crate::pickle::trace::Trace;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Up to this many bytes one thread is done before a second one would have started.
const SMALL: u64 = 1 << 20;
/// Reading the headers of one checkpoint is no faster with more.
const THREADS: usize = 4;

/// What is looked at.
pub enum Opened {
    /// Bytes that nobody else can change.
    Bytes(SharedSource),
    /// A file, which others can change: it is asked before and after whether they did.
    File(Arc<FileSource>),
}

/// What was found.
pub struct Look {
    /// The report.
    pub report: ArtifactReport,
    /// Every pair of module and name that an unpickler would ask for, as it stands in the stream.
    pub imports: BTreeSet<(String, String)>,
}

impl Opened {
    /// The bytes.
    pub fn source(&self) -> SharedSource {
        match self {
            Self::Bytes(source) => source.clone(),
            Self::File(file) => file.clone(),
        }
    }

    /// Scans from `start` to the end. `path` is what reports call it; its last part is a hint like any file's name.
    ///
    /// # Errors
    /// When the operating system refuses threads, or does not say whether the file changed.
    pub fn scan(&self, path: &str, start: u64, limits: &Limits) -> io::Result<Look> {
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
        let mut examination = apart(source.len(), || examine(source.clone(), &name, &budget, Retain::default()))?;
        if before != stamp()?
            && let Some(root) = examination.artifacts.first_mut()
        {
            root.unread.push((None, Unread::Io("the file changed while it was read".to_owned())));
        }
        let report = judge(&examination, path, limits);
        Ok(Look { report, imports: imports(&examination) })
    }

    /// The SHA-256 of all of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn sha256(&self) -> io::Result<String> {
        hash::of(self.source().as_ref())
    }
}

/// Does work over so many bytes in threads of its own, with the caller waiting.
///
/// # Errors
/// When there can be no threads.
pub fn apart<T: Send>(len: u64, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS));
    let threads = if len < SMALL { 1 } else { cores() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
    Ok(pool.install(work))
}

fn imports(examination: &Examination) -> BTreeSet<(String, String)> {
    let mut todo: Vec<&Trace> =
        examination.artifacts.iter().flat_map(|examined| examined.pickles.iter().map(|stream| &stream.trace)).collect();
    let mut pairs = BTreeSet::new();
    while let Some(trace) = todo.pop() {
        pairs.extend(trace.callables.iter().filter_map(|one| Some((one.module.clone()?, one.name.clone()?))));
        todo.extend(&trace.nested);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::source::Memory;
    use crate::judge::finding::Verdict;

    const SYSTEM: &[u8] = b"cposix\nsystem\n(S'true'\ntR.";

    fn look(bytes: &[u8], start: u64) -> Look {
        let opened = Opened::Bytes(Arc::new(Memory::new(bytes)));
        opened.scan("a.pkl", start, &Limits::default()).expect("memory reads")
    }

    #[test]
    fn bytes_are_judged_as_a_file_of_them_and_say_what_they_import() {
        let look = look(SYSTEM, 0);
        assert_eq!(look.report.verdict, Verdict::Dangerous);
        assert_eq!(look.imports.into_iter().collect::<Vec<_>>(), [("posix".to_owned(), "system".to_owned())]);
    }

    #[test]
    fn what_stands_before_the_start_is_not_looked_at() {
        let both = [SYSTEM, b"(K\x01K\x02t."].concat();
        let look = look(&both, SYSTEM.len() as u64);
        assert_eq!((look.report.verdict, look.imports.len()), (Verdict::Clean, 0));
    }

    #[test]
    fn a_file_is_read_through_the_descriptor_that_is_given() {
        let path = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
        std::fs::write(&path, SYSTEM).expect("it is written");
        let file = std::fs::File::open(&path).expect("it is there");
        std::fs::remove_file(&path).expect("it goes");
        std::fs::write(&path, b"N.").expect("another one takes its name");
        let opened = Opened::File(Arc::new(FileSource::new(file, Arc::default()).expect("it has a length")));
        let look = opened.scan("a.pkl", 0, &Limits::default()).expect("it is open");
        assert_eq!(look.report.verdict, Verdict::Dangerous);
        assert_eq!(opened.sha256().expect("it reads").len(), 64);
    }
}
