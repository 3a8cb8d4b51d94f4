//! Walls around a command.
//!
//! A [`Profile`] says what is open, a [`Request`] names the command and its overrides, [`run`] builds the walls (namespaces, a root of its own,
//! cgroups, Landlock, a system call filter), stays with the command to its end, and hands back an [`ExitReport`]. Whatever cannot be enforced on
//! this host is an error unless the request waives that very protection.

#![cfg(target_os = "linux")]
#![deny(unsafe_code)]

mod audit;
mod cgroup;
mod cgroup_place;
mod child;
mod collect;
mod device_rule;
mod doctor;
mod error;
mod exit_report;
mod explain;
mod gpu;
mod gpu_driver;
mod gpu_memory;
mod hole;
mod landlock;
mod launcher;
mod mounts;
mod plan;
mod profile;
mod proxy;
mod request;
mod request_line;
mod scope;
mod seccomp;
mod spawn;
mod streams;
mod supervise;
#[allow(unsafe_code)]
mod sys;
mod view;
mod watchdog;
mod wire;

pub use doctor::doctor;
pub use error::Error;
pub use exit_report::{Enforced, ExitReport, Outcome, Passed, SCHEMA, Violation};
pub use explain::explain;
pub use hole::Hole;
pub use profile::{Host, Limits, Opening, Profile, Readable, Variable};
pub use quantity::{ByteSize, TimeSpan};
pub use request::{Command, Request};
pub use spawn::{Launcher, Pool, Ready, launcher_if_asked};
pub use streams::Stdio;
pub use view::View;

/// Runs a command and stays with it to its end. This process becomes the supervisor, so it must be small and have one thread; a server uses
/// the launcher instead.
pub fn run_here(request: &Request, stdio: Stdio) -> ExitReport {
    match attempt(request, stdio) {
        Ok(report) => report,
        Err(error) => ExitReport::not_started(&request.profile.name, &error),
    }
}

fn attempt(request: &Request, stdio: Stdio) -> Result<ExitReport, Error> {
    if !launcher::single_threaded() {
        return Err(Error::step("forking", "this process has several threads; use a Launcher"));
    }
    let plan = plan::Plan::make(request)?;
    let walls = launcher::start(&plan, false)?;
    let (mut streams, ends) =
        streams::Streams::new(plan.limits.output.0).map_err(|e| Error::step("making pipes", e))?;
    let body = serde_json::to_vec(&request.command).map_err(|e| Error::step("writing the command", e))?;
    walls.release(&body, ends)?;
    streams.join(stdio);
    let (report, walls) = supervise::supervise(&plan, walls, streams, None, None);
    drop(walls);
    Ok(report)
}
