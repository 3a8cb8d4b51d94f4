//! The named openings. A wall has no other: a profile or `--allow` names one of these, with a reason, or the thing stays closed.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One named opening in the walls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Hole {
    /// Start any program that can be seen, not only the command itself.
    ExecAny,
    /// Run programs written to `/tmp` or `/out`.
    ExecScratch,
    /// Make memory files that can be executed.
    MemfdExec,
    /// Map pages that are writable and executable at once.
    WxMemory,
    /// Trace processes inside the sandbox.
    PtraceOwn,
    /// Open files under `/proc` (only one's own processes are there).
    ProcSelf,
    /// Read the processor's time stamp counter.
    Rdtsc,
    /// Let names that resolve to private addresses through the proxy.
    NetPrivate,
}

const ALL: [(Hole, &str, &str); 8] = [
    (Hole::ExecAny, "exec-any", "start any program that can be seen inside, shells too, not only the command itself"),
    (Hole::ExecScratch, "exec-scratch", "run programs that were written to /tmp or /out"),
    (Hole::MemfdExec, "memfd-exec", "make memory files that can be executed"),
    (Hole::WxMemory, "wx-memory", "map memory that is writable and executable at once"),
    (Hole::PtraceOwn, "ptrace-own", "trace and read the memory of processes inside the sandbox"),
    (
        Hole::ProcSelf,
        "proc-self",
        "open files under /proc; they show the sandbox's own processes and, in mountinfo, where bound folders come from",
    ),
    (Hole::Rdtsc, "rdtsc", "read the processor's time stamp counter, which clocks need and timing attacks use"),
    (Hole::NetPrivate, "net-private", "reach named hosts whose addresses are private, loopback or link-local"),
];

impl Hole {
    /// Every opening there is.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(|row| row.0)
    }

    fn row(self) -> (&'static str, &'static str) {
        // The table names every variant; the fallback cannot be reached, and opens nothing.
        ALL.iter().find(|row| row.0 == self).map_or(("", ""), |row| (row.1, row.2))
    }

    /// As it is written on the command line and in profiles.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What it opens, in words.
    pub fn meaning(self) -> &'static str {
        self.row().1
    }
}

impl std::str::FromStr for Hole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ALL.iter().find(|row| row.1 == text).map(|row| row.0).ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|row| row.1).collect();
            format!("no opening is called `{text}`; there are {}", names.join(", "))
        })
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Hole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Hole {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opening_has_a_name_that_reads_back_and_a_meaning() {
        for hole in Hole::all() {
            assert_eq!(hole.name().parse(), Ok(hole));
            assert!(hole.meaning().len() > 10);
        }
        assert!("everything".parse::<Hole>().is_err());
    }
}
