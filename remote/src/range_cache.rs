//! The fetched ranges of one source: pieces that do not overlap, in bounded memory. The oldest piece is dropped first.

use crate::bounds::MAX_CACHED_BYTES;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Fetched pieces, by their offset.
#[derive(Default)]
pub(crate) struct RangeCache {
    pieces: BTreeMap<u64, Arc<[u8]>>,
    /// Offsets, in the order of insertion.
    insertion_order: VecDeque<u64>,
    bytes: usize,
}

impl RangeCache {
    /// Copies the bytes from `at` on, up to the end of their piece. Returns their count, 0 if there are none.
    pub(crate) fn read(&self, at: u64, to: &mut [u8]) -> usize {
        let Some((start, piece)) = self.pieces.range(..=at).next_back() else { return 0 };
        let skip = usize::try_from(at - start).unwrap_or(usize::MAX);
        let from = piece.get(skip..).unwrap_or_default();
        let count = from.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..count), from.get(..count)) {
            to.copy_from_slice(from);
        }
        count
    }

    /// The end of the gap that begins at `at`: the start of the next piece, at most `end`.
    pub(crate) fn gap_end(&self, at: u64, end: u64) -> u64 {
        self.pieces.range(at..end).next().map_or(end, |(start, _)| *start)
    }

    /// The start of the gap that ends at `at`: the end of the piece before it, at least `start`.
    pub(crate) fn gap_start(&self, start: u64, at: u64) -> u64 {
        let before = self.pieces.range(..at).next_back();
        before.map_or(start, |(piece, bytes)| piece.saturating_add(bytes.len() as u64).max(start)).min(at)
    }

    /// Whether all bytes of `at..end` are there.
    pub(crate) fn contains(&self, at: u64, end: u64) -> bool {
        let mut at = at;
        while at < end {
            let Some((start, piece)) = self.pieces.range(..=at).next_back() else { return false };
            let after = start.saturating_add(piece.len() as u64);
            if after <= at {
                return false;
            }
            at = after;
        }
        true
    }

    /// Adds a piece. Bytes that are there already stay.
    pub(crate) fn insert(&mut self, at: u64, piece: &[u8]) {
        let (mut at, mut piece) = (at, piece);
        while !piece.is_empty() {
            if let Some((start, before)) = self.pieces.range(..=at).next_back() {
                let covered = start.saturating_add(before.len() as u64).saturating_sub(at);
                if covered > 0 {
                    piece = piece.get(usize::try_from(covered).unwrap_or(usize::MAX)..).unwrap_or_default();
                    at = at.saturating_add(covered);
                    continue;
                }
            }
            let end = self.gap_end(at, at.saturating_add(piece.len() as u64));
            let (new, rest) =
                piece.split_at_checked(usize::try_from(end - at).unwrap_or(usize::MAX)).unwrap_or((piece, &[]));
            self.pieces.insert(at, new.into());
            self.insertion_order.push_back(at);
            self.bytes += new.len();
            (at, piece) = (end, rest);
        }
        while self.bytes > MAX_CACHED_BYTES {
            let Some(oldest) = self.insertion_order.pop_front() else { break };
            self.bytes -= self.pieces.remove(&oldest).map_or(0, |piece| piece.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_never_overlap_and_the_first_one_stays() {
        let mut cache = RangeCache::default();
        cache.insert(10, b"abc");
        cache.insert(20, b"xyz");
        cache.insert(8, b"................");
        let mut all = [0; 20];
        let (mut at, mut done) = (8, 0);
        while done < 16 {
            let count = cache.read(at, &mut all[done..]);
            assert!(count > 0, "nothing at {at}");
            done += count;
            at += count as u64;
        }
        assert_eq!(&all[..16], b"..abc.......xyz.");
        assert!(cache.contains(8, 24) && !cache.contains(7, 9) && !cache.contains(23, 25));
        assert_eq!((cache.read(24, &mut all), cache.read(7, &mut all)), (0, 0));
        assert_eq!((cache.gap_end(0, 100), cache.gap_end(24, 100)), (8, 100));
        assert_eq!((cache.gap_start(0, 5), cache.gap_start(0, 30), cache.gap_start(26, 30)), (0, 24, 26));
    }

    #[test]
    fn memory_is_bounded() {
        let mut cache = RangeCache::default();
        let piece = vec![7; 1 << 20];
        for index in 0..40 {
            cache.insert(index << 20, &piece);
        }
        assert!(cache.bytes <= MAX_CACHED_BYTES && cache.pieces.len() <= 16 && cache.insertion_order.len() <= 16);
        assert!(cache.contains(39 << 20, 40 << 20) && !cache.contains(0, 1));
    }
}
