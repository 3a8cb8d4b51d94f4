//! SHA-256 of whole files, beside the copy: in a thread of its own.

use scanner::hash::hex;
use scanner::source::SharedSource;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Bytes that are read at once.
const HASH_BUFFER_BYTES: usize = 256 << 10;

/// A hash that is being computed.
pub(crate) struct HashTask(JoinHandle<io::Result<String>>);

impl HashTask {
    /// Of the source, through the same open file.
    pub(crate) fn of_source(source: SharedSource, stop: Option<Arc<AtomicBool>>) -> Self {
        Self::start(move |at, buf| source.read_at(at, buf), stop)
    }

    /// Of a file.
    pub(crate) fn of_file(file: File, stop: Option<Arc<AtomicBool>>) -> Self {
        Self::start(move |at, buf| file.read_at(buf, at), stop)
    }

    fn start(
        read: impl Fn(u64, &mut [u8]) -> io::Result<usize> + Send + 'static,
        stop: Option<Arc<AtomicBool>>,
    ) -> Self {
        Self(std::thread::spawn(move || {
            let mut hash = Sha256::new();
            let mut buffer = vec![0; HASH_BUFFER_BYTES];
            let mut at = 0;
            loop {
                if stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                match read(at, &mut buffer) {
                    Ok(0) => break,
                    Ok(count) => {
                        hash.update(buffer.get(..count).unwrap_or_default());
                        at += count as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(hex(&hash.finalize()))
        }))
    }

    /// Waits for it.
    ///
    /// # Errors
    /// When reading failed.
    pub(crate) fn finish(self) -> io::Result<String> {
        self.0.join().unwrap_or_else(|_| Err(io::Error::other("hashing failed")))
    }
}
