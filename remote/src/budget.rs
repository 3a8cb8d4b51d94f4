//! The budget of a scan: bytes, requests, and concurrent requests, shared by all files. Bytes and requests only count down. A read
//! that exceeds the budget fails, and the rest counts as not read.

use crate::error::Error;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};

/// The budget of all requests of a scan.
pub(crate) struct Budget {
    bytes: AtomicU64,
    requests: AtomicU64,
    free_requests: Mutex<usize>,
    request_ended: Condvar,
    /// Threads that may still be started.
    free_threads: AtomicUsize,
}

/// Permission to start `count` threads. Returned when dropped.
pub(crate) struct ThreadPermits<'a> {
    budget: &'a Budget,
    pub(crate) count: usize,
}

/// Permission for one request in flight. Returned when dropped.
pub(crate) struct RequestPermit<'a>(&'a Budget);

impl Budget {
    pub(crate) fn new(bytes: u64, requests: u64, concurrent: usize) -> Self {
        let (bytes, requests) = (AtomicU64::new(bytes), AtomicU64::new(requests));
        let concurrent = concurrent.max(1);
        Self {
            bytes,
            requests,
            free_requests: Mutex::new(concurrent),
            request_ended: Condvar::new(),
            free_threads: AtomicUsize::new(concurrent),
        }
    }

    /// Takes `count` bytes, before they are requested.
    pub(crate) fn take_bytes(&self, count: u64) -> Result<(), Error> {
        let taken = self.bytes.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(count));
        taken.map(drop).map_err(|left| Error::ByteBudget { needed: count, left })
    }

    pub(crate) fn take_request(&self) -> Result<(), Error> {
        let taken = self.requests.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        taken.map(drop).map_err(|_| Error::RequestBudget)
    }

    /// Permission for up to `max` threads, as far as there are free ones.
    pub(crate) fn acquire_threads(&self, max: usize) -> ThreadPermits<'_> {
        let taken = self.free_threads.fetch_update(Relaxed, Relaxed, |free| Some(free.saturating_sub(max)));
        ThreadPermits { budget: self, count: taken.unwrap_or(0).min(max) }
    }

    /// Waits until fewer requests than the limit are in flight.
    pub(crate) fn acquire_request(&self) -> RequestPermit<'_> {
        let mut free = self.free_requests.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.request_ended.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        RequestPermit(self)
    }
}

impl Drop for ThreadPermits<'_> {
    fn drop(&mut self) {
        self.budget.free_threads.fetch_add(self.count, Relaxed);
    }
}

impl Drop for RequestPermit<'_> {
    fn drop(&mut self) {
        *self.0.free_requests.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.request_ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_only_count_down_and_threads_come_back() {
        let budget = Budget::new(10, 1, 5);
        assert!(budget.take_bytes(11) == Err(Error::ByteBudget { needed: 11, left: 10 }));
        assert!(budget.take_bytes(10).is_ok() && budget.take_bytes(1).is_err());
        assert!(budget.take_request().is_ok() && budget.take_request().is_err());
        let (some, rest) = (budget.acquire_threads(3), budget.acquire_threads(9));
        assert_eq!((some.count, rest.count, budget.acquire_threads(1).count), (3, 2, 0));
        drop(some);
        assert_eq!(budget.acquire_threads(9).count, 3);
    }
}
