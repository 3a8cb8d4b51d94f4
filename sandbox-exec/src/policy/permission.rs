//! Named permissions. Everything else is denied; a profile or `--allow` grants one of these by name, with a reason.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sys::error::Error;

/// A permission of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Permission {
    /// Execute any visible program, not only the command itself.
    ExecAny,
    /// Execute programs written to `/tmp` or `/out`.
    ExecScratch,
    /// Create executable memory files (memfd_create(2)).
    MemfdExec,
    /// Map memory that is writable and executable at once.
    WxMemory,
    /// Trace processes inside the sandbox.
    PtraceOwn,
    /// Open files under `/proc`, which shows only the processes of the sandbox.
    ProcSelf,
    /// Read the processor's time stamp counter.
    Rdtsc,
    /// Connect through the proxy to names that resolve to private addresses.
    NetPrivate,
}

struct PermissionRow {
    permission: Permission,
    name: &'static str,
    meaning: &'static str,
}

const ROWS: [PermissionRow; 8] = [
    PermissionRow {
        permission: Permission::ExecAny,
        name: "exec-any",
        meaning: "start any program that can be seen inside, shells too, not only the command itself",
    },
    PermissionRow {
        permission: Permission::ExecScratch,
        name: "exec-scratch",
        meaning: "run programs that were written to /tmp or /out",
    },
    PermissionRow {
        permission: Permission::MemfdExec,
        name: "memfd-exec",
        meaning: "make memory files that can be executed",
    },
    PermissionRow {
        permission: Permission::WxMemory,
        name: "wx-memory",
        meaning: "map memory that is writable and executable at once",
    },
    PermissionRow {
        permission: Permission::PtraceOwn,
        name: "ptrace-own",
        meaning: "trace and read the memory of processes inside the sandbox",
    },
    PermissionRow {
        permission: Permission::ProcSelf,
        name: "proc-self",
        meaning: "open files under /proc; they show the sandbox's own processes and, in mountinfo, where bound folders come from",
    },
    PermissionRow {
        permission: Permission::Rdtsc,
        name: "rdtsc",
        meaning: "read the processor's time stamp counter, which clocks need and timing attacks use",
    },
    PermissionRow {
        permission: Permission::NetPrivate,
        name: "net-private",
        meaning: "reach named hosts whose addresses are private, loopback or link-local",
    },
];

impl Permission {
    /// All permissions.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.permission)
    }

    fn row(self) -> (&'static str, &'static str) {
        // The table has a row for every variant (see the test); the fallback names nothing and grants nothing.
        ROWS.iter().find(|row| row.permission == self).map_or(("", ""), |row| (row.name, row.meaning))
    }

    /// As written on the command line and in profiles.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What it permits, in words.
    pub fn meaning(self) -> &'static str {
        self.row().1
    }
}

impl std::str::FromStr for Permission {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        ROWS.iter().find(|row| row.name == text).map(|row| row.permission).ok_or_else(|| {
            let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
            Error::request("allow", format!("no permission is called `{text}`"))
                .with_hint(format!("there are {}", names.join(", ")))
        })
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_a_name_that_reads_back_and_a_meaning() {
        for permission in Permission::all() {
            assert_eq!(permission.name().parse(), Ok(permission));
            assert!(permission.meaning().len() > 10);
        }
        assert!("everything".parse::<Permission>().is_err());
    }
}
