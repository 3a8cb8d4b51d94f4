//! The report of an ended run.

use std::os::fd::OwnedFd;

use super::collect;
use super::sandbox::Sandbox;
use super::streams::Streams;
use super::watchdog::KillReason;
use crate::cgroup::parents::CgroupVersion;
use crate::cgroup::quota::Resource;
use crate::gpu::memory::ActiveQuota;
use crate::plan::Plan;
use crate::policy::exit_report::{Enforced, ExitReport, Outcome, SCHEMA, Violation, Violations};
use crate::proxy::server::Proxy;
use crate::sys::calls;
use crate::sys::error::Error;

/// The newest Landlock ABI whose rights the sandbox restricts.
const NEWEST_LANDLOCK_ABI: u32 = 7;

/// A run whose processes have all ended.
pub(super) struct EndedRun<'a> {
    pub(super) plan: &'a Plan,
    pub(super) sandbox: &'a Sandbox,
    pub(super) streams: &'a Streams,
    pub(super) protections: Protections,
    /// The wait status of the command; `None`: the first process was killed before it could report it.
    pub(super) status: Option<i32>,
    pub(super) failure: Option<Error>,
    pub(super) kill: Option<KillReason>,
    /// A descriptor of `/out`.
    pub(super) out: Option<OwnedFd>,
    pub(super) proxy: Option<Proxy>,
    pub(super) violations: Violations,
    pub(super) wall_ms: u64,
}

/// Protections that the processes inside reported.
#[derive(Clone, Copy, Default)]
pub(super) struct Protections {
    pub(super) core_scheduling: bool,
    pub(super) reports_denied_calls: bool,
}

/// The outcome of the command.
struct CommandEnd {
    outcome: Outcome,
    code: i32,
    signal: Option<i32>,
    reason: Option<String>,
}

impl CommandEnd {
    /// Killed, with the exit code of the report.
    fn killed(outcome: Outcome, code: i32, reason: String) -> Self {
        Self { outcome, code, signal: Some(libc::SIGKILL), reason: Some(reason) }
    }

    /// Turns the success of the command into a failure of the sandbox; another outcome stays.
    fn fail(&mut self, reason: String) {
        if self.outcome == Outcome::Exited && self.code == 0 {
            self.code = 125;
            self.reason = Some(reason);
        }
    }
}

impl EndedRun<'_> {
    pub(super) fn into_report(mut self) -> ExitReport {
        let memory_kills = self.sandbox.cgroups.memory_kills();
        self.record_quotas(memory_kills);
        if let Some(error) = self.failure.take() {
            let mut report = ExitReport::not_started(&self.plan.profile, &error);
            report.wall_ms = self.wall_ms;
            return report;
        }
        let mut end = self.command_end(memory_kills);
        let files = self.collect_results(&mut end);
        self.record_lost_output(&mut end);
        let (cpu, largest_child) = calls::children_usage();
        let network = self.proxy.take().map(|proxy| proxy.finish(&mut self.violations)).unwrap_or_default();
        let enforced = self.enforced();
        let (violations, violations_dropped) = self.violations.finish();
        ExitReport {
            schema: SCHEMA.into(),
            outcome: end.outcome,
            code: end.code,
            signal: end.signal,
            wall_ms: self.wall_ms,
            cpu_ms: u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX),
            peak_memory_bytes: self.sandbox.cgroups.peak_memory().unwrap_or(largest_child),
            enforced,
            violations,
            violations_dropped,
            output: self.streams.passed,
            files,
            network,
            reason: end.reason,
            profile: self.plan.profile.clone(),
        }
    }

    fn record_quotas(&mut self, memory_kills: u64) {
        let (limits, at_ms) = (&self.plan.limits, self.wall_ms);
        let violations = &mut self.violations;
        if memory_kills > 0 || self.kill == Some(KillReason::MemoryQuota) {
            violations.add_quota("memory", format!("more than {}", limits.memory), at_ms);
        }
        let denied_forks = self.sandbox.cgroups.denied_forks();
        if denied_forks > 0 {
            violations.add_quota("pids", format!("more than {}, {denied_forks} times", limits.pids), at_ms);
        }
        let dropped = self.streams.passed.dropped;
        if dropped > 0 {
            violations.add_quota("output", format!("{dropped} bytes past {} were dropped", limits.output), at_ms);
        }
        if let Some(KillReason::GpuMemoryQuota(reason)) = &self.kill {
            violations.add_quota("gpu_memory", reason.clone(), at_ms);
        }
        if self.kill == Some(KillReason::TimeLimit) {
            violations.add_quota("time", format!("more than {}", limits.timeout), at_ms);
        }
    }

    fn command_end(&self, memory_kills: u64) -> CommandEnd {
        let limits = &self.plan.limits;
        let memory = || CommandEnd::killed(Outcome::Memory, 137, format!("used more than {} of memory", limits.memory));
        match (&self.kill, self.status.map(decode_status)) {
            (Some(KillReason::TimeLimit), _) => {
                CommandEnd::killed(Outcome::TimedOut, 124, format!("still running after {}", limits.timeout))
            }
            (Some(KillReason::MemoryQuota), _) => memory(),
            (Some(KillReason::GpuMemoryQuota(reason)), _) => CommandEnd::killed(Outcome::Memory, 137, reason.clone()),
            (_, None | Some(WaitStatus::Signaled(libc::SIGKILL) | WaitStatus::Exited(137))) if memory_kills > 0 => {
                memory()
            }
            (Some(KillReason::Requested), None) => {
                CommandEnd::killed(Outcome::Signaled, 143, "ended by the caller".into())
            }
            (_, Some(WaitStatus::Exited(code))) => {
                CommandEnd { outcome: Outcome::Exited, code, signal: None, reason: None }
            }
            (_, Some(WaitStatus::Signaled(signal))) => {
                CommandEnd { outcome: Outcome::Signaled, code: 128 + signal, signal: Some(signal), reason: None }
            }
            (None, None) => {
                CommandEnd::killed(Outcome::Signaled, 137, "everything inside was killed from outside".into())
            }
        }
    }

    /// Copies the results out of `/out`, and lists them.
    fn collect_results(&mut self, end: &mut CommandEnd) -> Vec<String> {
        let (Some(out), Some(to)) = (self.out.take(), self.plan.out.as_ref()) else {
            return Vec::new();
        };
        match collect::collect(self.plan, &out, to, &mut self.violations, self.wall_ms) {
            Ok(files) => files,
            Err(error) => {
                let reason = format!("the content of /out could not be copied to {}: {error}", to.display());
                end.reason = Some(reason.clone());
                end.fail(reason);
                Vec::new()
            }
        }
    }

    fn record_lost_output(&mut self, end: &mut CommandEnd) {
        if let Some((stream, error)) = self.streams.write_error() {
            let detail = format!("could not be written, and the rest of it was dropped: {error}");
            self.violations.add(Violation::new("output", stream, detail.clone(), self.wall_ms));
            end.fail(format!("{stream} {detail}"));
        }
    }

    fn enforced(&self) -> Enforced {
        let cgroups = &self.sandbox.cgroups;
        let enforcing = |resource: Resource, fallback: &'static str| {
            cgroups.enforcing_version(resource).map_or(fallback, CgroupVersion::name).to_owned()
        };
        Enforced {
            user_namespace: true,
            time_namespace: self.sandbox.time_namespace,
            network: if self.plan.hosts.is_empty() { "none".into() } else { "proxy".into() },
            seccomp: true,
            seccomp_notify: self.protections.reports_denied_calls,
            landlock: self.plan.landlock_abi.min(NEWEST_LANDLOCK_ABI),
            memory: enforcing(Resource::Memory, "watchdog"),
            pids: enforcing(Resource::Pids, "rlimit"),
            cpus: enforcing(Resource::Cpus, "affinity"),
            devices: enforcing(Resource::Devices, "nodes"),
            core_scheduling: self.protections.core_scheduling,
            gpu_memory: self.sandbox.gpu_memory.as_ref().map(ActiveQuota::name).map(str::to_owned),
        }
    }
}

enum WaitStatus {
    Exited(i32),
    Signaled(i32),
}

fn decode_status(status: i32) -> WaitStatus {
    if libc::WIFEXITED(status) {
        WaitStatus::Exited(libc::WEXITSTATUS(status))
    } else {
        WaitStatus::Signaled(libc::WTERMSIG(status))
    }
}
