//! What a caller requests: a profile, a command, and the protections that it is willing to do without.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use quantity::ByteSize;

use super::profile::Profile;
use crate::sys::error::Error;

/// A requested run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Request {
    /// What the run may use.
    pub profile: Profile,
    /// The command.
    pub command: Command,
    /// The folder that receives the content of `/out`; without it there is no `/out`.
    pub out: Option<PathBuf>,
    /// A GPU by number or UUID, or a MIG slice by UUID.
    pub gpu: Option<String>,
    /// The memory quota on that GPU.
    pub gpu_memory: Option<ByteSize>,
    /// Keys of `enforced` in the report that this host need not enforce.
    #[serde(rename = "weaker")]
    pub allow_degraded: Vec<String>,
}

/// A command and its working folder.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// The working folder inside; `None`: `/tmp`.
    pub workdir: Option<PathBuf>,
}

/// Protections that a request may waive. All others are required, or are used where available and never required.
const WAIVABLE: [&str; 9] = [
    "memory",
    "pids",
    "cpus",
    "devices",
    "landlock",
    "gpu_memory",
    "time_namespace",
    "seccomp_notify",
    "core_scheduling",
];

impl Request {
    /// A command under a profile, with nothing beyond it.
    pub fn new(profile: Profile, argv: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let command = Command { argv: argv.into_iter().map(Into::into).collect(), workdir: None };
        Self { profile, command, out: None, gpu: None, gpu_memory: None, allow_degraded: Vec::new() }
    }

    /// Whether the request waives a protection.
    pub(crate) fn waives(&self, protection: &str) -> bool {
        self.allow_degraded.iter().any(|name| name == protection)
    }

    /// Refuses unknown waivers: a misspelt one would waive nothing, and show only on a host that lacks the protection.
    pub(crate) fn check_waivers(&self) -> Result<(), Error> {
        match self.allow_degraded.iter().find(|name| !WAIVABLE.contains(&name.as_str())) {
            Some(name) => Err(Error::request("--allow-weaker", format!("`{name}` cannot be waived"))
                .with_hint(format!("it takes {}", WAIVABLE.join(", ")))),
            None => Ok(()),
        }
    }

    /// An error unless the host has a protection or the request waives it.
    pub(crate) fn require(&self, available: bool, protection: &str, reason: &str, hint: &str) -> Result<(), Error> {
        if available || self.waives(protection) {
            return Ok(());
        }
        let hint = format!("{hint}, or go on without it by --allow-weaker {protection}");
        Err(Error::CannotEnforce { protection: protection.into(), reason: reason.into(), hint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_waivable_protections_are_waived() -> Result<(), Error> {
        let mut request = Request::new(Profile::load("eval")?, ["true"]);
        for (name, known) in [("memory", true), ("gpu_memory", true), ("memroy", false), ("seccomp", false)] {
            request.allow_degraded = vec![name.into()];
            assert_eq!(request.check_waivers().is_ok(), known, "{name}");
        }
        Ok(())
    }
}
