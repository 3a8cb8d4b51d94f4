//! For those who embed the library: a launcher process does the work. It is started vfork-like, so its start does not depend on how much
//! memory the caller holds, and it has one thread however many the caller has. Walls may be built ahead of the command: that is a pool.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio as Std};

use crate::error::Error;
use crate::exit_report::ExitReport;
use crate::plan::Plan;
use crate::request::{Command, Request};
use crate::streams::{Stdio, Streams};
use crate::{launcher, supervise, wire};

/// The hidden first argument by which a program becomes the launcher.
const ASK: &str = "--become-the-sandbox-launcher";

/// Where the launcher is.
#[derive(Clone, Debug)]
pub struct Launcher {
    program: PathBuf,
    variables: Vec<(OsString, OsString)>,
}

impl Default for Launcher {
    /// This very program, which must call [`launcher_if_asked`] first thing in `main`.
    fn default() -> Self {
        Self::at("/proc/self/exe")
    }
}

impl Launcher {
    /// The `sandbox-exec` program, or any other that calls [`launcher_if_asked`].
    pub fn at(program: impl AsRef<Path>) -> Self {
        Self { program: program.as_ref().to_owned(), variables: Vec::new() }
    }

    /// A variable for the launcher, which otherwise starts with an empty environment: LD_LIBRARY_PATH, where a GPU's driver has its
    /// library in an unusual place.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Runs a command to its end.
    pub fn run(&self, request: &Request, stdio: Stdio) -> ExitReport {
        let attempt = || self.ready(request)?.run(&request.command, stdio);
        attempt().unwrap_or_else(|error| ExitReport::not_started(&request.profile.name, &error))
    }

    /// Builds walls that wait for a command.
    pub fn ready(&self, request: &Request) -> Result<Ready, Error> {
        let fail = |e: std::io::Error| Error::step("starting the launcher", e);
        let (ours, theirs) = wire::pair().map_err(fail)?;
        let mut command = std::process::Command::new(&self.program);
        // No pre_exec and no uid: then the standard library starts it by posix_spawn, which copies no memory.
        let child = command
            .arg(ASK)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Std::from(theirs))
            .stdout(Std::null())
            .stderr(Std::null())
            .spawn()
            .map_err(fail)?;
        drop(command);
        let ready = Ready { socket: ours, _child: Waited(Some(child)), profile: request.profile.name.clone() };
        let body = serde_json::to_vec(&resolved(request)).map_err(|e| Error::step("writing the request", e))?;
        wire::send(ready.socket.as_fd(), wire::Kind::Go, &body, &[]).map_err(fail)?;
        Ok(ready)
    }
}

/// With the variables that the profile takes from the caller's environment: the launcher has none of it.
fn resolved(request: &Request) -> Request {
    let mut request = request.clone();
    for variable in request.profile.env.iter_mut().filter(|variable| variable.value.is_none()) {
        variable.value = std::env::var(&variable.name).ok();
    }
    request
}

/// Walls that wait for a command. Dropped, they are taken down.
#[derive(Debug)]
pub struct Ready {
    socket: OwnedFd,
    _child: Waited,
    profile: String,
}

/// The launcher, which is asked after in the end, so that it does not stay among the dead.
#[derive(Debug)]
struct Waited(Option<Child>);

impl Drop for Waited {
    fn drop(&mut self) {
        // It takes down the walls before it ends; nobody need wait for that.
        if let Some(mut child) = self.0.take() {
            std::thread::spawn(move || child.wait().map(drop));
        }
    }
}

impl Ready {
    /// Waits until the walls stand.
    pub fn wait(&self) -> Result<(), Error> {
        match wire::receive(self.socket.as_fd()) {
            Ok(Some((wire::Kind::Ready, _, _))) => Ok(()),
            Ok(Some((wire::Kind::Failed, body, _))) => Err(Error::Request(String::from_utf8_lossy(&body).into_owned())),
            _ => Err(Error::step("starting the launcher", format!("the launcher for {} ended early", self.profile))),
        }
    }

    /// Runs a command in these walls, once.
    pub fn run(self, command: &Command, stdio: Stdio) -> Result<ExitReport, Error> {
        self.wait()?;
        self.run_waited(command, stdio)
    }

    fn run_waited(self, command: &Command, stdio: Stdio) -> Result<ExitReport, Error> {
        let body = serde_json::to_vec(command).map_err(|e| Error::step("writing the command", e))?;
        let mut fds = vec![stdio.output.as_fd(), stdio.errors.as_fd()];
        fds.extend(stdio.input.as_ref().map(AsFd::as_fd));
        let fail = |e: std::io::Error| Error::step("talking to the launcher", e);
        wire::send(self.socket.as_fd(), wire::Kind::Start, &body, &fds).map_err(fail)?;
        drop(fds);
        drop(stdio);
        let report = match wire::receive(self.socket.as_fd()).map_err(fail)? {
            Some((wire::Kind::Ended, body, _)) => {
                serde_json::from_slice(&body).map_err(|e| Error::step("reading the report", e))?
            }
            _ => {
                return Err(Error::step("waiting for the report", "the launcher was killed"));
            }
        };
        Ok(report)
    }
}

/// Fresh walls kept ready, each used once.
#[derive(Debug)]
pub struct Pool {
    launcher: Launcher,
    request: Request,
    ready: Vec<Ready>,
    size: usize,
}

impl Pool {
    /// Builds `size` walls after the profile of a request, and waits until they stand.
    pub fn warm(launcher: Launcher, request: Request, size: usize) -> Result<Self, Error> {
        let mut pool = Self { launcher, request, ready: Vec::new(), size };
        pool.refill()?;
        Ok(pool)
    }

    /// How many stand ready.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Builds what is missing.
    pub fn refill(&mut self) -> Result<(), Error> {
        let missing = self.size.saturating_sub(self.ready.len());
        let fresh = (0..missing).map(|_| self.launcher.ready(&self.request)).collect::<Result<Vec<_>, _>>()?;
        fresh.iter().try_for_each(Ready::wait)?;
        self.ready.extend(fresh);
        Ok(())
    }

    /// Runs a command in ready walls, or in new ones when none are left.
    pub fn run(&mut self, command: &Command, stdio: Stdio) -> ExitReport {
        let done = match self.ready.pop() {
            Some(ready) => ready.run_waited(command, stdio),
            None => self.launcher.ready(&self.request).and_then(|ready| ready.run(command, stdio)),
        };
        done.unwrap_or_else(|error| ExitReport::not_started(&self.request.profile.name, &error))
    }
}

/// Becomes the launcher when this process was started as one. To be called first thing in `main`.
pub fn launcher_if_asked() -> Option<u8> {
    if std::env::args_os().nth(1)? != ASK {
        return None;
    }
    Some(match serve() {
        Ok(()) => 0,
        Err(_) => 125,
    })
}

fn serve() -> Result<(), Error> {
    let fail = |e: std::io::Error| Error::step("talking to the caller", e);
    let socket = rustix::stdio::stdin().try_clone_to_owned().map_err(fail)?;
    // The number 0 must not be the caller's socket when those inside are made.
    let null = std::fs::File::open("/dev/null").map_err(fail)?;
    rustix::stdio::dup2_stdin(&null).map_err(|e| fail(e.into()))?;
    let Some((wire::Kind::Go, body, _)) = wire::receive(socket.as_fd()).map_err(fail)? else {
        return Ok(());
    };
    let request: Request = serde_json::from_slice(&body).map_err(|e| Error::step("reading the request", e))?;
    let built = Plan::make(&request).and_then(|plan| {
        launcher::start(&plan, true).and_then(|mut walls| walls.await_ready().map(|ready| (plan, walls, ready)))
    });
    let (plan, mut walls, early) = match built {
        Ok(built) => built,
        Err(error) => {
            return wire::tell(&socket, wire::Kind::Failed, error.to_string().as_bytes()).map_err(fail);
        }
    };
    let (mut streams, ends) = Streams::new(plan.limits.output.0).map_err(|e| fail(e.into()))?;
    wire::tell(&socket, wire::Kind::Ready, &[]).map_err(fail)?;
    // A pool that is dropped closes the socket: then the walls go, too.
    let Some((wire::Kind::Start, body, fds)) = wire::receive(socket.as_fd()).map_err(fail)? else {
        return Ok(());
    };
    let mut fds = fds.into_iter();
    let (Some(output), Some(errors)) = (fds.next(), fds.next()) else {
        return Ok(());
    };
    let stdio = Stdio { input: fds.next(), output, errors };
    walls.since = std::time::Instant::now();
    walls.release(&body, ends)?;
    streams.join(stdio);
    let (report, walls) = supervise::supervise(&plan, walls, streams, Some(&socket), Some(early));
    let body = serde_json::to_vec(&report).map_err(|e| Error::step("writing the report", e))?;
    wire::tell(&socket, wire::Kind::Ended, &body).map_err(fail)?;
    drop(walls);
    Ok(())
}
