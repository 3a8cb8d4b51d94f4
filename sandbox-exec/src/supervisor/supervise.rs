//! Supervision of a run: one loop in one thread that passes the streams, records violations, enforces the limits, and reports at the end.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::time::Timespec;

use super::audit::Audit;
use super::poll_set::{PollEvent, PollSet};
use super::report::{EndedRun, Protections};
use super::sandbox::{Ready, Sandbox};
use super::streams::Streams;
use super::watchdog::{self, Kill, KillReason};
use crate::child::syscall_name;
use crate::plan::Plan;
use crate::policy::exit_report::{ExitReport, Violation, Violations};
use crate::proxy::server::{self, Proxy};
use crate::sys::error::Error;
use crate::sys::{calls, process_tree, wire};

/// After this many denied calls the listener is closed, and the kernel answers further ones with ENOSYS without the supervisor.
const MAX_DENIED_CALLS: u64 = 10_000;
/// The first Landlock ABI that logs denials to audit.
const FIRST_LOGGING_ABI: u32 = 7;

struct Supervisor<'a> {
    plan: &'a Plan,
    sandbox: Sandbox,
    streams: Streams,
    /// The socket of the caller; its end requests the end of the run.
    caller: Option<&'a OwnedFd>,
    /// Whether the sandbox may still send messages.
    socket_open: bool,
    denials: Denials,
    protections: Protections,
    /// A descriptor of `/out`.
    out: Option<OwnedFd>,
    proxy: Option<Proxy>,
    ending: Ending,
}

/// The sources of denied actions, and what they reported.
struct Denials {
    listener: Option<OwnedFd>,
    audit: Option<Audit>,
    violations: Violations,
    syscalls: u64,
}

/// How the run ends.
#[derive(Default)]
struct Ending {
    /// The wait status of the command.
    status: Option<i32>,
    /// A step inside that failed.
    failure: Option<Error>,
    kill: Option<Kill>,
}

/// Supervises a run to its end. `ready` is the report of a sandbox that was already waited for. Returns the sandbox too, since dropping it takes
/// time for which a caller that waits for the report need not wait.
pub(crate) fn supervise(
    plan: &Plan,
    sandbox: Sandbox,
    streams: Streams,
    caller: Option<&OwnedFd>,
    ready: Option<Ready>,
) -> (ExitReport, Sandbox) {
    // Only root may receive audit records.
    let has_audit = plan.as_root && plan.landlock_abi >= FIRST_LOGGING_ABI;
    let mut supervisor = Supervisor {
        plan,
        sandbox,
        streams,
        caller,
        socket_open: true,
        denials: Denials {
            listener: None,
            audit: has_audit.then(Audit::listen).flatten(),
            violations: Violations::default(),
            syscalls: 0,
        },
        protections: Protections::default(),
        out: None,
        proxy: None,
        ending: Ending::default(),
    };
    if let Some(ready) = ready {
        supervisor.on_sandbox_ready(ready);
    }
    while !supervisor.is_over() {
        supervisor.poll_once();
    }
    supervisor.finish()
}

impl Supervisor<'_> {
    fn is_over(&self) -> bool {
        let ending = &self.ending;
        let no_more_output = self.streams.is_finished()
            || ending.failure.is_some()
            || ending.kill.as_ref().is_some_and(Kill::is_drained);
        self.sandbox.reaped && !self.socket_open && no_more_output
    }

    /// Milliseconds since the start.
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.sandbox.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for events once and handles them, then checks the limits.
    fn poll_once(&mut self) {
        let timeout = watchdog::poll_timeout(self.plan, &self.sandbox, self.ending.kill.as_ref());
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut end_requested = false;
        for event in self.poll_set().wait(timeout.as_ref()) {
            match event {
                PollEvent::DeniedSyscall => self.deny_syscall(),
                // A closed listener would be reported by every poll.
                PollEvent::ListenerClosed => self.denials.listener = None,
                PollEvent::Message => self.read_message(),
                PollEvent::AuditRecord => self.read_audit(),
                PollEvent::Stream(stream) => self.streams.step(stream),
                PollEvent::FirstProcessExit => {
                    self.sandbox.reap();
                    self.streams.close_input();
                }
                PollEvent::EndRequest => end_requested = true,
            }
        }
        self.enforce_limits(end_requested);
    }

    fn poll_set(&self) -> PollSet<'_> {
        let mut set = PollSet::default();
        let input = PollFlags::IN;
        if let Some(listener) = &self.denials.listener {
            set.add(PollEvent::DeniedSyscall, listener.as_fd(), input);
        }
        if self.socket_open {
            set.add(PollEvent::Message, self.sandbox.socket.as_fd(), input);
        }
        if let Some(audit) = &self.denials.audit {
            set.add(PollEvent::AuditRecord, audit.as_fd(), input);
        }
        for (stream, fd, flags) in self.streams.interests() {
            set.add(PollEvent::Stream(stream), fd, flags);
        }
        if !self.sandbox.reaped {
            set.add(PollEvent::FirstProcessExit, self.sandbox.first_process.as_fd(), input);
        }
        set.add(PollEvent::EndRequest, self.sandbox.signals.as_fd(), input);
        if let Some(caller) = self.caller {
            set.add(PollEvent::EndRequest, caller.as_fd(), input);
        }
        set
    }

    fn enforce_limits(&mut self, end_requested: bool) {
        if self.ending.kill.is_some() || (self.sandbox.reaped && !end_requested) {
            return;
        }
        let reason = if end_requested {
            Some(KillReason::Requested)
        } else {
            watchdog::exceeded_limit(self.plan, &self.sandbox)
        };
        if let Some(reason) = reason {
            self.sandbox.kill();
            self.ending.kill = Some(Kill::new(reason));
        }
    }

    fn on_sandbox_ready(&mut self, ready: Ready) {
        self.protections.core_scheduling = ready.core_scheduling;
        let mut fds = ready.fds.into_iter();
        self.out = self.plan.out.as_ref().and_then(|_| fds.next());
        self.proxy = fds.next().map(|listener| server::serve(listener, self.plan, self.sandbox.started));
    }

    /// Reads a message of the sandbox; any failure counts as its end.
    fn read_message(&mut self) {
        let Ok(Some(mut message)) = wire::receive(self.sandbox.socket.as_fd()) else {
            self.socket_open = false;
            return;
        };
        match message.kind {
            wire::MessageKind::Ready => self.on_sandbox_ready(Ready::from_message(message)),
            wire::MessageKind::SeccompListener => {
                self.denials.listener = message.fds.pop();
                self.protections.reports_denied_calls = true;
                // The sender has just restricted itself with Landlock.
                if let Some(audit) = &mut self.denials.audit {
                    audit.expect_children_of(self.sandbox.first_pid);
                }
            }
            wire::MessageKind::Failed => self.ending.failure = Some(wire::parse_error(&message.body)),
            wire::MessageKind::Exited => self.ending.status = message.body.try_into().ok().map(i32::from_le_bytes),
            // These are never sent from inside.
            wire::MessageKind::Request
            | wire::MessageKind::IdMapWritten
            | wire::MessageKind::Cgroups
            | wire::MessageKind::Command
            | wire::MessageKind::Report => {}
        }
    }

    /// Records what Landlock denied.
    fn read_audit(&mut self) {
        let at_ms = self.elapsed_ms();
        let Some(audit) = &mut self.denials.audit else { return };
        for denied in audit.read_denials() {
            self.denials.violations.add(Violation::new("landlock", denied.what, denied.rights, at_ms));
        }
    }

    /// Denies and records a system call.
    fn deny_syscall(&mut self) {
        let Some(listener) = &self.denials.listener else {
            return;
        };
        let denied = match calls::seccomp_receive(listener.as_fd()) {
            Ok(denied) => denied,
            Err(error) => {
                // ENOENT: the calling thread died meanwhile. Other errors: no process with the filter is left.
                if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) {
                    self.denials.listener = None;
                }
                return;
            }
        };
        // Before the answer, after which the process may be gone.
        let pid = process_tree::innermost_pid(denied.pid);
        let _ = calls::seccomp_deny(listener.as_fd(), denied.id, libc::EPERM);
        let arguments: Vec<String> = denied.arguments.iter().map(|argument| format!("{argument:#x}")).collect();
        let detail = format!("({})", arguments.join(", "));
        let at_ms = self.elapsed_ms();
        let violation = Violation::new("syscall", syscall_name(denied.number), detail, at_ms);
        self.denials.violations.add(Violation { pid, ..violation });
        self.denials.syscalls += 1;
        if self.denials.syscalls >= MAX_DENIED_CALLS {
            self.denials.violations.add_quota("refused-calls", "no longer listed one by one".into(), at_ms);
            self.denials.listener = None;
        }
    }

    fn finish(mut self) -> (ExitReport, Sandbox) {
        let wall_ms = self.elapsed_ms();
        self.read_audit();
        let report = EndedRun {
            plan: self.plan,
            sandbox: &self.sandbox,
            streams: &self.streams,
            protections: self.protections,
            status: self.ending.status,
            failure: self.ending.failure,
            kill: self.ending.kill.map(|kill| kill.reason),
            out: self.out,
            proxy: self.proxy,
            violations: self.denials.violations,
            wall_ms,
        }
        .into_report();
        (report, self.sandbox)
    }
}
