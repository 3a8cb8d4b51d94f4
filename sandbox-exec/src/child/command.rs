//! The command's process, up to the exec.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit};

use super::{landlock, seccomp};
use crate::plan::Plan;
use crate::policy::permission::Permission;
use crate::policy::request::Command;
use crate::sys::error::Error;
use crate::sys::{calls, wire};

/// Restricts this process, receives the command and executes it. Where any program may be executed, Landlock and seccomp do not depend on the
/// command, so they are applied before it is known: a prepared sandbox then has only the exec left to do.
pub(super) fn run(plan: &Plan, socket: &OwnedFd, proxy_port: Option<u16>) -> Result<Infallible, Error> {
    rustix::process::setsid().map_err(Error::in_step("creating a session"))?;
    calls::reset_signals().map_err(|e| Error::setup("resetting signals", e))?;
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
    set_affinity(plan)?;
    apply_rlimits(plan)?;
    if !plan.allows(Permission::Rdtsc) {
        forbid_time_stamp_counter()?;
    }
    let restricts_early = plan.allows(Permission::ExecAny);
    if restricts_early {
        restrict(plan, socket, None, proxy_port)?;
    }
    let command = receive_command(socket)?;
    let workdir = command.workdir.as_deref().unwrap_or(Path::new("/tmp"));
    rustix::process::chdir(workdir).map_err(|e| Error::setup(format!("entering {} inside", workdir.display()), e))?;
    let (program, mut executed) = prepare(plan, &command, proxy_port)?;
    if !restricts_early {
        restrict(plan, socket, Some(&program), proxy_port)?;
    }
    calls::close_on_exec_from(3).map_err(|e| Error::setup("closing descriptors", e))?;
    let error = executed.exec();
    let shown = program.display().to_string();
    Err(match error.raw_os_error() {
        Some(libc::ENOENT) => {
            Error::NotFound { program: shown, reason: "its interpreter is not inside".into(), hint: String::new() }
        }
        _ => Error::NotExecutable { program: shown, reason: format!("cannot be executed: {error}") },
    })
}

/// Waits for the command, and makes its three streams the standard streams.
fn receive_command(socket: &OwnedFd) -> Result<Command, Error> {
    let message = match wire::receive(socket.as_fd()) {
        Ok(Some(message)) if message.kind == wire::MessageKind::Command => message,
        // A prepared sandbox that was not used.
        _ => calls::exit_now(0),
    };
    let command = serde_json::from_slice(&message.body).map_err(|e| Error::setup("reading the command", e))?;
    let [input, output, errors] =
        <[OwnedFd; 3]>::try_from(message.fds).map_err(|_| Error::setup("reading the command", "no streams"))?;
    rustix::stdio::dup2_stdin(&input).map_err(Error::in_step("setting standard input"))?;
    rustix::stdio::dup2_stdout(&output).map_err(Error::in_step("setting standard output"))?;
    rustix::stdio::dup2_stderr(&errors).map_err(Error::in_step("setting standard error"))?;
    Ok(command)
}

/// Applies Landlock, then seccomp: in this order the filter need not allow the calls of Landlock.
fn restrict(plan: &Plan, socket: &OwnedFd, program: Option<&Path>, proxy_port: Option<u16>) -> Result<(), Error> {
    landlock::enforce(plan, program, proxy_port)?;
    install_filter(plan, socket)
}

/// The command with its environment.
fn prepare(plan: &Plan, command: &Command, proxy_port: Option<u16>) -> Result<(PathBuf, std::process::Command), Error> {
    let Some((name, arguments)) = command.argv.split_first() else {
        return Err(Error::request("command", "no command was given"));
    };
    let path = plan.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let program = find_program(name, path.unwrap_or_default())?;
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

/// Finds a program as a shell does: a name with a slash is a path, all others are searched in `path`.
fn find_program(name: &OsStr, path: &OsStr) -> Result<PathBuf, Error> {
    let shown = name.to_string_lossy();
    let candidates: Vec<PathBuf> = if shown.contains('/') {
        vec![name.into()]
    } else {
        std::env::split_paths(path).map(|folder| folder.join(name)).collect()
    };
    let mut exists = false;
    for candidate in candidates {
        match std::fs::metadata(&candidate) {
            Ok(metadata)
                if metadata.is_file() && rustix::fs::access(&candidate, rustix::fs::Access::EXEC_OK).is_ok() =>
            {
                return Ok(candidate);
            }
            Ok(_) => exists = true,
            Err(error) => exists |= error.kind() == std::io::ErrorKind::PermissionDenied,
        }
    }
    if exists {
        return Err(Error::NotExecutable {
            program: shown.into_owned(),
            reason: "exists inside, but is not an executable file".into(),
        });
    }
    Err(Error::NotFound {
        program: shown.into_owned(),
        reason: "not inside the sandbox".into(),
        hint: "use --ro for programs outside of the system's folders".into(),
    })
}

/// Sets the affinity of the plan; the seccomp filter denies changing it.
fn set_affinity(plan: &Plan) -> Result<(), Error> {
    if plan.cpu_set.is_empty() {
        return Ok(());
    }
    let mut set = rustix::thread::CpuSet::new();
    plan.cpu_set.iter().for_each(|cpu| set.set(*cpu));
    rustix::thread::sched_setaffinity(None, &set).map_err(Error::in_step("setting the affinity"))
}

fn apply_rlimits(plan: &Plan) -> Result<(), Error> {
    let limits = &plan.limits;
    let mut rows = vec![
        // One byte: with 0 the kernel would still start a core handler of the host that reads from a pipe (core(5)).
        (Resource::Core, 1),
        (Resource::Nofile, limits.open_files),
        (Resource::Memlock, limits.locked_memory.0),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
        (Resource::Msgqueue, 1 << 20),
        (Resource::Sigpending, 4096),
        (Resource::Nproc, u64::from(limits.pids).saturating_add(1)),
    ];
    if plan.cgroup_parents.memory.is_none() {
        rows.push((Resource::As, limits.memory.0.saturating_mul(4)));
        rows.push((Resource::Data, limits.memory.0));
    }
    for (resource, limit) in rows {
        let hard = rustix::process::getrlimit(resource).maximum.map_or(limit, |own| own.min(limit));
        let both = Rlimit { current: Some(hard), maximum: Some(hard) };
        rustix::process::setrlimit(resource, both).map_err(|e| Error::setup(format!("limiting {resource:?}"), e))?;
    }
    Ok(())
}

#[cfg(target_arch = "x86_64")]
fn forbid_time_stamp_counter() -> Result<(), Error> {
    rustix::process::set_time_stamp_counter_readability(rustix::process::TimeStampCounterReadability::RaiseSIGSEGV)
        .map_err(Error::in_step("forbidding the time stamp counter"))
}

#[cfg(not(target_arch = "x86_64"))]
fn forbid_time_stamp_counter() -> Result<(), Error> {
    Ok(())
}

/// Installs the seccomp filter, the last restriction. The filter allows the calls from here to the exec.
fn install_filter(plan: &Plan, socket: &OwnedFd) -> Result<(), Error> {
    let gpu = plan.gpu.is_some();
    let network = !plan.hosts.is_empty();
    let is_granted = |condition: &str| match condition {
        "network" => network,
        "any-ioctl" => gpu,
        name => plan.permissions.iter().any(|permission| permission.name() == name),
    };
    let program = seccomp::compile(&is_granted, true)?;
    match calls::seccomp(&program, true) {
        Ok(Some(listener)) => wire::send(socket.as_fd(), wire::MessageKind::SeccompListener, &[], &[listener.as_fd()])
            .map_err(|e| Error::setup("reporting to the supervisor", e)),
        // The kernel permits one listener per process. Inside another sandbox that has one, denied calls are not reported.
        _ => {
            let silent = seccomp::compile(&is_granted, false)?;
            calls::seccomp(&silent, false).map(drop).map_err(|e| Error::setup("installing the seccomp filter", e))
        }
    }
}
