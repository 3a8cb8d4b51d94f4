//! SHA-256 of whole files, each in a thread of its own beside the copy.

use scanner::hash;
use scanner::source::{FileSource, SharedSource, Source};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A hash that is being computed.
pub(crate) struct HashTask(JoinHandle<io::Result<String>>);

impl HashTask {
    /// Hashes a source. The task fails when `stop` is set.
    pub(crate) fn of_source(source: SharedSource, stop: Option<Arc<AtomicBool>>) -> Self {
        let source = Stoppable { source, stop };
        Self(std::thread::spawn(move || hash::of(&source)))
    }

    /// Hashes a file of its present length. The task fails when `stop` is set.
    ///
    /// # Errors
    /// When the operating system does not give the length.
    pub(crate) fn of_file(file: File, stop: Option<Arc<AtomicBool>>) -> io::Result<Self> {
        Ok(Self::of_source(Arc::new(FileSource::new(file, Arc::default())?), stop))
    }

    /// Waits for the hash: hexadecimal digits in lower case.
    ///
    /// # Errors
    /// When reading failed or the task was stopped.
    pub(crate) fn finish(self) -> io::Result<String> {
        self.0.join().unwrap_or_else(|_| Err(io::Error::other("hashing failed")))
    }
}

/// A source whose reads fail as soon as `stop` is set.
struct Stoppable {
    source: SharedSource,
    stop: Option<Arc<AtomicBool>>,
}

impl Source for Stoppable {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        if self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(io::Error::other("the hash was stopped"));
        }
        self.source.read_at(at, buf)
    }
}
