//! Starts a sandbox from a plan. The starting process becomes the supervisor. It must be small and have one thread: forking a large process is
//! slow, and forking one with threads is unsound.

use std::fs;
use std::os::fd::AsFd;
use std::time::Instant;

use super::sandbox::Sandbox;
use crate::cgroup::parents::CgroupVersion;
use crate::cgroup::quota::{self, Cgroups};
use crate::child::first_process::{self, ChildContext};
use crate::child::mounts;
use crate::gpu::memory;
use crate::plan::{ID_INSIDE, Plan};
use crate::sys::calls::{self, CloneResult};
use crate::sys::error::Error;
use crate::sys::process::{ProcessIdentity, is_single_threaded};
use crate::sys::wire;

/// CLONE_NEWTIME; libc does not define it for all targets.
const CLONE_NEWTIME: u64 = 0x80;

/// Starts a sandbox; steps inside that fail are reported on its socket. With `keep_mounts` the mounts stay until the sandbox is dropped. Otherwise
/// the first process removes them when it dies, and its exit is reported only after an RCU grace period.
pub(crate) fn start(plan: &Plan, keep_mounts: bool) -> Result<Sandbox, Error> {
    let started = Instant::now();
    if !is_single_threaded() {
        return Err(Error::setup("forking", "this process has several threads").with_hint("use a Launcher"));
    }
    let signals = calls::termination_signals().map_err(|e| Error::setup("blocking signals", e))?;
    let identity = ProcessIdentity::read();
    // A child is created in its cgroup of version 2. It enters those of version 1 later, and they are created while it builds the root.
    let cgroups = if uses_v2(plan) { Some(create_cgroups(plan, &identity)?) } else { None };
    let sources = if plan.as_root { Some(mounts::open_sources(plan)?) } else { None };
    let (socket, child_socket) = wire::socket_pair().map_err(|e| Error::setup("creating sockets", e))?;
    let time_namespace = fs::exists("/proc/self/ns/time").unwrap_or(false);
    match calls::clone3(namespaces(time_namespace), cgroups.as_ref().and_then(Cgroups::v2_fd))
        .map_err(|e| Error::namespace("creating namespaces", &e))?
    {
        CloneResult::Child => {
            // The supervisor removes the cgroups.
            std::mem::forget(cgroups);
            drop(socket);
            first_process::run(plan, ChildContext { socket: child_socket, sources, arguments: identity.arguments })
        }
        CloneResult::Parent { pid, pidfd } => {
            drop((child_socket, sources));
            calls::ignore_terminal_stops();
            // Opened before the child hides itself. Without it the mounts go with the first process.
            let mount_namespace = keep_mounts.then(|| fs::File::open(format!("/proc/{pid}/ns/mnt")).ok()).flatten();
            let sandbox = Sandbox {
                first_process: pidfd,
                first_pid: pid,
                mount_namespace,
                socket,
                cgroups: cgroups.unwrap_or_default(),
                signals,
                time_namespace,
                gpu_memory: None,
                started,
                reaped: false,
            };
            set_up(plan, sandbox, &identity)
        }
    }
}

/// Does the supervisor's part of the set-up, while the first process builds the root.
fn set_up(plan: &Plan, mut sandbox: Sandbox, identity: &ProcessIdentity) -> Result<Sandbox, Error> {
    let mapped =
        map_ids(plan, sandbox.first_pid).and_then(|()| sandbox.send(wire::MessageKind::IdMapWritten, &[], &[]));
    if let Err(error) = mapped {
        // If the child failed first, its own error says more.
        sandbox.kill();
        return Err(sandbox.reported_error().unwrap_or(error));
    }
    if !uses_v2(plan) {
        sandbox.cgroups = create_cgroups(plan, identity)?;
    }
    let tasks = sandbox.cgroups.tasks_fds().map_err(|e| Error::setup("opening cgroups", e))?;
    let tasks: Vec<_> = tasks.iter().map(AsFd::as_fd).collect();
    sandbox.send(wire::MessageKind::Cgroups, &[], &tasks)?;
    if let Some(gpu) = &plan.gpu {
        let cgroup = sandbox.cgroups.path_in_hierarchy();
        sandbox.gpu_memory = memory::enforce(gpu, sandbox.first_pid, cgroup.as_deref())?;
    }
    sandbox.cgroups.open_counters();
    quota::sweep(&plan.cgroup_parents, identity);
    Ok(sandbox)
}

fn uses_v2(plan: &Plan) -> bool {
    plan.cgroup_parents.version == Some(CgroupVersion::V2)
}

fn create_cgroups(plan: &Plan, identity: &ProcessIdentity) -> Result<Cgroups, Error> {
    Cgroups::create(&plan.cgroup_parents, &identity.new_run_name(), &plan.quota)
        .map_err(|e| Error::setup("creating cgroups", e))
}

/// The namespaces of the clone. The network namespace is not among them: it takes the kernel longest, so the child creates it while the
/// supervisor writes the id map.
fn namespaces(time_namespace: bool) -> u64 {
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    flags as u64 | if time_namespace { CLONE_NEWTIME } else { 0 }
}

fn map_ids(plan: &Plan, pid: i32) -> Result<(), Error> {
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/{pid}/{file}"), text).map_err(|e| Error::setup(format!("mapping ids ({file})"), e))
    };
    if !plan.as_root {
        // Required before an unprivileged user may map a group (user_namespaces(7)).
        write("setgroups", "deny".into())?;
    }
    write("gid_map", format!("{ID_INSIDE} {} 1", plan.outside_gid))?;
    write("uid_map", format!("{ID_INSIDE} {} 1", plan.outside_uid))
}
