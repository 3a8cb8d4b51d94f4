//! Inside: the straight line from a new process to the command. The first process of the namespaces builds the walls, gives up every right,
//! and then only reaps; its child puts on the last layers and becomes the command.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, WaitOptions};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::error::Error;
use crate::hole::Hole;
use crate::plan::{INSIDE_ID, Plan};
use crate::request::Command;
use crate::{landlock, mounts, proxy, seccomp, sys, wire};

/// What is known before the walls and used behind them.
pub(crate) struct Inside {
    pub(crate) socket: OwnedFd,
    pub(crate) sources: Option<Vec<Option<OwnedFd>>>,
    /// Where the kernel keeps this process's arguments and environment.
    pub(crate) arguments: (u64, u64),
}

fn at(step: &'static str) -> impl Fn(rustix::io::Errno) -> Error {
    move |e| Error::step(step, e)
}

/// The first process. Never returns.
pub(crate) fn first(plan: &Plan, inside: Inside) -> ! {
    let socket = match inside.socket.try_clone() {
        Ok(socket) => socket,
        Err(_) => sys::exit_now(125),
    };
    let code = match first_steps(plan, inside) {
        Ok(code) => code,
        Err(error) => fail(&socket, &error),
    };
    sys::exit_now(code)
}

/// Tells the supervisor which step failed.
fn fail(socket: &OwnedFd, error: &Error) -> ! {
    let body = match error {
        Error::NotFound(why) => format!("n{why}"),
        Error::NotExecutable(why) => format!("x{why}"),
        other => format!("s{other}"),
    };
    let _ = wire::tell(socket, wire::Kind::Failed, body.as_bytes());
    sys::exit_now(error.code())
}

fn first_steps(plan: &Plan, inside: Inside) -> Result<i32, Error> {
    let Inside { socket, sources, arguments } = inside;
    // A supervisor that is killed must take everything with it; set first, and again after ids change, since that clears it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(at("following the supervisor"))?;
    sys::unshare(libc::CLONE_NEWNET)
        .map_err(|e| Error::step("making a network namespace", crate::launcher::namespace_hint(&e)))?;
    // Ids mean nothing until the supervisor has written the map.
    match wire::receive(socket.as_fd()) {
        Ok(Some((wire::Kind::Go, _, _))) => {}
        _ => {
            return Err(Error::step("waiting for the id map", "the supervisor is gone"));
        }
    }
    sys::scrub_arguments(arguments.0, arguments.1);
    become_user(plan)?;
    let sources = match sources {
        Some(sources) => sources,
        None => mounts::open_sources(plan)?,
    };
    let out = mounts::build(plan, sources)?;
    check_readable(plan)?;
    enter_cgroups(&socket)?;
    // Not before: where each session has a share of the processors, a new one begins by waiting for its turn, unless a cgroup gives the share.
    rustix::process::setsid().map_err(at("leaving the terminal"))?;
    rustix::system::sethostname(b"sandbox").map_err(at("naming the host"))?;
    let proxy = if plan.hosts.is_empty() { None } else { Some(proxy::listen()?) };
    let core = u8::from(share_no_core());
    let mut fds = Vec::new();
    fds.extend(out.as_ref().map(AsFd::as_fd));
    fds.extend(proxy.as_ref().map(|(listener, _)| listener.as_fd()));
    wire::send(socket.as_fd(), wire::Kind::Ready, &[core], &fds).map_err(|e| Error::step("reporting", e))?;
    drop(fds);
    let port = proxy.map(|(_, port)| port);
    drop(out);
    renounce()?;
    // It uses this process's memory until it is the command: there is nothing to do here before that.
    let become_command = || -> i32 {
        match command(plan, &socket, port) {
            Err(error) => fail(&socket, &error),
            Ok(never) => match never {},
        }
    };
    let pid = sys::spawn_sharing(&become_command).map_err(|e| Error::step("making the command's process", e))?;
    reap(pid, &socket)
}

/// Before the command's process is made, so that it is born within. The supervisor makes the groups while the root is built here.
fn enter_cgroups(socket: &OwnedFd) -> Result<(), Error> {
    let Ok(Some((wire::Kind::Doors, _, doors))) = wire::receive(socket.as_fd()) else {
        return Err(Error::step("entering cgroups", "the supervisor is gone"));
    };
    for door in doors {
        rustix::io::write(&door, b"0").map_err(at("entering a cgroup"))?;
    }
    // Only now: the root of the namespace is where one stands when it is made.
    sys::unshare(libc::CLONE_NEWCGROUP).map_err(|e| Error::step("making a cgroup namespace", e))
}

/// The mapped user, no groups.
fn become_user(plan: &Plan) -> Result<(), Error> {
    let gid = Some(rustix::thread::Gid::from_raw(INSIDE_ID));
    let uid = Some(rustix::thread::Uid::from_raw(INSIDE_ID));
    if plan.as_root {
        rustix::thread::set_thread_groups(&[]).map_err(at("leaving groups"))?;
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(at("becoming the group inside"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(at("becoming the user inside"))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(at("following the supervisor"))?;
    // Unreadable to those inside, and traceable by none; after the id change, which may reset it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at("hiding the first process"))
}

/// An input that only root may read would fail later, inside, with a riddle.
fn check_readable(plan: &Plan) -> Result<(), Error> {
    for entry in &plan.entries {
        if let crate::plan::Kind::Bind { source, folder } = &entry.kind {
            let mut wanted = rustix::fs::Access::READ_OK;
            if *folder {
                wanted |= rustix::fs::Access::EXEC_OK;
            }
            if rustix::fs::access(&entry.dest, wanted).is_err() {
                let why =
                    format!("the user inside may not read it (chmod -R o+rX {}, or give a copy)", source.display());
                return Err(Error::step(format!("opening {}", source.display()), why));
            }
        }
    }
    Ok(())
}

/// Every capability, now and for whatever is executed.
fn renounce() -> Result<(), Error> {
    for capability in 0..64u32 {
        let Some(one) = CapabilitySet::from_bits(1 << capability) else {
            break;
        };
        // The first one that the kernel does not know ends the list.
        if rustix::thread::remove_capability_from_bounding_set(one).is_err() {
            break;
        }
    }
    rustix::thread::clear_ambient_capability_set().map_err(at("dropping ambient capabilities"))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(at("dropping capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(at("forgoing new privileges"))
}

/// Waits for all, tells of the one; when this returns, the kernel kills the rest.
fn reap(command: i32, socket: &OwnedFd) -> Result<i32, Error> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == command => {
                let body = status.as_raw().to_le_bytes();
                wire::tell(socket, wire::Kind::Ended, &body).map_err(|e| Error::step("reporting", e))?;
                return Ok(0);
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::step("waiting", error)),
        }
    }
}

/// The command's process, up to the moment it becomes the command. Where any program may be started, the last layers need not know which one
/// it will be: they are put on before the command is known, so that ready walls have only the exec before them.
fn command(plan: &Plan, socket: &OwnedFd, proxy_port: Option<u16>) -> Result<Infallible, Error> {
    rustix::process::setsid().map_err(at("making a session"))?;
    sys::default_signals().map_err(|e| Error::step("resetting signals", e))?;
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
    pin(plan)?;
    limit(plan)?;
    if !plan.allows(Hole::Rdtsc) {
        forbid_clock_register()?;
    }
    let early = plan.allows(Hole::ExecAny);
    if early {
        last_layers(plan, socket, None, proxy_port)?;
    }
    let Ok(Some((wire::Kind::Start, body, fds))) = wire::receive(socket.as_fd()) else {
        // A wall that was kept ready and not wanted.
        sys::exit_now(0);
    };
    let command: Command = serde_json::from_slice(&body).map_err(|e| Error::step("reading the command", e))?;
    let [input, output, errors] =
        <[OwnedFd; 3]>::try_from(fds).map_err(|_| Error::step("reading the command", "no streams"))?;
    rustix::stdio::dup2_stdin(&input).map_err(at("standard input"))?;
    rustix::stdio::dup2_stdout(&output).map_err(at("standard output"))?;
    rustix::stdio::dup2_stderr(&errors).map_err(at("standard error"))?;
    drop((input, output, errors));
    let workdir = command.workdir.as_deref().unwrap_or(Path::new("/tmp"));
    rustix::process::chdir(workdir).map_err(|e| Error::step(format!("entering {} inside", workdir.display()), e))?;
    let (program, mut executed) = prepare(plan, &command, proxy_port)?;
    if !early {
        last_layers(plan, socket, Some(&program), proxy_port)?;
    }
    sys::close_on_exec_from(3).map_err(|e| Error::step("closing descriptors", e))?;
    let error = executed.exec();
    let shown = program.display();
    Err(match error.raw_os_error() {
        Some(libc::ENOENT) => Error::NotFound(format!("{shown}: its interpreter is not inside")),
        _ => Error::NotExecutable(format!("{shown} cannot be executed: {error}")),
    })
}

/// Landlock before the filter: the filter need not allow more because of it.
fn last_layers(plan: &Plan, socket: &OwnedFd, program: Option<&Path>, proxy_port: Option<u16>) -> Result<(), Error> {
    landlock::enforce(plan, program, proxy_port)?;
    filter(plan, socket)
}

/// The command with its environment.
fn prepare(plan: &Plan, command: &Command, proxy_port: Option<u16>) -> Result<(PathBuf, std::process::Command), Error> {
    let Some((name, arguments)) = command.argv.split_first() else {
        return Err(Error::Request("no command was given".into()));
    };
    let path = plan.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let program = resolve(name, path.unwrap_or_default())?;
    let mut executed = std::process::Command::new(&program);
    executed.arg0(name).args(arguments).env_clear().envs(plan.env.iter().map(|(k, v)| (k, v)));
    if let Some(port) = proxy_port {
        let address = format!("http://127.0.0.1:{port}");
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            executed.env(name, &address);
        }
    }
    Ok((program, executed))
}

/// Finds a program as a shell does, and tells missing from not executable.
fn resolve(name: &OsStr, path: &OsStr) -> Result<PathBuf, Error> {
    let shown = name.to_string_lossy();
    let candidates: Vec<PathBuf> = if shown.contains('/') {
        vec![name.into()]
    } else {
        std::env::split_paths(path).map(|folder| folder.join(name)).collect()
    };
    let mut denied = false;
    for candidate in candidates {
        match std::fs::metadata(&candidate) {
            Ok(about) if about.is_file() && rustix::fs::access(&candidate, rustix::fs::Access::EXEC_OK).is_ok() => {
                return Ok(candidate);
            }
            Ok(_) => denied = true,
            Err(error) => denied |= error.kind() == std::io::ErrorKind::PermissionDenied,
        }
    }
    if denied {
        return Err(Error::NotExecutable(format!("{shown} is inside, but not an executable file")));
    }
    Err(Error::NotFound(format!(
        "{shown} is not inside the sandbox; what is not in the system's folders is made visible by --ro"
    )))
}

/// Asks that only our own run on the same core, where cores are shared by threads; other hosts have no such call. Called by the first
/// process, whose number inside is 1, and inherited from it.
fn share_no_core() -> bool {
    let scope = rustix::thread::CoreSchedulingScope::ThreadGroup;
    rustix::thread::create_core_scheduling_cookie(rustix::process::Pid::INIT, scope).is_ok()
}

/// The set that the profile names; the filter refuses to change it.
fn pin(plan: &Plan) -> Result<(), Error> {
    if plan.cpu_set.is_empty() {
        return Ok(());
    }
    let mut set = rustix::thread::CpuSet::new();
    plan.cpu_set.iter().for_each(|cpu| set.set(*cpu));
    rustix::thread::sched_setaffinity(None, &set).map_err(at("choosing processors"))
}

fn limit(plan: &Plan) -> Result<(), Error> {
    let limits = &plan.limits;
    let mut rows = vec![
        // One byte: at zero a piped core handler of the host would still be started.
        (Resource::Core, 1),
        (Resource::Nofile, limits.open_files),
        (Resource::Memlock, limits.locked_memory.0),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
        (Resource::Msgqueue, 1 << 20),
        (Resource::Sigpending, 4096),
        (Resource::Nproc, u64::from(limits.pids).saturating_add(1)),
    ];
    if plan.place.memory.is_none() {
        rows.push((Resource::As, limits.memory.0.saturating_mul(4)));
        rows.push((Resource::Data, limits.memory.0));
    }
    for (resource, most) in rows {
        let hard = rustix::process::getrlimit(resource).maximum.map_or(most, |own| own.min(most));
        let both = Rlimit { current: Some(hard), maximum: Some(hard) };
        rustix::process::setrlimit(resource, both).map_err(|e| Error::step(format!("limiting {resource:?}"), e))?;
    }
    Ok(())
}

#[cfg(target_arch = "x86_64")]
fn forbid_clock_register() -> Result<(), Error> {
    rustix::process::set_time_stamp_counter_readability(rustix::process::TimeStampCounterReadability::RaiseSIGSEGV)
        .map_err(at("closing the time stamp counter"))
}

#[cfg(not(target_arch = "x86_64"))]
fn forbid_clock_register() -> Result<(), Error> {
    Ok(())
}

/// The last layer. What is called after it on the way to the command, the filter allows.
fn filter(plan: &Plan, socket: &OwnedFd) -> Result<(), Error> {
    let gpu = plan.gpu.is_some();
    let network = !plan.hosts.is_empty();
    let open = |hole: &str| match hole {
        "network" => network,
        "any-ioctl" => gpu,
        name => plan.holes.iter().any(|hole| hole.name() == name),
    };
    let program = seccomp::compile(&open, true)?;
    match sys::seccomp(&program, true) {
        Ok(Some(listener)) => wire::send(socket.as_fd(), wire::Kind::Listener, &[], &[listener.as_fd()])
            .map_err(|e| Error::step("reporting", e)),
        // Only one process in a tree of filters may listen: inside another sandbox refused calls are refused in silence.
        _ => {
            let silent = seccomp::compile(&open, false)?;
            sys::seccomp(&silent, false).map(drop).map_err(|e| Error::step("seccomp", e))
        }
    }
}
