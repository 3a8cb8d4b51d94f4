//! From a plan to a process inside walls. The process that does this becomes the supervisor; it is small and has one thread, since a fork of
//! a large one is slow and of a threaded one unsound.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::process::{Signal, WaitId, WaitIdOptions};

use crate::cgroup::{self, Cgroups};
use crate::cgroup_place::Version;
use crate::child::{self, Inside};
use crate::error::Error;
use crate::gpu_memory;
use crate::mounts;
use crate::plan::{INSIDE_ID, Plan};
use crate::streams::Ends;
use crate::supervise::Ready;
use crate::{sys, wire};

/// Walls that stand, with a process inside that waits for its command.
pub(crate) struct Walls {
    pub(crate) first: OwnedFd,
    pub(crate) first_pid: i32,
    /// The mount namespace.
    pub(crate) mounts: Option<fs::File>,
    pub(crate) socket: OwnedFd,
    pub(crate) cgroups: Cgroups,
    pub(crate) signals: OwnedFd,
    pub(crate) time_namespace: bool,
    pub(crate) gpu_memory: Option<gpu_memory::Kept>,
    pub(crate) since: Instant,
    pub(crate) reaped: bool,
}

/// Not in libc's constants for all targets; shares its bit with the exit signal of clone, which clone3 does not.
const NEWTIME: u64 = 0x80;

/// Starts building. What fails inside is told on the socket. With `linger` the mounts stay until the walls are dropped: otherwise they are
/// taken down while the first process dies, and the kernel then waits for every processor before anyone is told that it is dead.
pub(crate) fn start(plan: &Plan, linger: bool) -> Result<Walls, Error> {
    let since = Instant::now();
    if !single_threaded() {
        return Err(Error::step("forking", "this process has several threads; use the launcher"));
    }
    let signals = sys::signals_as_descriptor().map_err(|e| Error::step("taking signals", e))?;
    let own = cgroup::Own::look();
    let make = || Cgroups::make(&plan.place, &own.name(), &plan.quota).map_err(|e| Error::step("making cgroups", e));
    // A child is born into cgroups of version 2; those of version 1 it enters later, and they are made while it builds.
    let born_into = if plan.place.version == Some(Version::Two) { Some(make()?) } else { None };
    let sources = if plan.as_root { Some(mounts::open_sources(plan)?) } else { None };
    let (socket, inner) = wire::pair().map_err(|e| Error::step("making sockets", e))?;
    let time_namespace = fs::exists("/proc/self/ns/time").unwrap_or(false);
    // Not the network: it takes the kernel longest, so the child makes it itself, while the id map is written out here.
    let mut flags =
        (libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS) as u64;
    if time_namespace {
        flags |= NEWTIME;
    }
    match sys::clone3(flags, born_into.as_ref().and_then(Cgroups::unified))
        .map_err(|e| Error::step("making namespaces", namespace_hint(&e)))?
    {
        sys::Side::Child => {
            // Ours are the supervisor's to close and remove.
            std::mem::forget(born_into);
            drop(socket);
            child::first(plan, Inside { socket: inner, sources, arguments: own.arguments })
        }
        sys::Side::Parent { pid, pidfd } => {
            drop((inner, sources));
            sys::ignore_terminal_stops();
            let cgroups = born_into.unwrap_or_default();
            // Before the child goes on and hides itself. Where it cannot be had, the mounts go with the first process.
            let mounts = linger.then(|| fs::File::open(format!("/proc/{pid}/ns/mnt")).ok()).flatten();
            let mut walls = Walls {
                mounts,
                first: pidfd,
                first_pid: pid,
                socket,
                cgroups,
                signals,
                time_namespace,
                gpu_memory: None,
                since,
                reaped: false,
            };
            let begun = map_ids(plan, pid).and_then(|()| walls.tell_or_listen(wire::Kind::Go, &[], &[]));
            if let Err(error) = begun {
                // The child may have died of a reason of its own, which says more than that it could not be reached.
                walls.kill();
                return Err(walls.last_words().unwrap_or(error));
            }
            if plan.place.version != Some(Version::Two) {
                walls.cgroups = make()?;
            }
            let doors = walls.cgroups.doors().map_err(|e| Error::step("opening cgroups", e))?;
            let fds: Vec<_> = doors.iter().map(AsFd::as_fd).collect();
            walls.tell_or_listen(wire::Kind::Doors, &[], &fds)?;
            if let Some(gpu) = &plan.gpu {
                walls.gpu_memory = gpu_memory::keep(gpu, pid, walls.cgroups.name_in_hierarchy().as_deref())?;
            }
            walls.cgroups.open_counters();
            cgroup::sweep(&plan.place, &own);
            Ok(walls)
        }
    }
}

impl Walls {
    /// Gives the process inside its command, as JSON, and its streams.
    pub(crate) fn release(&self, command: &[u8], ends: Ends) -> Result<(), Error> {
        let fds = [ends.input.as_fd(), ends.output.as_fd(), ends.errors.as_fd()];
        self.tell_or_listen(wire::Kind::Start, command, &fds)
    }

    /// When a step inside has failed, nobody reads any more: the reason is waiting on the socket.
    fn tell_or_listen(&self, kind: wire::Kind, body: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        match wire::send(self.socket.as_fd(), kind, body, fds) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe && e.kind() != std::io::ErrorKind::ConnectionReset => {
                Err(Error::step("talking to those inside", e))
            }
            _ => Ok(()),
        }
    }

    /// Waits until the walls stand, for those who build them ahead of a command; hands back the descriptors that come with it.
    pub(crate) fn await_ready(&mut self) -> Result<Ready, Error> {
        match wire::receive(self.socket.as_fd()) {
            Ok(Some((wire::Kind::Ready, body, fds))) => Ok(Ready { core: body == [1], fds }),
            Ok(Some((wire::Kind::Failed, body, _))) => Err(crate::supervise::failure(&body)),
            _ => Err(Error::step("building the walls", "the first process ended without a reason")),
        }
    }

    /// Why those inside failed, when they did. Only after they are dead or killed, or this waits.
    fn last_words(&self) -> Option<Error> {
        match wire::receive(self.socket.as_fd()) {
            Ok(Some((wire::Kind::Failed, body, _))) => Some(crate::supervise::failure(&body)),
            _ => None,
        }
    }

    /// Kills everything inside: the kernel does it when the first process of a pid namespace dies.
    pub(crate) fn kill(&self) {
        if !self.reaped {
            let _ = rustix::process::pidfd_send_signal(&self.first, Signal::KILL);
            self.cgroups.kill();
        }
    }

    /// Takes note of the end of the first process, which is the end of all.
    pub(crate) fn reap(&mut self) {
        if !self.reaped {
            let ended = || rustix::process::waitid(WaitId::PidFd(self.first.as_fd()), WaitIdOptions::EXITED);
            while ended().is_err_and(|error| error == rustix::io::Errno::INTR) {}
            self.reaped = true;
        }
    }
}

impl Drop for Walls {
    fn drop(&mut self) {
        self.kill();
        self.reap();
        // Before the cgroups, to which what is in /tmp is charged.
        self.mounts = None;
    }
}

/// One entry beside `.` and `..` in the folder of threads.
pub(crate) fn single_threaded() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self/task").is_ok_and(|about| about.nlink() == 3)
}

fn map_ids(plan: &Plan, pid: i32) -> Result<(), Error> {
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/{pid}/{file}"), text).map_err(|e| Error::step(format!("mapping ids ({file})"), e))
    };
    if !plan.as_root {
        // The kernel demands this of a user who maps a group of his own.
        write("setgroups", "deny".into())?;
    }
    write("gid_map", format!("{INSIDE_ID} {} 1", plan.outside_gid))?;
    write("uid_map", format!("{INSIDE_ID} {} 1", plan.outside_uid))
}

pub(crate) fn namespace_hint(error: &std::io::Error) -> String {
    let mend = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "user namespaces are forbidden here: see kernel.apparmor_restrict_unprivileged_userns and kernel.unprivileged_userns_clone, run as root, or allow it for this program"
        }
        Some(libc::ENOSPC | libc::EUSERS) => "too many namespaces: raise user.max_user_namespaces and its neighbours",
        Some(libc::ENOSYS) => "this kernel or the container's filter has no clone3",
        Some(libc::EAGAIN) => "the limit of processes is reached",
        _ => "see modelscan run --doctor",
    };
    format!("{error}; {mend}")
}
