//! A run that the calling process supervises.

use super::start;
use super::streams::{Stdio, Streams};
use super::supervise::supervise;
use crate::plan::Plan;
use crate::policy::exit_report::ExitReport;
use crate::policy::request::Request;
use crate::sys::error::Error;
use crate::sys::process::is_single_threaded;

/// Runs a command to its end. The calling process becomes the supervisor, so it must be small and have one thread; servers use a
/// [`crate::Launcher`] instead. A run that does not start has the outcome [`crate::Outcome::NotStarted`].
pub fn run_here(request: &Request, stdio: Stdio) -> ExitReport {
    run(request, stdio).unwrap_or_else(|error| ExitReport::not_started(&request.profile.name, &error))
}

fn run(request: &Request, stdio: Stdio) -> Result<ExitReport, Error> {
    // Checked before the plan, which may move this process to another cgroup.
    if !is_single_threaded() {
        return Err(Error::setup("forking", "this process has several threads").with_hint("use a Launcher"));
    }
    let plan = Plan::new(request)?;
    let sandbox = start::start(&plan, false)?;
    let (mut streams, pipes) = Streams::new(plan.limits.output.0).map_err(|e| Error::setup("creating pipes", e))?;
    let body = serde_json::to_vec(&request.command).map_err(|e| Error::setup("writing the command", e))?;
    sandbox.send_command(&body, pipes)?;
    streams.connect(stdio);
    let (report, sandbox) = supervise(&plan, sandbox, streams, None, None);
    drop(sandbox);
    Ok(report)
}
