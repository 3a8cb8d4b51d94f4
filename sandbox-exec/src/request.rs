//! What a caller asks for: a profile with its overrides, a command, and which protections it is willing to go without.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::profile::Profile;
use quantity::ByteSize;

/// A run that is asked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Request {
    /// What is open.
    pub profile: Profile,
    /// The command.
    pub command: Command,
    /// Where what leaves `/out` is put; without it there is no `/out`.
    pub out: Option<PathBuf>,
    /// The one GPU, by number or UUID.
    pub gpu: Option<String>,
    /// Its memory quota.
    pub gpu_memory: Option<ByteSize>,
    /// Keys of `enforced` that this host may lack.
    pub weaker: Vec<String>,
}

/// A command and where it starts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Where it starts, inside; `/tmp` when absent.
    pub workdir: Option<PathBuf>,
}

impl Request {
    /// A command under a profile, with nothing beyond it.
    pub fn new(profile: Profile, argv: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let command = Command { argv: argv.into_iter().map(Into::into).collect(), workdir: None };
        Self { profile, command, out: None, gpu: None, gpu_memory: None, weaker: Vec::new() }
    }

    pub(crate) fn accepts_weaker(&self, what: &str) -> bool {
        self.weaker.iter().any(|name| name == what)
    }
}
