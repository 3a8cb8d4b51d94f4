//! What came of a run: how it ended, what was enforced, what was refused. Plain data; its JSON form is `modelscan.run/1`.

use serde::{Deserialize, Serialize};

/// The account of one run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ExitReport {
    /// Always `modelscan.run/1`.
    pub schema: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The exit code that the caller passes on.
    pub code: i32,
    /// The signal that ended the command.
    pub signal: Option<i32>,
    /// From the start of the command to its end.
    pub wall_ms: u64,
    /// Processor time of everything inside.
    pub cpu_ms: u64,
    /// The most memory that was in use at once.
    pub peak_memory_bytes: u64,
    /// What stood around the command.
    pub enforced: Enforced,
    /// What was refused, cut or killed.
    pub violations: Vec<Violation>,
    /// How many more violations there were than are listed.
    pub violations_dropped: u64,
    /// Bytes of standard output and error that were passed on, and dropped past the limit.
    pub output: Passed,
    /// Files that left `/out`.
    #[serde(default)]
    pub files: Vec<String>,
    /// Requests that the proxy allowed.
    #[serde(default)]
    pub network: Vec<String>,
    /// Why it did not start, or why it was killed.
    pub reason: Option<String>,
    /// The profile.
    pub profile: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// By itself.
    Exited,
    /// By a signal.
    Signaled,
    /// At the time limit.
    TimedOut,
    /// At the memory quota.
    Memory,
    /// Never began.
    NotStarted,
}

/// What stood around the command; a protection that was waived is `none`, `false` or 0.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Enforced {
    /// User, mount, pid, ipc, uts and cgroup namespaces of its own.
    pub user_namespace: bool,
    /// A time namespace.
    pub time_namespace: bool,
    /// `none`, or `proxy`.
    pub network: String,
    /// The system call filter.
    pub seccomp: bool,
    /// Whether refused calls are reported one by one.
    pub seccomp_notify: bool,
    /// The ABI of Landlock that is in force; 0 for none.
    pub landlock: u32,
    /// `cgroup1`, `cgroup2`, `watchdog` or `none`.
    pub memory: String,
    /// `cgroup1`, `cgroup2`, `rlimit` or `none`.
    pub pids: String,
    /// `cgroup1`, `cgroup2`, `affinity` or `none`.
    pub cpus: String,
    /// `cgroup1`, `cgroup2`, or `nodes`: only the nodes named are there and none can be made.
    pub devices: String,
    /// Whether a core-scheduling cookie keeps other programs off the same core.
    pub core_scheduling: bool,
    /// By what the GPU memory quota is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<String>,
}

/// One thing that was refused, cut or killed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Violation {
    /// `syscall`, `landlock`, `quota`, `network`, `output`.
    pub kind: String,
    /// The call, the quota, the address, the path.
    pub what: String,
    /// Arguments, or the reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Since the start of the command.
    pub at_ms: u64,
    /// The process, as it is numbered inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How often, when more than once.
    #[serde(default, skip_serializing_if = "once")]
    pub times: u64,
}

fn once(times: &u64) -> bool {
    *times <= 1
}

/// Bytes of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Passed {
    /// Passed on.
    pub bytes: u64,
    /// Dropped past the limit.
    pub dropped: u64,
}

/// Listed at most: a program that tries without end must not fill the supervisor's memory.
const MOST: usize = 256;

/// Gathers violations: repeats are counted, and the list has an end.
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
        } else if self.list.len() < MOST {
            self.list.push(violation);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    pub(crate) fn quota(&mut self, what: &str, detail: String, at_ms: u64) {
        self.add(Violation { kind: "quota".into(), what: what.into(), detail, at_ms, pid: None, times: 1 });
    }

    /// Takes in what was gathered elsewhere.
    pub(crate) fn absorb(&mut self, other: Self) {
        other.list.into_iter().for_each(|violation| self.add(violation));
        self.dropped = self.dropped.saturating_add(other.dropped);
    }

    pub(crate) fn finish(self) -> (Vec<Violation>, u64) {
        (self.list, self.dropped)
    }
}

impl ExitReport {
    /// A run that never began.
    pub fn not_started(profile: &str, error: &crate::error::Error) -> Self {
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
            output: Passed::default(),
            files: Vec::new(),
            network: Vec::new(),
            reason: Some(error.to_string()),
            profile: profile.into(),
        }
    }
}

/// The version of the report.
pub const SCHEMA: &str = "modelscan.run/1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_counted_and_the_list_has_an_end() {
        let mut violations = Violations::default();
        for round in 0..2 {
            for number in 0..1000 {
                violations.quota("pids", format!("{number}"), round);
            }
        }
        let (list, dropped) = violations.finish();
        assert_eq!((list.len(), list[0].times, dropped), (MOST, 2, 2 * (1000 - MOST as u64)));
    }
}
