//! The limits of one file and its deadline.

use super::limits::Limits;
use std::sync::Arc;
use std::time::Instant;

/// The limits of a scan, and when the time for one file is over.
#[derive(Debug, Clone)]
pub struct ScanBudget {
    /// All limits that a caller can set.
    pub limits: Arc<Limits>,
    deadline: Option<Instant>,
}

impl ScanBudget {
    /// Starts the clock of one file.
    pub fn start(limits: Arc<Limits>) -> Self {
        let deadline = Instant::now().checked_add(limits.time);
        Self { limits, deadline }
    }

    /// Whether the time for this file is over. Asks the clock: for every few thousand steps of a loop, not for each.
    pub fn expired(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}
