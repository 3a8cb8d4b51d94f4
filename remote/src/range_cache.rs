//! What was fetched of something, as pieces that do not overlap, in bounded memory: the oldest piece goes first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The pieces of one source.
#[derive(Default)]
pub(crate) struct Extents {
    pieces: BTreeMap<u64, Arc<[u8]>>,
    oldest: VecDeque<u64>,
    bytes: usize,
}

/// Bytes that are kept of one source.
pub(crate) const KEPT: usize = 16 << 20;

impl Extents {
    /// Copies what is there at `at`; gives how much that was.
    pub(crate) fn copy(&self, at: u64, to: &mut [u8]) -> usize {
        let Some((start, piece)) = self.pieces.range(..=at).next_back() else { return 0 };
        let skip = usize::try_from(at - start).unwrap_or(usize::MAX);
        let from = piece.get(skip..).unwrap_or_default();
        let count = from.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..count), from.get(..count)) {
            to.copy_from_slice(from);
        }
        count
    }

    /// Where what is missing at `at` ends, at the latest at `end`: the next piece starts there.
    pub(crate) fn gap_end(&self, at: u64, end: u64) -> u64 {
        self.pieces.range(at..end).next().map_or(end, |(start, _)| *start)
    }

    /// Where what is missing before `at` starts, at the earliest at `start`.
    pub(crate) fn gap_start(&self, start: u64, at: u64) -> u64 {
        let before = self.pieces.range(..at).next_back();
        before.map_or(start, |(piece, bytes)| piece.saturating_add(bytes.len() as u64).max(start)).min(at)
    }

    /// Whether all of a range is there.
    pub(crate) fn holds(&self, at: u64, end: u64) -> bool {
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

    /// Keeps a piece. Where another one stands already, that one stays.
    pub(crate) fn keep(&mut self, at: u64, piece: &[u8]) {
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
            self.oldest.push_back(at);
            self.bytes += new.len();
            (at, piece) = (end, rest);
        }
        while self.bytes > KEPT {
            let Some(oldest) = self.oldest.pop_front() else { break };
            self.bytes -= self.pieces.remove(&oldest).map_or(0, |piece| piece.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_never_overlap_and_the_first_one_stays() {
        let mut extents = Extents::default();
        extents.keep(10, b"abc");
        extents.keep(20, b"xyz");
        extents.keep(8, b"................");
        let mut all = [0; 20];
        let (mut at, mut done) = (8, 0);
        while done < 16 {
            let count = extents.copy(at, &mut all[done..]);
            assert!(count > 0, "nothing at {at}");
            done += count;
            at += count as u64;
        }
        assert_eq!(&all[..16], b"..abc.......xyz.");
        assert!(extents.holds(8, 24) && !extents.holds(7, 9) && !extents.holds(23, 25));
        assert_eq!((extents.copy(24, &mut all), extents.copy(7, &mut all)), (0, 0));
        assert_eq!((extents.gap_end(0, 100), extents.gap_end(24, 100)), (8, 100));
        assert_eq!((extents.gap_start(0, 5), extents.gap_start(0, 30), extents.gap_start(26, 30)), (0, 24, 26));
    }

    #[test]
    fn memory_is_bounded() {
        let mut extents = Extents::default();
        let piece = vec![7; 1 << 20];
        for index in 0..40 {
            extents.keep(index << 20, &piece);
        }
        assert!(extents.bytes <= KEPT && extents.pieces.len() <= 16 && extents.oldest.len() <= 16);
        assert!(extents.holds(39 << 20, 40 << 20) && !extents.holds(0, 1));
    }
}
