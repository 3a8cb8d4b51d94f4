//! Limits that the supervisor itself enforces: the time limit, and memory quotas where no cgroup and no driver enforces them. Polling is weaker
//! than a quota: memory that is taken and freed between two polls is not seen. The report then says `watchdog` or `nvml-watch`.

use std::time::{Duration, Instant};

use super::sandbox::Sandbox;
use crate::gpu::memory::ActiveQuota;
use crate::plan::Plan;
use crate::sys::process_tree;

/// The interval of polls where a quota is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// After a kill, output that is still in the pipes is passed on to a slow reader for at most this long.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Why the supervisor killed a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KillReason {
    TimeLimit,
    MemoryQuota,
    /// With the text for the report.
    GpuMemoryQuota(String),
    /// By a signal or by the caller.
    Requested,
}

/// A kill by the supervisor.
#[derive(Debug)]
pub(super) struct Kill {
    pub(super) reason: KillReason,
    at: Instant,
}

impl Kill {
    pub(super) fn new(reason: KillReason) -> Self {
        Self { reason, at: Instant::now() }
    }

    /// Whether the time for remaining output is over.
    pub(super) fn is_drained(&self) -> bool {
        self.at.elapsed() > DRAIN_TIME
    }
}

/// The first limit that a run exceeds.
pub(super) fn exceeded_limit(plan: &Plan, sandbox: &Sandbox) -> Option<KillReason> {
    if sandbox.started.elapsed() >= plan.limits.timeout.0 {
        return Some(KillReason::TimeLimit);
    }
    let polls_memory = plan.cgroup_parents.memory.is_none();
    if polls_memory && process_tree::resident_memory(sandbox.first_pid) > plan.limits.memory.0 {
        return Some(KillReason::MemoryQuota);
    }
    sandbox.gpu_memory.as_ref().and_then(ActiveQuota::exceeded).map(KillReason::GpuMemoryQuota)
}

/// How long the supervisor may wait for events; `None`: without a limit.
pub(super) fn poll_timeout(plan: &Plan, sandbox: &Sandbox, kill: Option<&Kill>) -> Option<Duration> {
    let now = Instant::now();
    let wait = match kill {
        Some(kill) => Some((kill.at + DRAIN_TIME).saturating_duration_since(now) + Duration::from_millis(1)),
        None if sandbox.reaped => None,
        None => Some((sandbox.started + plan.limits.timeout.0).saturating_duration_since(now)),
    };
    let is_polled =
        plan.cgroup_parents.memory.is_none() || sandbox.gpu_memory.as_ref().is_some_and(ActiveQuota::is_polled);
    if is_polled && !sandbox.reaped {
        return Some(wait.map_or(POLL_INTERVAL, |wait| wait.min(POLL_INTERVAL)));
    }
    wait
}
