//! The first process of the namespaces (PID 1): it builds the root, drops all privileges, starts the command, and reaps processes until the
//! command ends. The order of its steps is the order of this file.

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{DumpableBehavior, Signal, WaitOptions};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{command, mounts};
use crate::plan::{ID_INSIDE, Plan};
use crate::policy::mount_entry::MountKind;
use crate::proxy::listener;
use crate::sys::error::Error;
use crate::sys::{calls, wire};

/// What the first process inherits from the supervisor.
pub(crate) struct ChildContext {
    pub(crate) socket: OwnedFd,
    /// The sources of the mounts, when root opened them before the clone.
    pub(crate) sources: Option<mounts::Sources>,
    /// The addresses of this process's arguments and environment.
    pub(crate) arguments: (u64, u64),
}

/// Runs the first process. Never returns.
pub(crate) fn run(plan: &Plan, context: ChildContext) -> ! {
    let socket = match context.socket.try_clone() {
        Ok(socket) => socket,
        Err(_) => calls::exit_now(125),
    };
    let code = match steps(plan, context) {
        Ok(code) => code,
        Err(error) => exit_with(&socket, &error),
    };
    calls::exit_now(code)
}

/// Reports an error to the supervisor, and exits.
fn exit_with(socket: &OwnedFd, error: &Error) -> ! {
    let _ = wire::send_error(socket, error);
    calls::exit_now(error.code())
}

fn steps(plan: &Plan, context: ChildContext) -> Result<i32, Error> {
    let ChildContext { socket, sources, arguments } = context;
    // The kernel kills this process with the supervisor. A change of ids clears the setting, so `become_user` repeats it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(Error::in_step("following the supervisor"))?;
    calls::unshare(libc::CLONE_NEWNET).map_err(|e| Error::namespace("creating a network namespace", &e))?;
    expect(&socket, wire::MessageKind::IdMapWritten, "waiting for the id map")?;
    calls::scrub_arguments(arguments.0, arguments.1);
    become_user(plan)?;
    let sources = match sources {
        Some(sources) => sources,
        None => mounts::open_sources(plan)?,
    };
    let out = mounts::build_root(plan, sources)?;
    check_readable(plan)?;
    enter_cgroups(&socket)?;
    // After the cgroups: with autogroup scheduling a new session waits for its turn, unless a cgroup determines its share.
    rustix::process::setsid().map_err(Error::in_step("leaving the terminal"))?;
    rustix::system::sethostname(b"sandbox").map_err(Error::in_step("setting the host name"))?;
    let proxy = if plan.hosts.is_empty() { None } else { Some(listener::listen()?) };
    report_ready(&socket, out.as_ref(), proxy.as_ref().map(|(listener, _)| listener))?;
    let port = proxy.map(|(_, port)| port);
    drop(out);
    drop_privileges()?;
    // The child shares this process's memory until it executes the command, and this process waits meanwhile.
    let become_command = || -> i32 {
        match command::run(plan, &socket, port) {
            Err(error) => exit_with(&socket, &error),
            Ok(never) => match never {},
        }
    };
    let pid =
        calls::spawn_sharing_memory(&become_command).map_err(|e| Error::setup("starting the command's process", e))?;
    reap(pid, &socket)
}

fn expect(socket: &OwnedFd, kind: wire::MessageKind, step: &str) -> Result<Vec<OwnedFd>, Error> {
    match wire::receive(socket.as_fd()) {
        Ok(Some(message)) if message.kind == kind => Ok(message.fds),
        _ => Err(Error::setup(step, "the supervisor has ended")),
    }
}

fn report_ready(socket: &OwnedFd, out: Option<&OwnedFd>, listener: Option<&OwnedFd>) -> Result<(), Error> {
    let core_scheduling = u8::from(enable_core_scheduling());
    let fds: Vec<_> = out.into_iter().chain(listener).map(AsFd::as_fd).collect();
    wire::send(socket.as_fd(), wire::MessageKind::Ready, &[core_scheduling], &fds)
        .map_err(|e| Error::setup("reporting to the supervisor", e))
}

/// Enters the cgroups before the command's process is created, so that it starts inside them. The supervisor creates them while the root is built.
fn enter_cgroups(socket: &OwnedFd) -> Result<(), Error> {
    for tasks in expect(socket, wire::MessageKind::Cgroups, "entering cgroups")? {
        rustix::io::write(&tasks, b"0").map_err(Error::in_step("entering a cgroup"))?;
    }
    // After entering: the namespace's root is the cgroup at the time of its creation.
    calls::unshare(libc::CLONE_NEWCGROUP).map_err(|e| Error::setup("creating a cgroup namespace", e))
}

/// Becomes the mapped user, without supplementary groups.
fn become_user(plan: &Plan) -> Result<(), Error> {
    let gid = Some(rustix::thread::Gid::from_raw(ID_INSIDE));
    let uid = Some(rustix::thread::Uid::from_raw(ID_INSIDE));
    if plan.as_root {
        rustix::thread::set_thread_groups(&[]).map_err(Error::in_step("dropping supplementary groups"))?;
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(Error::in_step("setting the group id"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(Error::in_step("setting the user id"))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(Error::in_step("following the supervisor"))?;
    // Hides `/proc/1` from the command and forbids tracing it; after the change of ids, which may reset it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Error::in_step("hiding the first process"))
}

/// Refuses inputs that the user inside cannot read; the command would fail later, without a reason.
fn check_readable(plan: &Plan) -> Result<(), Error> {
    for entry in &plan.entries {
        if let MountKind::Bind { source, is_folder } = &entry.kind {
            let mut access = rustix::fs::Access::READ_OK;
            if *is_folder {
                access |= rustix::fs::Access::EXEC_OK;
            }
            if rustix::fs::access(&entry.dest, access).is_err() {
                let source = source.display();
                let error = Error::setup(format!("opening {source}"), "the user inside may not read it");
                return Err(error.with_hint(format!("chmod -R o+rX {source}, or provide a copy")));
            }
        }
    }
    Ok(())
}

/// Creates a core-scheduling cookie, so that no other program runs on the same core at the same time. Returns false where the kernel or the
/// processor has no core scheduling. The command inherits the cookie from this process, whose id inside is 1.
fn enable_core_scheduling() -> bool {
    let scope = rustix::thread::CoreSchedulingScope::ThreadGroup;
    rustix::thread::create_core_scheduling_cookie(rustix::process::Pid::INIT, scope).is_ok()
}

/// Drops all capabilities, for this process and everything that it executes.
fn drop_privileges() -> Result<(), Error> {
    for capability in 0..64u32 {
        let Some(one) = CapabilitySet::from_bits(1 << capability) else {
            break;
        };
        // Fails for the first capability that the kernel does not know.
        if rustix::thread::remove_capability_from_bounding_set(one).is_err() {
            break;
        }
    }
    rustix::thread::clear_ambient_capability_set().map_err(Error::in_step("dropping ambient capabilities"))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(Error::in_step("dropping capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(Error::in_step("setting no_new_privs"))
}

/// Reaps processes until the command ends, and reports its wait status. When this process then exits, the kernel kills all others.
fn reap(command: i32, socket: &OwnedFd) -> Result<i32, Error> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == command => {
                let body = status.as_raw().to_le_bytes();
                wire::send_body(socket, wire::MessageKind::Exited, &body)
                    .map_err(|e| Error::setup("reporting to the supervisor", e))?;
                return Ok(0);
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::setup("waiting for the command", error)),
        }
    }
}
