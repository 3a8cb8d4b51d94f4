//! Information about this process from `/proc`.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// More than any file of the kernel that is read here.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The content of a kernel file; empty when it cannot be read. Such files have no size, and the kernel generates some anew for every read, so
/// the first read asks for as much as most of them hold.
pub(crate) fn read_file(path: impl AsRef<Path>) -> String {
    let mut text = String::with_capacity(16_384);
    let _ = fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text));
    text
}

/// Whether this process has one thread: then its folder of threads has one entry beside `.` and `..`.
pub(crate) fn is_single_threaded() -> bool {
    fs::metadata("/proc/self/task").is_ok_and(|metadata| metadata.nlink() == 3)
}

/// Indices into the fields of `/proc/PID/stat`, counted from the state (proc_pid_stat(5)).
const START_TIME: usize = 19;
const ARG_START: usize = 45;
const ENV_END: usize = 48;

/// The fields of a `/proc/PID/stat` file from the state on. The name before them may contain spaces and parentheses.
fn stat_fields(stat: &str) -> std::str::SplitAsciiWhitespace<'_> {
    stat.rsplit_once(')').map_or("", |parts| parts.1).split_ascii_whitespace()
}

/// What tells this process from all others. Read once per run, as it takes three system calls.
#[derive(Debug)]
pub(crate) struct ProcessIdentity {
    /// The inode number of the pid namespace, in which process ids are unique.
    pid_namespace: String,
    /// In clock ticks since boot.
    start_time: u64,
    /// The addresses from the first argument to the end of the environment.
    pub(crate) arguments: (u64, u64),
}

impl ProcessIdentity {
    pub(crate) fn read() -> Self {
        let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let stat = read_file("/proc/self/stat");
        let field = |at: usize| stat_fields(&stat).nth(at).and_then(|field| field.parse().ok()).unwrap_or(0);
        Self {
            pid_namespace: link.to_string_lossy().chars().filter(char::is_ascii_digit).collect(),
            start_time: field(START_TIME),
            arguments: (field(ARG_START), field(ENV_END)),
        }
    }

    /// A unique name for the cgroups of a run. Another process can tell from it whether its owner still exists.
    pub(crate) fn new_run_name(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("modelscan-{}-{}-{}-{count}", self.pid_namespace, std::process::id(), self.start_time)
    }

    /// Whether a name is from [`Self::new_run_name`] in the same pid namespace, and its owner no longer exists.
    pub(crate) fn is_abandoned(&self, run_name: &str) -> bool {
        let prefix = format!("modelscan-{}-", self.pid_namespace);
        let Some(rest) = run_name.strip_prefix(&prefix) else { return false };
        let mut parts = rest.split('-');
        let pid = parts.next().and_then(|pid| pid.parse().ok());
        let Some((pid, start)) = pid.zip(parts.next().and_then(|start| start.parse::<u64>().ok())) else {
            return false;
        };
        let running = if pid == std::process::id() { Some(self.start_time) } else { start_time(pid) };
        running != Some(start)
    }
}

/// The start time of a running process, in clock ticks since boot. `None`: no such process, or a zombie, which keeps its id until it is waited for.
fn start_time(pid: u32) -> Option<u64> {
    let stat = read_file(format!("/proc/{pid}/stat"));
    let mut fields = stat_fields(&stat);
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(START_TIME - 1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ended_owners_are_abandoned() {
        let own = ProcessIdentity::read();
        let name = own.new_run_name();
        assert!(!own.is_abandoned(&name));
        let earlier = format!("modelscan-{}-{}-1-0", own.pid_namespace, std::process::id());
        assert!(own.is_abandoned(&earlier), "the same process id, an earlier process");
        for foreign in ["modelscan-0-1-1-0", "system.slice", "modelscan-", &name.replace('-', "_")] {
            assert!(!own.is_abandoned(foreign), "{foreign}");
        }
    }
}
