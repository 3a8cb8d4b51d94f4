//! Something on a server that cannot be read by ranges: all of it goes to a file without a name, which is gone with the
//! scan. Its hash is taken on the way.

use crate::client::{Answer, Client, io_reason};
use scanner::hash::hex;
use scanner::providers::VerifiedSource;
use scanner::source::{FileSource, Source};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What is read, and taken from the budget, at a time.
const PIECE: usize = 256 << 10;

/// A downloaded object. Nobody else can reach the file.
pub(crate) struct WholeSource(FileSource);

impl WholeSource {
    /// Reads the whole body of an answer with status 200; gives its SHA-256 too.
    pub(crate) fn download(client: &Client, answer: Answer<'_>, read: &AtomicU64) -> Result<(Self, String), String> {
        answer.check_encoding()?;
        let announced = answer.header("content-length").and_then(|length| length.parse::<u64>().ok());
        if let Some(length) = announced {
            client.budget.take_bytes(length).map_err(|why| format!("it is read as a whole: {why}"))?;
        }
        let failed = |error: io::Error| format!("no temporary file: {error}; TMPDIR names another place for it");
        let mut file = tempfile::tempfile().map_err(failed)?;
        let (mut reader, _slot) = answer.reader();
        let mut piece = vec![0; PIECE];
        let (mut len, mut hash) = (0, Sha256::new());
        loop {
            let count = reader.read(&mut piece).map_err(|error| io_reason(&error))?;
            if count == 0 {
                break;
            }
            read.fetch_add(count as u64, Relaxed);
            len += count as u64;
            if announced.is_none() {
                client.budget.take_bytes(count as u64)?;
            }
            let bytes = piece.get(..count).unwrap_or_default();
            hash.update(bytes);
            file.write_all(bytes).map_err(failed)?;
        }
        if announced.is_some_and(|announced| announced != len) {
            return Err("the server cuts its answer short".to_owned());
        }
        // What is read from it from now on does not travel.
        let source = FileSource::new(file, Arc::default()).map_err(failed)?;
        Ok((Self(source), hex(&hash.finalize())))
    }
}

impl Source for WholeSource {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(at, buf)
    }
}

impl VerifiedSource for WholeSource {
    fn integrity_error(&self) -> Option<String> {
        None
    }

    fn is_stable(&self) -> bool {
        true
    }
}
