//! The report of a run: its outcome, the enforced protections, the violations. Its JSON form is `modelscan.run/1`.

use serde::{Deserialize, Serialize};

use crate::sys::error::Error;

/// The report of one run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ExitReport {
    /// Always `modelscan.run/1`.
    pub schema: String,
    /// The outcome.
    pub outcome: Outcome,
    /// The exit code for the caller to return.
    pub code: i32,
    /// The signal that ended the command.
    pub signal: Option<i32>,
    /// Wall-clock time from the start to the end.
    pub wall_ms: u64,
    /// Processor time of all processes.
    pub cpu_ms: u64,
    /// Peak memory use of all processes together.
    pub peak_memory_bytes: u64,
    /// The protections in force.
    pub enforced: Enforced,
    /// Denied actions, dropped output and exceeded quotas.
    pub violations: Vec<Violation>,
    /// Violations beyond those listed.
    pub violations_dropped: u64,
    /// Standard output and error.
    pub output: OutputBytes,
    /// Files copied from `/out`.
    #[serde(default)]
    pub files: Vec<String>,
    /// Requests that the proxy allowed.
    #[serde(default)]
    pub network: Vec<String>,
    /// Why the command did not start, or why it was killed.
    pub reason: Option<String>,
    /// The name of the profile.
    pub profile: String,
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The command exited.
    Exited,
    /// A signal ended the command.
    Signaled,
    /// Killed at the time limit.
    TimedOut,
    /// Killed at a memory quota.
    Memory,
    /// The command did not start.
    NotStarted,
}

/// The protections in force; a waived one is `none`, `false` or 0.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Enforced {
    /// User, mount, pid, ipc, uts and cgroup namespaces.
    pub user_namespace: bool,
    /// A time namespace.
    pub time_namespace: bool,
    /// `none`, or `proxy`.
    pub network: String,
    /// The system call filter.
    pub seccomp: bool,
    /// Whether denied system calls are reported.
    pub seccomp_notify: bool,
    /// The Landlock ABI in force; 0: none.
    pub landlock: u32,
    /// `cgroup1`, `cgroup2`, `watchdog` or `none`.
    pub memory: String,
    /// `cgroup1`, `cgroup2`, `rlimit` or `none`.
    pub pids: String,
    /// `cgroup1`, `cgroup2`, `affinity` or `none`.
    pub cpus: String,
    /// `cgroup1`, `cgroup2`, or `nodes`: only the named device nodes exist, and none can be created.
    pub devices: String,
    /// Whether core scheduling keeps other programs off the same core.
    pub core_scheduling: bool,
    /// What enforces the GPU memory quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<String>,
}

/// A denied action, dropped output or an exceeded quota.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Violation {
    /// `syscall`, `landlock`, `quota`, `network`, `output`.
    pub kind: String,
    /// The call, the quota, the address, the path.
    pub what: String,
    /// Arguments, or the reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Milliseconds since the start.
    pub at_ms: u64,
    /// The process id inside the sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How often.
    #[serde(default, skip_serializing_if = "once")]
    pub times: u64,
}

fn once(times: &u64) -> bool {
    *times <= 1
}

impl Violation {
    pub(crate) fn new(kind: &str, what: impl Into<String>, detail: impl Into<String>, at_ms: u64) -> Self {
        Self { kind: kind.into(), what: what.into(), detail: detail.into(), at_ms, pid: None, times: 1 }
    }
}

/// Numbers of bytes of standard output and error together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct OutputBytes {
    /// Passed on.
    pub bytes: u64,
    /// Dropped past the limit.
    pub dropped: u64,
}

/// Bounds the supervisor's memory, whatever the command does.
const MAX_VIOLATIONS: usize = 256;

/// Collects violations up to a maximum, and counts repetitions.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    list: Vec<Violation>,
    dropped: u64,
}

impl Violations {
    pub(crate) fn add(&mut self, violation: Violation) {
        let same = |seen: &&mut Violation| {
            seen.kind == violation.kind
                && seen.what == violation.what
                && seen.detail == violation.detail
                && seen.pid == violation.pid
        };
        if let Some(seen) = self.list.iter_mut().find(same) {
            seen.times = seen.times.saturating_add(1);
        } else if self.list.len() < MAX_VIOLATIONS {
            self.list.push(violation);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    pub(crate) fn add_quota(&mut self, what: &str, detail: String, at_ms: u64) {
        self.add(Violation::new("quota", what, detail, at_ms));
    }

    /// Adds the violations of another collection.
    pub(crate) fn append(&mut self, other: Self) {
        other.list.into_iter().for_each(|violation| self.add(violation));
        self.dropped = self.dropped.saturating_add(other.dropped);
    }

    pub(crate) fn finish(self) -> (Vec<Violation>, u64) {
        (self.list, self.dropped)
    }
}

impl ExitReport {
    /// The report of a run that did not start.
    pub fn not_started(profile: &str, error: &Error) -> Self {
        Self {
            schema: SCHEMA.into(),
            outcome: Outcome::NotStarted,
            code: error.code(),
            signal: None,
            wall_ms: 0,
            cpu_ms: 0,
            peak_memory_bytes: 0,
            enforced: Enforced { network: "none".into(), ..Enforced::default() },
            violations: Vec::new(),
            violations_dropped: 0,
            output: OutputBytes::default(),
            files: Vec::new(),
            network: Vec::new(),
            reason: Some(error.to_string()),
            profile: profile.into(),
        }
    }
}

/// The version of the report format.
pub const SCHEMA: &str = "modelscan.run/1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_counted_and_the_list_is_bounded() {
        let mut violations = Violations::default();
        for round in 0..2 {
            for number in 0..1000 {
                violations.add_quota("pids", format!("{number}"), round);
            }
        }
        let (list, dropped) = violations.finish();
        assert_eq!((list.len(), list[0].times, dropped), (MAX_VIOLATIONS, 2, 2 * (1000 - MAX_VIOLATIONS as u64)));
    }
}
