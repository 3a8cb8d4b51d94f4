//! An object that is downloaded as a whole, into a temporary file without a name. Its SHA-256 is computed on the way.

use crate::bounds::DOWNLOAD_BLOCK_BYTES;
use crate::client::{Client, Response, body_error};
use crate::error::{Error, ServerFault};
use scanner::hash::Hasher;
use scanner::providers::VerifiedSource;
use scanner::source::{FileSource, Source};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A downloaded object. The file has no name, so no other process can change it.
pub(crate) struct DownloadedSource(FileSource);

impl DownloadedSource {
    /// Reads the body of a response with status 200. Returns its SHA-256 too.
    pub(crate) fn download(client: &Client, response: Response<'_>, read: &AtomicU64) -> Result<(Self, String), Error> {
        response.check_encoding()?;
        let announced = response.header("content-length").and_then(|length| length.parse::<u64>().ok());
        if let Some(length) = announced {
            client.budget.take_bytes(length).map_err(|error| error.at("it is read as a whole"))?;
        }
        let failed = |error: io::Error| Error::TemporaryFile(error.to_string());
        let mut file = tempfile::tempfile().map_err(failed)?;
        let (mut reader, _permit) = response.into_reader();
        let mut block = vec![0; DOWNLOAD_BLOCK_BYTES];
        let (mut len, mut hasher) = (0, Hasher::default());
        loop {
            let count = reader.read(&mut block).map_err(|error| body_error(&error))?;
            if count == 0 {
                break;
            }
            read.fetch_add(count as u64, Relaxed);
            len += count as u64;
            if announced.is_none() {
                client.budget.take_bytes(count as u64)?;
            }
            let bytes = block.get(..count).unwrap_or_default();
            hasher.update(bytes);
            file.write_all(bytes).map_err(failed)?;
        }
        if announced.is_some_and(|announced| announced != len) {
            return Err(Error::Server(ServerFault::TooShort));
        }
        // A counter of its own: reads of the file are not fetched bytes.
        let source = FileSource::new(file, Arc::default()).map_err(failed)?;
        Ok((Self(source), hasher.finish()))
    }
}

impl Source for DownloadedSource {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(at, buf)
    }
}

impl VerifiedSource for DownloadedSource {
    fn integrity_error(&self) -> Option<String> {
        None
    }

    fn is_stable(&self) -> bool {
        true
    }
}
