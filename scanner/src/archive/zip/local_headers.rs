//! The local headers of many entries, read ahead in parallel.
//!
//! A checkpoint has thousands of records, each with a header between megabytes of tensor data. Nearly all time is spent
//! in system calls, so threads share them. The result does not depend on the number of threads.

use super::records::{CentralHeader, LocalHeader};
use crate::io::bounds::archive::MAX_ZIP_HEADER_BYTES;
use crate::io::source::{FirstBytes, SharedSource};
use rayon::prelude::*;
use std::io;

/// An entry whose header is to be read: the place of its central record, of its local header, and the record.
pub(super) type HeaderRequest<'a> = (u64, u64, &'a CentralHeader);

/// Entries whose headers are read in a row.
pub(super) const PIECE_ENTRIES: usize = 128;
/// Entries whose headers are in memory at a time: some 150 bytes each.
pub(super) const BATCH_ENTRIES: usize = 16 << 10;
/// Torch pads extra fields so that data starts at a multiple of 64.
const TORCH_PADDING_BYTES: usize = 72;
/// A data descriptor takes no more. Torch writes it in front of the next header.
pub(super) const DESCRIPTOR_BYTES: usize = 24;

/// The headers of a piece, each with the last bytes before it and the first ones behind it.
pub(super) struct LocalHeaders {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Why later headers are missing.
    pub(super) error: Option<io::Error>,
}

/// How many bytes are read before the header at `at`.
fn before(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX).min(DESCRIPTOR_BYTES)
}

impl LocalHeaders {
    /// Reads the headers of all entries of a batch, piece by piece.
    pub(super) fn read_all(source: &SharedSource, batch: &[HeaderRequest<'_>]) -> Vec<Self> {
        // With the bytes before it, which may be the descriptor of the entry before, and the first bytes of its data.
        let range = |(_, at, central): &HeaderRequest<'_>| {
            let len = DESCRIPTOR_BYTES + LocalHeader::FIXED + central.name.len() + 2 * TORCH_PADDING_BYTES;
            (at.saturating_sub(DESCRIPTOR_BYTES as u64), len as u64)
        };
        source.prefetch(&mut batch.iter().map(range));
        if batch.len() <= 2 * PIECE_ENTRIES {
            batch.chunks(PIECE_ENTRIES).map(|piece| Self::read_piece(source, piece)).collect()
        } else {
            batch.par_chunks(PIECE_ENTRIES).map(|piece| Self::read_piece(source, piece)).collect()
        }
    }

    /// The bytes before a header, and the header as far as it was read; by its index in the piece and its offset.
    pub(super) fn get(&self, index: usize, at: u64) -> Option<(&[u8], &[u8])> {
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        let bytes = self.bytes.get(start..*self.ends.get(index)?)?;
        Some(bytes.split_at(before(at).min(bytes.len())))
    }

    fn read_piece(source: &SharedSource, piece: &[HeaderRequest<'_>]) -> Self {
        let mut headers = Self { bytes: Vec::new(), ends: Vec::with_capacity(piece.len()), error: None };
        let mut extra = 0;
        for (_, at, central) in piece {
            if let Err(error) = headers.read(source, *at, central.name.len(), &mut extra) {
                headers.error = Some(error);
                break;
            }
            headers.ends.push(headers.bytes.len());
        }
        headers
    }

    /// Reads one, mostly with one small read: `extra` is how long its extra field is expected to be.
    fn read(&mut self, source: &SharedSource, at: u64, name_len: usize, extra: &mut usize) -> io::Result<()> {
        let (start, before) = (self.bytes.len(), before(at));
        let from = at - before as u64;
        let asked_len = before + LocalHeader::FIXED + name_len + *extra + FirstBytes::LEN;
        let got = self.append(source, from, asked_len)?;
        let length = self.bytes.get(start.saturating_add(before)..).and_then(LocalHeader::length).unwrap_or(0);
        let complete_len = length.saturating_add(FirstBytes::LEN).saturating_add(before);
        if got == asked_len && complete_len > asked_len && complete_len <= MAX_ZIP_HEADER_BYTES {
            self.bytes.truncate(start);
            self.append(source, from, complete_len)?;
            *extra = length
                .saturating_sub(LocalHeader::FIXED + name_len)
                .max(*extra)
                .clamp(TORCH_PADDING_BYTES, 2 * TORCH_PADDING_BYTES);
        }
        Ok(())
    }

    fn append(&mut self, source: &SharedSource, at: u64, len: usize) -> io::Result<usize> {
        let start = self.bytes.len();
        let rest = usize::try_from(source.len().saturating_sub(at)).unwrap_or(usize::MAX);
        self.bytes.resize(start.saturating_add(len.min(rest)), 0);
        let got = source.read_at(at, self.bytes.get_mut(start..).unwrap_or_default())?;
        self.bytes.truncate(start.saturating_add(got));
        Ok(got)
    }
}
