//! A sparse file in a tar: some of its bytes are stored in a row, the rest are zeros.
//!
//! Readers see the file with its holes as zeros, and so does the scanner. The holes take no memory.

use crate::io::source::{SharedSource, Source};
use std::io;

/// The filled-up content.
pub(super) struct SparseSource {
    stored: SharedSource,
    /// Offset in the file, length, and offset in what is stored; in order.
    parts: Vec<(u64, u64, u64)>,
    len: u64,
}

impl SparseSource {
    /// `None` where the parts overlap, are out of order, or are not all stored.
    pub(super) fn new(stored: SharedSource, map: &[(u64, u64)], len: u64) -> Option<Self> {
        let mut parts = Vec::with_capacity(map.len());
        let (mut covered, mut taken) = (0_u64, 0_u64);
        for (offset, length) in map {
            let end = offset.checked_add(*length)?;
            if *offset < covered || end > len {
                return None;
            }
            parts.push((*offset, *length, taken));
            taken = taken.checked_add(*length)?;
            covered = end;
        }
        (taken <= stored.len()).then_some(Self { stored, parts, len })
    }
}

impl Source for SparseSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let asked = rest.min(buf.len());
        let mut done = 0;
        while done < asked {
            let here = at + done as u64;
            let next = self.parts.partition_point(|(offset, length, _)| offset + length <= here);
            let part = self.parts.get(next);
            let to = buf.get_mut(done..asked).unwrap_or_default();
            match part {
                Some((offset, length, stored)) if *offset <= here => {
                    let inside = here - offset;
                    let count = usize::try_from(length - inside).unwrap_or(usize::MAX).min(to.len());
                    let got = self.stored.read_at(stored + inside, to.get_mut(..count).unwrap_or_default())?;
                    if got == 0 {
                        break;
                    }
                    done += got;
                }
                _ => {
                    let until = part.map_or(self.len, |(offset, _, _)| *offset);
                    let count = usize::try_from(until - here).unwrap_or(usize::MAX).min(to.len());
                    to.get_mut(..count).unwrap_or_default().fill(0);
                    done += count;
                }
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::source::{Memory, read_vec};
    use std::sync::Arc;

    #[test]
    fn holes_read_as_zeros() {
        let stored: SharedSource = Arc::new(Memory::new(*b"abcde"));
        let sparse = SparseSource::new(stored.clone(), &[(2, 3), (7, 2), (10, 0)], 10).expect("it fits");
        assert_eq!(read_vec(&sparse, 0, 99).expect("memory reads"), b"\0\0abc\0\0de\0");
        assert_eq!(read_vec(&sparse, 3, 5).expect("memory reads"), b"bc\0\0d");
        for map in [&[(0, 6)][..], &[(2, 1), (1, 1)], &[(9, 2)], &[(u64::MAX, 2)]] {
            assert!(SparseSource::new(stored.clone(), map, 10).is_none());
        }
    }
}
