//! A sandbox with its first process, which waits for a command or runs one.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::process::{Signal, WaitId, WaitIdOptions};

use super::streams::ChildPipes;
use crate::cgroup::quota::Cgroups;
use crate::gpu::memory::ActiveQuota;
use crate::sys::error::Error;
use crate::sys::wire;

/// A sandbox. Dropping it kills its processes and removes its cgroups.
pub(crate) struct Sandbox {
    /// A pidfd of the first process.
    pub(crate) first_process: OwnedFd,
    pub(crate) first_pid: i32,
    /// Keeps the mount namespace, so that unmounting does not delay the exit of the first process.
    pub(crate) mount_namespace: Option<fs::File>,
    pub(crate) socket: OwnedFd,
    pub(crate) cgroups: Cgroups,
    /// A signalfd for the signals that request the end.
    pub(crate) signals: OwnedFd,
    pub(crate) time_namespace: bool,
    pub(crate) gpu_memory: Option<ActiveQuota>,
    pub(crate) started: Instant,
    /// Whether the first process ended and was waited for.
    pub(crate) reaped: bool,
}

/// What the first process reports when the sandbox is set up.
pub(crate) struct Ready {
    /// Whether core scheduling is in force.
    pub(crate) core_scheduling: bool,
    /// Descriptors of `/out` and of the proxy's listening socket, as far as the plan has them.
    pub(crate) fds: Vec<OwnedFd>,
}

impl Ready {
    pub(crate) fn from_message(message: wire::Message) -> Self {
        Self { core_scheduling: message.body == [1], fds: message.fds }
    }
}

impl Sandbox {
    /// Sends the command, as JSON, and its streams.
    pub(crate) fn send_command(&self, command: &[u8], pipes: ChildPipes) -> Result<(), Error> {
        let fds = [pipes.input.as_fd(), pipes.output.as_fd(), pipes.errors.as_fd()];
        self.send(wire::MessageKind::Command, command, &fds)
    }

    /// Sends a message. A closed socket is not an error here: a step inside has failed, and its error waits on the socket.
    pub(crate) fn send(&self, kind: wire::MessageKind, body: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        match wire::send(self.socket.as_fd(), kind, body, fds) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe && e.kind() != std::io::ErrorKind::ConnectionReset => {
                Err(Error::setup("sending to the sandbox", e))
            }
            _ => Ok(()),
        }
    }

    /// Waits until the sandbox is set up.
    pub(crate) fn wait_ready(&self) -> Result<Ready, Error> {
        match wire::receive(self.socket.as_fd()) {
            Ok(Some(message)) if message.kind == wire::MessageKind::Ready => Ok(Ready::from_message(message)),
            Ok(Some(message)) if message.kind == wire::MessageKind::Failed => Err(wire::parse_error(&message.body)),
            _ => Err(Error::setup("starting the sandbox", "the first process ended without a reason")),
        }
    }

    /// The error that a process inside reported, if any. Blocks unless those processes are dead.
    pub(crate) fn reported_error(&self) -> Option<Error> {
        let message = wire::receive(self.socket.as_fd()).ok().flatten()?;
        (message.kind == wire::MessageKind::Failed).then(|| wire::parse_error(&message.body))
    }

    /// Kills all processes: the kernel kills the others when the first process of a pid namespace dies.
    pub(crate) fn kill(&self) {
        if !self.reaped {
            let _ = rustix::process::pidfd_send_signal(&self.first_process, Signal::KILL);
            self.cgroups.kill();
        }
    }

    /// Waits for the end of the first process, which is the end of all.
    pub(crate) fn reap(&mut self) {
        if !self.reaped {
            let wait = || rustix::process::waitid(WaitId::PidFd(self.first_process.as_fd()), WaitIdOptions::EXITED);
            while wait().is_err_and(|error| error == rustix::io::Errno::INTR) {}
            self.reaped = true;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill();
        self.reap();
        // Before the cgroups: the content of /tmp is charged to them.
        self.mount_namespace = None;
    }
}
