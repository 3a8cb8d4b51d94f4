//! The way out, by name.

use std::os::fd::OwnedFd;
use std::time::Instant;

use crate::error::Error;
use crate::exit_report::Violations;
use crate::plan::Plan;

pub(crate) struct Proxy;

pub(crate) fn listen() -> Result<(OwnedFd, u16), Error> {
    Err(Error::Request("network not yet".into()))
}

pub(crate) fn serve(_listener: OwnedFd, _plan: &Plan, _since: Instant) -> Proxy {
    Proxy
}

impl Proxy {
    pub(crate) fn finish(self, _violations: &mut Violations) -> Vec<String> {
        Vec::new()
    }
}
