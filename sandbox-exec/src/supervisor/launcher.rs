//! The launcher, for programs that embed the library: a small process with one thread that starts and supervises a sandbox. It is started by
//! posix_spawn, so its start does not depend on the caller's memory and threads.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio as ChildStdio};

use super::launcher_process::LAUNCHER_ARGUMENT;
use super::streams::Stdio;
use crate::policy::exit_report::ExitReport;
use crate::policy::request::{Command, Request};
use crate::sys::error::Error;
use crate::sys::wire;

/// The program of the launcher, and its environment.
#[derive(Clone, Debug)]
pub struct Launcher {
    program: PathBuf,
    variables: Vec<(OsString, OsString)>,
}

impl Default for Launcher {
    /// The running program, whose `main` must begin with [`crate::run_launcher_if_requested`].
    fn default() -> Self {
        Self::at("/proc/self/exe")
    }
}

impl Launcher {
    /// The `sandbox-exec` program, or another that calls [`crate::run_launcher_if_requested`].
    pub fn at(program: impl AsRef<Path>) -> Self {
        Self { program: program.as_ref().to_owned(), variables: Vec::new() }
    }

    /// Adds a variable to the launcher's environment, which is empty otherwise: LD_LIBRARY_PATH, for example, where a GPU driver's library is in
    /// an unusual folder.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Runs a command to its end. A run that does not start has the outcome [`crate::Outcome::NotStarted`].
    pub fn run(&self, request: &Request, stdio: Stdio) -> ExitReport {
        let run = || self.prepare(request)?.run(&request.command, stdio);
        run().unwrap_or_else(|error| ExitReport::not_started(&request.profile.name, &error))
    }

    /// Starts a sandbox that waits for a command. Returns before it is set up.
    ///
    /// # Errors
    /// When the launcher does not start.
    pub fn prepare(&self, request: &Request) -> Result<PreparedSandbox, Error> {
        let fail = |e: std::io::Error| Error::setup("starting the launcher", e);
        let (socket, launcher_socket) = wire::socket_pair().map_err(fail)?;
        let mut command = std::process::Command::new(&self.program);
        // Without pre_exec and uid the standard library uses posix_spawn, which copies no memory.
        let child = command
            .arg(LAUNCHER_ARGUMENT)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(ChildStdio::from(launcher_socket))
            .stdout(ChildStdio::null())
            .stderr(ChildStdio::null())
            .spawn()
            .map_err(fail)?;
        drop(command);
        let prepared = PreparedSandbox { socket, _launcher: LauncherChild(Some(child)) };
        let body =
            serde_json::to_vec(&with_own_environment(request)).map_err(|e| Error::setup("writing the request", e))?;
        wire::send_body(&prepared.socket, wire::MessageKind::Request, &body).map_err(fail)?;
        Ok(prepared)
    }
}

/// The request with the values of the variables that the profile takes from this process's environment; the launcher's is empty.
fn with_own_environment(request: &Request) -> Request {
    let mut request = request.clone();
    for variable in request.profile.env.iter_mut().filter(|variable| variable.value.is_none()) {
        variable.value = std::env::var(&variable.name).ok();
    }
    request
}

/// A sandbox that waits for a command. Dropping it ends it.
#[derive(Debug)]
pub struct PreparedSandbox {
    socket: OwnedFd,
    _launcher: LauncherChild,
}

/// The launcher's process, which is waited for at the end, so that it does not stay a zombie.
#[derive(Debug)]
struct LauncherChild(Option<Child>);

impl Drop for LauncherChild {
    fn drop(&mut self) {
        // In a thread: the launcher removes its sandbox before it exits.
        if let Some(mut child) = self.0.take() {
            std::thread::spawn(move || child.wait().map(drop));
        }
    }
}

impl PreparedSandbox {
    /// Waits until the sandbox is set up.
    ///
    /// # Errors
    /// The error of the set-up.
    pub fn wait_ready(&self) -> Result<(), Error> {
        match wire::receive(self.socket.as_fd()) {
            Ok(Some(message)) if message.kind == wire::MessageKind::Ready => Ok(()),
            Ok(Some(message)) if message.kind == wire::MessageKind::Failed => Err(wire::parse_error(&message.body)),
            _ => Err(Error::setup("starting the launcher", "it ended early")),
        }
    }

    /// Waits until the sandbox is set up, and runs a command in it.
    ///
    /// # Errors
    /// The error of the set-up, or when the launcher is killed.
    pub fn run(self, command: &Command, stdio: Stdio) -> Result<ExitReport, Error> {
        self.wait_ready()?;
        self.run_ready(command, stdio)
    }

    /// Runs a command after [`Self::wait_ready`].
    pub(crate) fn run_ready(self, command: &Command, stdio: Stdio) -> Result<ExitReport, Error> {
        let body = serde_json::to_vec(command).map_err(|e| Error::setup("writing the command", e))?;
        let mut fds = vec![stdio.output.as_fd(), stdio.errors.as_fd()];
        fds.extend(stdio.input.as_ref().map(AsFd::as_fd));
        let fail = |e: std::io::Error| Error::setup("talking to the launcher", e);
        wire::send(self.socket.as_fd(), wire::MessageKind::Command, &body, &fds).map_err(fail)?;
        drop(fds);
        drop(stdio);
        match wire::receive(self.socket.as_fd()).map_err(fail)? {
            Some(message) if message.kind == wire::MessageKind::Report => {
                serde_json::from_slice(&message.body).map_err(|e| Error::setup("reading the report", e))
            }
            Some(message) if message.kind == wire::MessageKind::Failed => Err(wire::parse_error(&message.body)),
            _ => Err(Error::setup("waiting for the report", "the launcher was killed")),
        }
    }
}
