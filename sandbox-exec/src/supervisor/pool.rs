//! A pool of sandboxes that are set up ahead of their commands.

use super::launcher::{Launcher, PreparedSandbox};
use super::streams::Stdio;
use crate::policy::exit_report::ExitReport;
use crate::policy::request::{Command, Request};
use crate::sys::error::Error;

/// Prepared sandboxes; each is used once.
#[derive(Debug)]
pub struct Pool {
    launcher: Launcher,
    request: Request,
    prepared: Vec<PreparedSandbox>,
    size: usize,
}

impl Pool {
    /// Prepares `size` sandboxes for the profile of a request, and waits until they are set up.
    ///
    /// # Errors
    /// The error of the first set-up that fails.
    pub fn new(launcher: Launcher, request: Request, size: usize) -> Result<Self, Error> {
        let mut pool = Self { launcher, request, prepared: Vec::new(), size };
        pool.refill()?;
        Ok(pool)
    }

    /// The number of sandboxes that are ready.
    pub fn available(&self) -> usize {
        self.prepared.len()
    }

    /// Prepares the missing sandboxes, and waits until they are set up.
    ///
    /// # Errors
    /// The error of the first set-up that fails.
    pub fn refill(&mut self) -> Result<(), Error> {
        let missing = self.size.saturating_sub(self.prepared.len());
        let new = (0..missing).map(|_| self.launcher.prepare(&self.request)).collect::<Result<Vec<_>, _>>()?;
        new.iter().try_for_each(PreparedSandbox::wait_ready)?;
        self.prepared.extend(new);
        Ok(())
    }

    /// Runs a command in a prepared sandbox, or in a new one when none is left.
    pub fn run(&mut self, command: &Command, stdio: Stdio) -> ExitReport {
        let report = match self.prepared.pop() {
            Some(sandbox) => sandbox.run_ready(command, stdio),
            None => self.launcher.prepare(&self.request).and_then(|sandbox| sandbox.run(command, stdio)),
        };
        report.unwrap_or_else(|error| ExitReport::not_started(&self.request.profile.name, &error))
    }
}
