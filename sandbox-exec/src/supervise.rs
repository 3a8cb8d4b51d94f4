//! Watching over a run from outside: passing its streams, taking note of what is refused, ending it in time, and telling in the end what
//! came of it. One loop, one thread.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::audit::Audit;
use crate::error::Error;
use crate::exit_report::{Enforced, ExitReport, Outcome, SCHEMA, Violation, Violations};
use crate::launcher::Walls;
use crate::plan::Plan;
use crate::streams::Streams;
use crate::{collect, gpu_memory, proxy, seccomp, sys, watchdog, wire};

/// Refused calls are answered one by one up to here; past it the listener is closed, and the kernel answers ENOSYS by itself.
const MOST_REFUSED: u64 = 10_000;
/// After the end, what is in the pipes is still passed on to a reader who is slow, for this long when the end was by force.
const GRACE: Duration = Duration::from_secs(1);
/// How often memory is looked at where no cgroup does.
const WATCH: Duration = Duration::from_millis(20);

/// The ABI of Landlock from which on it tells audit what it refuses.
const AUDITED: u32 = 7;

/// Why a run was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Time,
    Memory,
    GpuMemory,
    Caller,
}

struct Watch<'a> {
    plan: &'a Plan,
    walls: Walls,
    streams: Streams,
    listener: Option<OwnedFd>,
    audit: Option<Audit>,
    out: Option<OwnedFd>,
    proxy: Option<proxy::Proxy>,
    violations: Violations,
    refused: u64,
    notify: bool,
    core: bool,
    status: Option<i32>,
    failed: Option<Error>,
    killed: Option<(Ended, Instant)>,
    gpu_reason: Option<String>,
    socket_open: bool,
}

/// What the first process tells when the walls stand.
pub(crate) struct Ready {
    /// Whether it has a core to itself.
    pub(crate) core: bool,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Stays with a run to its end. Hands back the walls too: to take them down costs time that whoever waits for the report need not wait.
pub(crate) fn supervise(
    plan: &Plan,
    walls: Walls,
    streams: Streams,
    caller: Option<&OwnedFd>,
    early: Option<Ready>,
) -> (ExitReport, Walls) {
    let mut watch = Watch {
        plan,
        walls,
        streams,
        listener: None,
        // Those who are no root may not listen; nor does anyone speak where there is no Landlock.
        audit: (plan.as_root && plan.landlock >= AUDITED).then(Audit::listen).flatten(),
        out: None,
        proxy: None,
        violations: Violations::default(),
        refused: 0,
        notify: false,
        core: false,
        status: None,
        failed: None,
        killed: None,
        gpu_reason: None,
        socket_open: true,
    };
    if let Some(ready) = early {
        watch.stand(ready);
    }
    while !watch.over() {
        watch.turn(caller);
    }
    watch.report()
}

impl Watch<'_> {
    fn over(&self) -> bool {
        let forced_long_ago = self.killed.is_some_and(|(_, at)| at.elapsed() > GRACE);
        self.walls.reaped && !self.socket_open && (self.streams.finished() || forced_long_ago || self.failed.is_some())
    }

    fn at_ms(&self) -> u64 {
        u64::try_from(self.walls.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn patience(&self) -> Option<Timespec> {
        let now = Instant::now();
        let mut wait = match self.killed {
            Some((_, at)) => Some((at + GRACE).saturating_duration_since(now) + Duration::from_millis(1)),
            None if self.walls.reaped => None,
            None => Some((self.walls.since + self.plan.limits.timeout.0).saturating_duration_since(now)),
        };
        if (self.plan.place.memory.is_none() || self.gpu_watched()) && !self.walls.reaped {
            wait = Some(wait.map_or(WATCH, |wait| wait.min(WATCH)));
        }
        wait.and_then(|wait| Timespec::try_from(wait).ok())
    }

    fn gpu_watched(&self) -> bool {
        self.walls.gpu_memory.as_ref().is_some_and(gpu_memory::Kept::watched)
    }

    /// One wait, and whatever it brought.
    fn turn(&mut self, caller: Option<&OwnedFd>) {
        let patience = self.patience();
        let input = PollFlags::IN;
        let fds = [
            Some(PollFd::from_borrowed_fd(self.walls.signals.as_fd(), input)),
            (!self.walls.reaped).then(|| PollFd::from_borrowed_fd(self.walls.first.as_fd(), input)),
            self.socket_open.then(|| PollFd::from_borrowed_fd(self.walls.socket.as_fd(), input)),
            self.listener.as_ref().map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), input)),
            caller.map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), input)),
            self.audit.as_ref().map(|audit| PollFd::from_borrowed_fd(audit.as_fd(), input)),
        ];
        let mut wanted: Vec<PollFd<'_>> = Vec::with_capacity(9);
        let mut places = [None; 9];
        for (place, fd) in places.iter_mut().zip(fds.into_iter().chain(self.streams.interests())) {
            if let Some(fd) = fd {
                *place = Some(wanted.len());
                wanted.push(fd);
            }
        }
        let _ = poll(&mut wanted, patience.as_ref());
        let told = places.map(|place| place.and_then(|at| wanted.get(at)).map_or(PollFlags::empty(), PollFd::revents));
        let ready = told.map(|told| !told.is_empty());
        let [_, _, _, listening, ..] = told;
        drop(wanted);
        let [signal, first, socket, listener, caller, audit, a, b, c] = ready;
        if listening.contains(PollFlags::IN) {
            self.refuse();
        } else if listener {
            // All who had the filter are gone; asked again, it would say so again and again.
            self.listener = None;
        }
        if socket {
            self.hear();
        }
        if audit {
            self.overhear();
        }
        self.streams.step([a, b, c]);
        if first {
            self.walls.reap();
            self.streams.end_input();
        }
        self.end_in_time(signal || caller);
    }

    fn end_in_time(&mut self, asked: bool) {
        if self.killed.is_some() || (self.walls.reaped && !asked) {
            return;
        }
        let why = if asked {
            Some(Ended::Caller)
        } else if self.walls.since.elapsed() >= self.plan.limits.timeout.0 {
            Some(Ended::Time)
        } else if self.plan.place.memory.is_none() && watchdog::memory(self.walls.first_pid) > self.plan.limits.memory.0
        {
            Some(Ended::Memory)
        } else if let Some(why) = self.walls.gpu_memory.as_ref().and_then(gpu_memory::Kept::exceeded) {
            self.gpu_reason = Some(why);
            Some(Ended::GpuMemory)
        } else {
            None
        };
        if let Some(why) = why {
            self.walls.kill();
            self.killed = Some((why, Instant::now()));
        }
    }

    /// The walls stand: their descriptors are `/out` and the proxy's listener, where asked for.
    fn stand(&mut self, ready: Ready) {
        self.core = ready.core;
        let mut fds = ready.fds.into_iter();
        self.out = self.plan.out.as_ref().and_then(|_| fds.next());
        self.proxy = fds.next().map(|listener| proxy::serve(listener, self.plan, self.walls.since));
    }

    /// A message from inside.
    fn hear(&mut self) {
        let mut received = match wire::receive(self.walls.socket.as_fd()) {
            Ok(Some(received)) => received,
            _ => {
                self.socket_open = false;
                return;
            }
        };
        match received.0 {
            wire::Kind::Ready => self.stand(Ready { core: received.1 == [1], fds: received.2 }),
            wire::Kind::Listener => {
                self.listener = received.2.pop();
                self.notify = true;
                // The one who told this has locked itself in a moment ago.
                if let Some(audit) = &mut self.audit {
                    audit.expect_children_of(self.walls.first_pid);
                }
            }
            wire::Kind::Failed => self.failed = Some(failure(&received.1)),
            wire::Kind::Ended => self.status = received.1.try_into().ok().map(i32::from_le_bytes),
            wire::Kind::Go | wire::Kind::Doors | wire::Kind::Start => {}
        }
    }

    /// What Landlock refused, where audit tells it.
    fn overhear(&mut self) {
        let at_ms = self.at_ms();
        for refused in self.audit.as_mut().map(Audit::hear).unwrap_or_default() {
            self.violations.add(Violation {
                kind: "landlock".into(),
                what: refused.what,
                detail: refused.rights,
                at_ms,
                pid: None,
                times: 1,
            });
        }
    }

    fn refuse(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        let told = match sys::notif_receive(listener.as_fd()) {
            Ok(told) => told,
            Err(error) => {
                // ENOENT: the caller died meanwhile. Anything else: nobody is left to listen to.
                if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) {
                    self.listener = None;
                }
                return;
            }
        };
        let pid = watchdog::pid_inside(told.pid);
        let _ = sys::notif_refuse(listener.as_fd(), told.id, libc::EPERM);
        self.refused += 1;
        let arguments: Vec<String> = told.arguments.iter().map(|argument| format!("{argument:#x}")).collect();
        let detail = format!("({})", arguments.join(", "));
        let at_ms = self.at_ms();
        self.violations.add(Violation {
            kind: "syscall".into(),
            what: seccomp::name(told.number),
            detail,
            at_ms,
            pid,
            times: 1,
        });
        if self.refused >= MOST_REFUSED {
            self.violations.quota("refused-calls", "no longer listed one by one".into(), at_ms);
            self.listener = None;
        }
    }

    fn quotas(&mut self) -> u64 {
        let at_ms = self.at_ms();
        let kills = self.walls.cgroups.memory_kills();
        if kills > 0 || self.killed.is_some_and(|(why, _)| why == Ended::Memory) {
            self.violations.quota("memory", format!("more than {}", self.plan.limits.memory), at_ms);
        }
        let refused = self.walls.cgroups.pids_refused();
        if refused > 0 {
            self.violations.quota("pids", format!("more than {}, {refused} times", self.plan.limits.pids), at_ms);
        }
        if self.streams.passed.dropped > 0 {
            let detail = format!("{} bytes past {} were dropped", self.streams.passed.dropped, self.plan.limits.output);
            self.violations.quota("output", detail, at_ms);
        }
        if let Some(why) = &self.gpu_reason {
            self.violations.quota("gpu_memory", why.clone(), at_ms);
        }
        if self.killed.is_some_and(|(why, _)| why == Ended::Time) {
            self.violations.quota("time", format!("more than {}", self.plan.limits.timeout), at_ms);
        }
        kills
    }

    fn report(mut self) -> (ExitReport, Walls) {
        let wall_ms = self.at_ms();
        self.overhear();
        let kills = self.quotas();
        if let Some(error) = self.failed.take() {
            let mut report = ExitReport::not_started(&self.plan.profile, &error);
            report.wall_ms = wall_ms;
            return (report, self.walls);
        }
        let (mut outcome, mut code, signal, mut reason) = self.ending(kills);
        let mut files = Vec::new();
        if let (Some(out), Some(to)) = (self.out.take(), self.plan.out.as_ref()) {
            match collect::collect(self.plan, &out, to, &mut self.violations, wall_ms) {
                Ok(list) => files = list,
                Err(error) => {
                    reason = Some(format!("what is in /out could not be copied to {}: {error}", to.display()));
                    if outcome == Outcome::Exited && code == 0 {
                        (outcome, code) = (Outcome::Exited, 125);
                    }
                }
            }
        }
        if let Some((stream, why)) = self.streams.lost() {
            let detail = format!("could not be written, and the rest of it was dropped: {why}");
            self.violations.add(Violation {
                kind: "output".into(),
                what: stream.into(),
                detail: detail.clone(),
                at_ms: wall_ms,
                pid: None,
                times: 1,
            });
            if outcome == Outcome::Exited && code == 0 {
                (code, reason) = (125, Some(format!("{stream} {detail}")));
            }
        }
        let (cpu, resident) = sys::children_usage();
        let peak = self.walls.cgroups.peak_memory().unwrap_or(resident);
        let enforced = self.enforced();
        let network = self.proxy.take().map(|proxy| proxy.finish(&mut self.violations)).unwrap_or_default();
        let passed = self.streams.passed;
        let (violations, violations_dropped) = std::mem::take(&mut self.violations).finish();
        let report = ExitReport {
            schema: SCHEMA.into(),
            outcome,
            code,
            signal,
            wall_ms,
            cpu_ms: u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX),
            peak_memory_bytes: peak,
            enforced,
            violations,
            violations_dropped,
            output: passed,
            files,
            network,
            reason,
            profile: self.plan.profile.clone(),
        };
        (report, self.walls)
    }

    fn ending(&self, memory_kills: u64) -> (Outcome, i32, Option<i32>, Option<String>) {
        let status = self.status.map(rustix_status);
        match (self.killed, status) {
            (Some((Ended::Time, _)), _) => (
                Outcome::TimedOut,
                124,
                Some(libc::SIGKILL),
                Some(format!("still running after {}", self.plan.limits.timeout)),
            ),
            (Some((Ended::Memory, _)), _) => memory(self.plan),
            (Some((Ended::GpuMemory, _)), _) => (Outcome::Memory, 137, Some(libc::SIGKILL), self.gpu_reason.clone()),
            (_, None) if memory_kills > 0 => memory(self.plan),
            (_, Some((_, Some(libc::SIGKILL)) | (Some(137), _))) if memory_kills > 0 => memory(self.plan),
            (Some((Ended::Caller, _)), None) => {
                (Outcome::Signaled, 143, Some(libc::SIGKILL), Some("ended by the caller".into()))
            }
            (_, Some((Some(code), _))) => (Outcome::Exited, code, None, None),
            (_, Some((_, Some(signal)))) => (Outcome::Signaled, 128 + signal, Some(signal), None),
            (_, _) => {
                (Outcome::Signaled, 137, Some(libc::SIGKILL), Some("everything inside was killed from outside".into()))
            }
        }
    }

    fn enforced(&self) -> Enforced {
        let named = |what: &str, weaker: &str| self.walls.cgroups.named(what).unwrap_or(weaker).to_owned();
        Enforced {
            user_namespace: true,
            time_namespace: self.walls.time_namespace,
            network: if self.plan.hosts.is_empty() { "none".into() } else { "proxy".into() },
            seccomp: true,
            seccomp_notify: self.notify,
            landlock: self.plan.landlock.min(7),
            memory: named("memory", "watchdog"),
            pids: named("pids", "rlimit"),
            cpus: named("cpus", "affinity"),
            devices: named("devices", "nodes"),
            core_scheduling: self.core,
            gpu_memory: self.walls.gpu_memory.as_ref().map(|kept| kept.name().to_owned()),
        }
    }
}

fn memory(plan: &Plan) -> (Outcome, i32, Option<i32>, Option<String>) {
    (Outcome::Memory, 137, Some(libc::SIGKILL), Some(format!("used more than {} of memory", plan.limits.memory)))
}

/// A wait status as code or signal.
fn rustix_status(status: i32) -> (Option<i32>, Option<i32>) {
    if libc::WIFEXITED(status) { (Some(libc::WEXITSTATUS(status)), None) } else { (None, Some(libc::WTERMSIG(status))) }
}

pub(crate) fn failure(body: &[u8]) -> Error {
    let text = String::from_utf8_lossy(body).into_owned();
    match (text.get(..1), text.get(1..)) {
        (Some("n"), Some(why)) => Error::NotFound(why.into()),
        (Some("x"), Some(why)) => Error::NotExecutable(why.into()),
        (_, why) => Error::Request(why.unwrap_or_default().into()),
    }
}
