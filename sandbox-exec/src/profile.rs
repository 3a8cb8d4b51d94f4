//! What is open. A profile lists each opening with its reason; whatever it does not list is closed. Four come with the crate, others
//! are TOML files of the same shape, and an unknown key is an error, because a misspelt limit must not become no limit.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::hole::Hole;
use quantity::{ByteSize, TimeSpan};

/// Everything that a run may use.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// Its name, for reports.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// The quotas of everything inside together.
    #[serde(default)]
    pub limits: Limits,
    /// What can be read inside.
    #[serde(default)]
    pub read: Vec<Readable>,
    /// The environment inside.
    #[serde(default)]
    pub env: Vec<Variable>,
    /// Named openings.
    #[serde(default)]
    pub allow: Vec<Opening>,
    /// Hosts that can be reached through the proxy.
    #[serde(default)]
    pub network: Vec<Host>,
    /// Names that may leave `/out`; empty for all.
    #[serde(default)]
    pub results: Vec<String>,
    /// Whether this profile is for a GPU: its nodes' ioctls are open when `--gpu` names one.
    #[serde(default)]
    pub gpu: bool,
}

/// The quotas. Defaults are those of the command.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Memory of everything inside: pages, tmpfs, memory files, pipes, kernel objects.
    pub memory: ByteSize,
    /// Processors' worth of time.
    pub cpus: f64,
    /// Processors that may be used, as `0,2-3`.
    pub cpu_set: Option<String>,
    /// Processes and threads.
    pub pids: u32,
    /// ByteSize of `/tmp`.
    pub scratch: ByteSize,
    /// Files in `/tmp`, and in `/out`.
    pub inodes: u64,
    /// Wall clock.
    pub timeout: TimeSpan,
    /// Standard output and error together.
    pub output: ByteSize,
    /// All of `/out` together.
    pub out: ByteSize,
    /// Files that may leave `/out`.
    pub out_files: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Memory that one process may pin.
    pub locked_memory: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: ByteSize(2 << 30),
            cpus: 1.0,
            cpu_set: None,
            pids: 64,
            scratch: ByteSize(64 << 20),
            inodes: 10_000,
            timeout: TimeSpan(std::time::Duration::from_secs(30)),
            output: ByteSize(16 << 20),
            out: ByteSize(64 << 20),
            out_files: 1_000,
            open_files: 1_024,
            locked_memory: ByteSize(1 << 20),
        }
    }
}

/// A file or folder that can be read inside.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Readable {
    /// Where it is outside.
    pub path: PathBuf,
    /// Where it is inside; the same place when absent.
    pub dest: Option<PathBuf>,
    /// Why it is open.
    pub why: String,
    /// Whether it may be absent on this host.
    #[serde(default)]
    pub optional: bool,
}

/// A variable of the environment inside.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; taken from the caller's environment when absent.
    pub value: Option<String>,
    /// Why it is there.
    pub why: String,
}

/// A named opening with its reason.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Which.
    pub name: Hole,
    /// Why it is open.
    pub why: String,
}

/// A host that can be reached.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// A name, or `name:port`.
    pub host: String,
    /// Why it is open.
    pub why: String,
}

include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

impl Profile {
    /// The names of the profiles that come with the crate.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|row| row.0)
    }

    /// A named profile, or the one in a file (anything with a `/` or a `.toml` at its end).
    pub fn load(which: &str) -> Result<Self, Error> {
        if let Some((_, text)) = BUILT_IN.iter().find(|row| row.0 == which) {
            let read = serde_json::from_str(text);
            return read.map_err(|e| Error::Request(format!("the profile {which} is not valid: {e}")));
        }
        if !which.contains('/') && !which.ends_with(".toml") {
            let names: Vec<&str> = Self::names().collect();
            let message =
                format!("no profile is called `{which}`; there are {}, or name a .toml file", names.join(", "));
            return Err(Error::Request(message));
        }
        let text = std::fs::read_to_string(Path::new(which))
            .map_err(|e| Error::Request(format!("the profile {which} cannot be read: {e}")))?;
        Self::parse(which, &text)
    }

    /// Reads a profile; unknown keys and openings without a reason are errors.
    pub fn parse(which: &str, text: &str) -> Result<Self, Error> {
        let refuse = |why: String| Error::Request(format!("the profile {which} is not valid: {why}"));
        let profile: Self = toml::from_str(text).map_err(|e| refuse(e.to_string()))?;
        let mut reasons = profile.read.iter().map(|row| (row.path.display().to_string(), &row.why)).collect::<Vec<_>>();
        reasons.extend(profile.env.iter().map(|row| (row.name.clone(), &row.why)));
        reasons.extend(profile.allow.iter().map(|row| (row.name.to_string(), &row.why)));
        reasons.extend(profile.network.iter().map(|row| (row.host.clone(), &row.why)));
        match reasons.iter().find(|(_, why)| why.trim().is_empty()) {
            Some((what, _)) => Err(refuse(format!("{what} is opened without a reason (why = \"...\")"))),
            None => Ok(profile),
        }
    }

    /// Whether an opening is open.
    pub fn allows(&self, hole: Hole) -> bool {
        self.allow.iter().any(|row| row.name == hole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profiles_that_come_with_the_crate_are_valid() {
        for name in ["code", "eval", "gpu-eval", "torch-load"] {
            let file = format!("{}/data/profiles/{name}.toml", env!("CARGO_MANIFEST_DIR"));
            let read = |profile: Result<Profile, Error>| profile.map(|p| format!("{p:?}")).map_err(|e| e.to_string());
            let known = read(Profile::load(name));
            assert!(known.as_ref().is_ok_and(|shown| shown.contains(&format!("name: {name:?}"))), "{known:?}");
            // With the checks that are made of a file.
            assert_eq!(known, read(Profile::load(&file)));
        }
        assert_eq!(Profile::names().count(), 4);
    }

    #[test]
    fn a_misspelt_key_is_an_error_and_not_a_missing_limit() {
        let text = "name='x'\nabout='y'\n[limits]\nmemroy='1GiB'\n";
        let error = Profile::parse("x.toml", text).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("memroy"), "{error}");
    }

    #[test]
    fn an_opening_without_a_reason_is_refused() {
        let text = "name='x'\nabout='y'\n[[allow]]\nname='exec-any'\nwhy=' '\n";
        assert!(Profile::parse("x.toml", text).is_err());
    }
}
