//! What a whole scan may cost: bytes that travel, requests, and how many of them at once. Budgets are shared by all files
//! and only count down; who runs out says so, and what is behind counts as not read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};

/// Shared by all requests of a scan.
pub(crate) struct Budget {
    bytes: AtomicU64,
    requests: AtomicU64,
    free: Mutex<usize>,
    freed: Condvar,
}

/// The right to have one request under way.
pub(crate) struct Slot<'a>(&'a Budget);

impl Budget {
    pub(crate) fn new(bytes: u64, requests: u64, at_once: usize) -> Self {
        let (bytes, requests) = (AtomicU64::new(bytes), AtomicU64::new(requests));
        Self { bytes, requests, free: Mutex::new(at_once.max(1)), freed: Condvar::new() }
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

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
