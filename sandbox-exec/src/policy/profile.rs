//! Profiles: what a run may use. A profile gives a reason for each item; everything else is denied. Four profiles are built in; others are TOML
//! files of the same form. An unknown key is an error, because a misspelt limit must not become a missing limit.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::permission::Permission;
use crate::sys::error::Error;
use quantity::{ByteSize, TimeSpan};

/// What a run may use.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// The name, for reports.
    pub name: String,
    /// The purpose.
    pub about: String,
    /// Limits of all processes of the run together.
    #[serde(default)]
    pub limits: Limits,
    /// Files and folders that are readable inside.
    #[serde(default)]
    pub read: Vec<ReadOnlyPath>,
    /// Environment variables inside.
    #[serde(default)]
    pub env: Vec<EnvVariable>,
    /// Granted permissions.
    #[serde(default)]
    pub allow: Vec<Grant>,
    /// Hosts that the proxy connects to.
    #[serde(default)]
    pub network: Vec<AllowedHost>,
    /// Files that are copied from `/out`; empty: all.
    #[serde(default)]
    pub results: Vec<String>,
    /// Whether the profile is for a GPU; with `--gpu`, ioctls on its nodes are permitted.
    #[serde(default)]
    pub gpu: bool,
}

/// The limits of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Memory: pages, tmpfs, memory files, pipes, kernel objects.
    pub memory: ByteSize,
    /// Processors' worth of time.
    pub cpus: f64,
    /// Processors that may be used, for example `0,2-3`.
    pub cpu_set: Option<String>,
    /// Processes and threads.
    pub pids: u32,
    /// Size of `/tmp`.
    pub scratch: ByteSize,
    /// Files in `/tmp`, and in `/out`.
    pub inodes: u64,
    /// Wall-clock time.
    pub timeout: TimeSpan,
    /// Standard output and error together.
    pub output: ByteSize,
    /// All of `/out` together.
    pub out: ByteSize,
    /// Files that are copied from `/out`.
    pub out_files: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Locked memory of one process.
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

/// A file or folder that is readable inside, and never writable.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReadOnlyPath {
    /// The path on the host.
    pub path: PathBuf,
    /// The path inside; `None`: the same path.
    pub dest: Option<PathBuf>,
    /// The reason.
    pub why: String,
    /// Whether it may be missing on this host.
    #[serde(default)]
    pub optional: bool,
}

/// An environment variable inside.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EnvVariable {
    /// The name.
    pub name: String,
    /// The value; `None`: from the caller's environment.
    pub value: Option<String>,
    /// The reason.
    pub why: String,
}

/// A granted permission.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The permission.
    pub name: Permission,
    /// The reason.
    pub why: String,
}

/// A host that the proxy connects to.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedHost {
    /// `name` (ports 443 and 80) or `name:port`.
    pub host: String,
    /// The reason.
    pub why: String,
}

include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

impl Profile {
    /// The names of the built-in profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|row| row.0)
    }

    /// Loads a built-in profile, or a file (a name with a `/` or the ending `.toml`).
    ///
    /// # Errors
    /// [`Error::Request`] when there is no such profile, or it is not valid.
    pub fn load(which: &str) -> Result<Self, Error> {
        if let Some((_, text)) = BUILT_IN.iter().find(|row| row.0 == which) {
            let read = serde_json::from_str(text);
            return read.map_err(|e| invalid(which, e));
        }
        if !which.contains('/') && !which.ends_with(".toml") {
            let names: Vec<&str> = Self::names().collect();
            return Err(Error::request("profile", format!("no profile is called `{which}`"))
                .with_hint(format!("there are {}, or name a .toml file", names.join(", "))));
        }
        let text = std::fs::read_to_string(Path::new(which))
            .map_err(|e| invalid(which, format!("the file cannot be read: {e}")))?;
        Self::parse(which, &text)
    }

    /// Parses a profile in TOML; `which` names it in errors.
    ///
    /// # Errors
    /// [`Error::Request`] for unknown keys and for items without a reason.
    pub fn parse(which: &str, text: &str) -> Result<Self, Error> {
        let profile: Self = toml::from_str(text).map_err(|e| invalid(which, e))?;
        let mut reasons = profile.read.iter().map(|row| (row.path.display().to_string(), &row.why)).collect::<Vec<_>>();
        reasons.extend(profile.env.iter().map(|row| (row.name.clone(), &row.why)));
        reasons.extend(profile.allow.iter().map(|row| (row.name.to_string(), &row.why)));
        reasons.extend(profile.network.iter().map(|row| (row.host.clone(), &row.why)));
        match reasons.iter().find(|(_, why)| why.trim().is_empty()) {
            Some((item, _)) => {
                Err(invalid(which, format!("{item} has no reason")).with_hint("give one: why = \"...\""))
            }
            None => Ok(profile),
        }
    }

    /// Whether a permission is granted.
    pub fn allows(&self, permission: Permission) -> bool {
        self.allow.iter().any(|row| row.name == permission)
    }
}

fn invalid(which: &str, reason: impl std::fmt::Display) -> Error {
    Error::request(format!("profile {which}"), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_profiles_are_valid() {
        for name in ["code", "eval", "gpu-eval", "torch-load"] {
            let file = format!("{}/data/profiles/{name}.toml", env!("CARGO_MANIFEST_DIR"));
            let read = |profile: Result<Profile, Error>| profile.map(|p| format!("{p:?}")).map_err(|e| e.to_string());
            let known = read(Profile::load(name));
            assert!(known.as_ref().is_ok_and(|shown| shown.contains(&format!("name: {name:?}"))), "{known:?}");
            // Files are checked for more than the built-in form is.
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
    fn a_permission_without_a_reason_is_refused() {
        let text = "name='x'\nabout='y'\n[[allow]]\nname='exec-any'\nwhy=' '\n";
        assert!(Profile::parse("x.toml", text).is_err());
    }
}
