//! The launcher's own process: it takes a request on a socket, starts the sandbox, and becomes its supervisor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use super::sandbox::{Ready, Sandbox};
use super::start;
use super::streams::{Stdio, Streams};
use super::supervise::supervise;
use crate::plan::Plan;
use crate::policy::request::Request;
use crate::sys::error::Error;
use crate::sys::wire;

/// The first argument that makes a program the launcher.
pub(crate) const LAUNCHER_ARGUMENT: &str = "--become-the-sandbox-launcher";

/// Becomes the launcher if this process was started as one, and returns its exit code. Call this first in `main`.
pub fn run_launcher_if_requested() -> Option<u8> {
    if std::env::args_os().nth(1)? != LAUNCHER_ARGUMENT {
        return None;
    }
    Some(match serve() {
        Ok(()) => 0,
        Err(_) => 125,
    })
}

fn caller_gone(error: io::Error) -> Error {
    Error::setup("talking to the caller", error)
}

/// Serves one request. A caller that closes its socket before it sends a command ends the sandbox.
fn serve() -> Result<(), Error> {
    let socket = rustix::stdio::stdin().try_clone_to_owned().map_err(caller_gone)?;
    // Descriptor 0 must not be the caller's socket when the processes inside start.
    let null = std::fs::File::open("/dev/null").map_err(caller_gone)?;
    rustix::stdio::dup2_stdin(&null).map_err(|e| caller_gone(e.into()))?;
    let Some(body) = receive(&socket, wire::MessageKind::Request)?.map(|message| message.body) else {
        return Ok(());
    };
    let started = serde_json::from_slice(&body)
        .map_err(|e| Error::setup("reading the request", e))
        .and_then(|request| start_ready(&request));
    let (plan, sandbox, ready) = match started {
        Ok(started) => started,
        Err(error) => return wire::send_error(&socket, &error).map_err(caller_gone),
    };
    run(&socket, &plan, sandbox, ready)
}

/// Starts a sandbox and waits until it is set up.
fn start_ready(request: &Request) -> Result<(Plan, Sandbox, Ready), Error> {
    let plan = Plan::new(request)?;
    let sandbox = start::start(&plan, true)?;
    let ready = sandbox.wait_ready()?;
    Ok((plan, sandbox, ready))
}

/// Waits for the command, runs it, and sends the report.
fn run(socket: &OwnedFd, plan: &Plan, mut sandbox: Sandbox, ready: Ready) -> Result<(), Error> {
    let (mut streams, pipes) = Streams::new(plan.limits.output.0).map_err(|e| caller_gone(e.into()))?;
    wire::send_body(socket, wire::MessageKind::Ready, &[]).map_err(caller_gone)?;
    let Some(message) = receive(socket, wire::MessageKind::Command)? else {
        return Ok(());
    };
    let mut fds = message.fds.into_iter();
    let (Some(output), Some(errors)) = (fds.next(), fds.next()) else {
        return Ok(());
    };
    let stdio = Stdio { input: fds.next(), output, errors };
    sandbox.started = Instant::now();
    sandbox.send_command(&message.body, pipes)?;
    streams.connect(stdio);
    let (report, sandbox) = supervise(plan, sandbox, streams, Some(socket), Some(ready));
    let body = serde_json::to_vec(&report).map_err(|e| Error::setup("writing the report", e))?;
    wire::send_body(socket, wire::MessageKind::Report, &body).map_err(caller_gone)?;
    // After the report, for which the caller waits.
    drop(sandbox);
    Ok(())
}

/// A message of the caller; `None`: it has closed its socket, or sent another kind.
fn receive(socket: &OwnedFd, kind: wire::MessageKind) -> Result<Option<wire::Message>, Error> {
    let message = wire::receive(socket.as_fd()).map_err(caller_gone)?;
    Ok(message.filter(|message| message.kind == kind))
}
