//! What a whole scan may cost: bytes that travel, requests, and how many of them at once. Budgets are shared by all files
//! and only count down; who runs out says so, and what is behind counts as not read.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};

/// Shared by all requests of a scan.
pub(crate) struct Budget {
    bytes: AtomicU64,
    requests: AtomicU64,
    free: Mutex<usize>,
    freed: Condvar,
    /// Threads that may still be started to ask for several things at once.
    idle: AtomicUsize,
}

/// The right to have so many threads more.
pub(crate) struct Helpers<'a> {
    budget: &'a Budget,
    /// How many.
    pub(crate) count: usize,
}

/// The right to have one request under way.
pub(crate) struct Slot<'a>(&'a Budget);

impl Budget {
    pub(crate) fn new(bytes: u64, requests: u64, at_once: usize) -> Self {
        let (bytes, requests) = (AtomicU64::new(bytes), AtomicU64::new(requests));
        let at_once = at_once.max(1);
        Self { bytes, requests, free: Mutex::new(at_once), freed: Condvar::new(), idle: AtomicUsize::new(at_once) }
    }

    /// Takes so many bytes before they are asked for.
    pub(crate) fn take_bytes(&self, count: u64) -> Result<(), String> {
        let taken = self.bytes.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(count));
        taken.map(drop).map_err(|left| {
            format!("{count} more bytes are needed and {left} are left of --limit-remote-bytes; raise it to read on")
        })
    }

    pub(crate) fn take_request(&self) -> Result<(), String> {
        let taken = self.requests.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        taken
            .map(drop)
            .map_err(|_| "the requests of --limit-remote-requests are used up; raise it to read on".to_owned())
    }

    /// Up to so many threads, as far as others have not got them.
    pub(crate) fn helpers(&self, wanted: usize) -> Helpers<'_> {
        let taken = self.idle.fetch_update(Relaxed, Relaxed, |idle| Some(idle.saturating_sub(wanted)));
        Helpers { budget: self, count: taken.unwrap_or(0).min(wanted) }
    }

    /// Waits for its turn.
    pub(crate) fn slot(&self) -> Slot<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Helpers<'_> {
    fn drop(&mut self) {
        self.budget.idle.fetch_add(self.count, Relaxed);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_only_count_down_and_helpers_come_back() {
        let budget = Budget::new(10, 1, 5);
        assert!(budget.take_bytes(11).is_err_and(|why| why.contains("10 are left")));
        assert!(budget.take_bytes(10).is_ok() && budget.take_bytes(1).is_err());
        assert!(budget.take_request().is_ok() && budget.take_request().is_err());
        let (some, rest) = (budget.helpers(3), budget.helpers(9));
        assert_eq!((some.count, rest.count, budget.helpers(1).count), (3, 2, 0));
        drop(some);
        assert_eq!(budget.helpers(9).count, 3);
    }
}
