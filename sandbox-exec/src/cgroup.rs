//! Quotas over everything inside together. Both versions of cgroups are served: each run makes directories of its own beneath where the
//! caller stands (or the nearest place above that may have children with the controllers), sets them, and removes them. A name tells
//! whose they are, so that what a killed supervisor left is swept by the next run and nothing of another's is ever touched.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cgroup_place::{Place, Version, read};
use crate::device_rule::{self, Device};
use crate::sys;

/// What is limited.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    pub(crate) memory: u64,
    pub(crate) pids: u32,
    pub(crate) cpus: f64,
    pub(crate) devices: Vec<Device>,
}

/// The cgroups of one run.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    version: Option<Version>,
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
    cpu: Option<PathBuf>,
    devices: Option<PathBuf>,
    /// Every directory that we made, each once.
    made: Vec<PathBuf>,
    /// The directory of version 2, to be born into.
    unified: Option<OwnedFd>,
    devices_enforced: bool,
    counters: Counters,
}

/// What the kernel counts for the report.
#[derive(Debug, Default)]
struct Counters {
    kills: Option<fs::File>,
    refusals: Option<fs::File>,
    peak: Option<fs::File>,
}

/// Processor time is handed out in periods of this length.
const PERIOD_US: f64 = 100_000.0;

impl Cgroups {
    /// Makes and limits the cgroups. What cannot be had is `None`; whether that will do is for the plan to say.
    pub(crate) fn make(place: &Place, name: &str, quota: &Quota) -> io::Result<Self> {
        let mut groups = Self::default();
        groups.version.clone_from(&place.version);
        match groups.fill(place, name, quota) {
            Ok(()) => Ok(groups),
            Err(error) => {
                groups.remove();
                Err(error)
            }
        }
    }

    fn fill(&mut self, place: &Place, name: &str, quota: &Quota) -> io::Result<()> {
        self.memory = self.directory(place.memory.as_deref(), name)?;
        self.pids = self.directory(place.pids.as_deref(), name)?;
        self.cpu = self.directory(place.cpu.as_deref(), name)?;
        self.devices = self.directory(place.devices.as_deref(), name)?;
        let max_cpu = (quota.cpus * PERIOD_US).max(1000.0) as u64;
        match self.version {
            None => Ok(()),
            Some(Version::One) => {
                write(&self.memory, "memory.limit_in_bytes", &quota.memory.to_string())?;
                // Present only where swap is accounted; where it is not, there is nothing to limit.
                let _ = write(&self.memory, "memory.memsw.limit_in_bytes", &quota.memory.to_string());
                write(&self.pids, "pids.max", &quota.pids.to_string())?;
                write(&self.cpu, "cpu.cfs_quota_us", &max_cpu.to_string())?;
                if let Some(directory) = &self.devices {
                    write(&self.devices, "devices.deny", "a")?;
                    // To open a file of a cgroup costs more than to write to it, which is done for each line.
                    let allow = fs::OpenOptions::new().write(true).open(directory.join("devices.allow"))?;
                    for device in &quota.devices {
                        (&allow).write_all(device.rule().as_bytes())?;
                    }
                    self.devices_enforced = true;
                }
                Ok(())
            }
            Some(Version::Two) => {
                write(&self.memory, "memory.max", &quota.memory.to_string())?;
                write(&self.memory, "memory.oom.group", "1")?;
                let _ = write(&self.memory, "memory.swap.max", "0");
                write(&self.pids, "pids.max", &quota.pids.to_string())?;
                write(&self.cpu, "cpu.max", &format!("{max_cpu} {PERIOD_US}"))?;
                if let Some(directory) = self.made.first() {
                    let fd = OwnedFd::from(fs::File::open(directory)?);
                    let program = device_rule::program(&quota.devices);
                    self.devices_enforced = sys::attach_device_program(&program, fd.as_fd()).is_ok();
                    self.unified = Some(fd);
                }
                Ok(())
            }
        }
    }

    fn directory(&mut self, parent: Option<&Path>, name: &str) -> io::Result<Option<PathBuf>> {
        let Some(parent) = parent else {
            return Ok(None);
        };
        let path = parent.join(name);
        if !self.made.contains(&path) {
            fs::create_dir(&path)?;
            self.made.push(path.clone());
        }
        Ok(Some(path))
    }

    /// Where a child of version 2 is born.
    pub(crate) fn unified(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// What a process that was not born in the groups writes `0` to, in order to enter them by itself. A process of one thread that moves itself
    /// moves at once; to move another's, the kernel first waits until every processor has passed a quiet point: 5 to 20 ms.
    pub(crate) fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        if self.unified.is_some() {
            return Ok(Vec::new());
        }
        let open = |path: &PathBuf| fs::OpenOptions::new().write(true).open(path.join("tasks")).map(OwnedFd::from);
        self.made.iter().map(open).collect()
    }

    /// `cgroup1` or `cgroup2`, for what is limited by them.
    pub(crate) fn named(&self, what: &str) -> Option<&'static str> {
        let held = match what {
            "memory" => self.memory.is_some(),
            "pids" => self.pids.is_some(),
            "cpus" => self.cpu.is_some(),
            _ => self.devices_enforced,
        };
        self.version.filter(|_| held).map(Version::name)
    }

    /// Lets everything run to its end: a group that has used up its processor time would otherwise die only in the next period.
    pub(crate) fn kill(&self) {
        match self.version {
            Some(Version::One) => drop(write(&self.cpu, "cpu.cfs_quota_us", "-1")),
            Some(Version::Two) => {
                let _ = write(&self.cpu, "cpu.max", "max");
                if let Some(path) = self.made.first() {
                    let _ = fs::write(path.join("cgroup.kill"), "1");
                }
            }
            None => {}
        }
    }

    /// The group as `/proc/PID/cgroup` names it: from the top of its hierarchy, where the driver of a GPU looks for it too.
    pub(crate) fn name_in_hierarchy(&self) -> Option<PathBuf> {
        crate::cgroup_place::name_in_hierarchy(self.memory.as_ref()?)
    }

    /// Opens what is read in the end, while nobody waits.
    pub(crate) fn open_counters(&mut self) {
        let one = self.version == Some(Version::One);
        let open = |directory: &Option<PathBuf>, file: &str| fs::File::open(directory.as_ref()?.join(file)).ok();
        self.counters = Counters {
            kills: open(&self.memory, if one { "memory.oom_control" } else { "memory.events" }),
            refusals: open(&self.pids, "pids.events"),
            peak: open(&self.memory, if one { "memory.max_usage_in_bytes" } else { "memory.peak" }),
        };
    }

    /// How often the memory quota killed something.
    pub(crate) fn memory_kills(&self) -> u64 {
        field(&self.counters.kills, "oom_kill")
    }

    /// How often a process or thread more than the quota was asked for.
    pub(crate) fn pids_refused(&self) -> u64 {
        field(&self.counters.refusals, "max")
    }

    /// The most memory in use at once.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        now(&self.counters.peak).trim().parse().ok()
    }

    /// Removes what was made, what was made first last: as long as any of it is there, the first is, and a sweep finds it. Processes leave a
    /// cgroup a moment after they are seen to be dead, so this tries for a while.
    pub(crate) fn remove(&mut self) {
        let until = Instant::now() + Duration::from_secs(2);
        self.unified = None;
        while let Some(path) = self.made.last() {
            match fs::remove_dir(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    if Instant::now() > until {
                        return;
                    }
                    std::thread::sleep(Duration::from_micros(200));
                }
                _ => drop(self.made.pop()),
            }
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.remove();
    }
}

fn write(directory: &Option<PathBuf>, file: &str, text: &str) -> io::Result<()> {
    match directory {
        Some(directory) => fs::write(directory.join(file), text)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {text}: {e}", directory.join(file).display()))),
        None => Ok(()),
    }
}

/// What a file says now, however often it was read before.
fn now(file: &Option<fs::File>) -> String {
    let mut text = [0; 1024];
    let got = file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
    String::from_utf8_lossy(text.get(..got).unwrap_or_default()).into_owned()
}

fn field(file: &Option<fs::File>, name: &str) -> u64 {
    let text = now(file);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    value.unwrap_or(0)
}

/// What tells this process from every other: looked up once, as each look costs three system calls and what the kernel does to write it out.
#[derive(Debug)]
pub(crate) struct Own {
    /// The pid namespace, in which process numbers mean something.
    namespace: String,
    start: u64,
    /// From the first argument to the last variable of the environment, as the kernel remembers them.
    pub(crate) arguments: (u64, u64),
}

impl Own {
    pub(crate) fn look() -> Self {
        let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let stat = read("/proc/self/stat");
        let after = stat.rsplit_once(')').map_or("", |parts| parts.1);
        let field = |at: usize| after.split_ascii_whitespace().nth(at).and_then(|f| f.parse().ok()).unwrap_or(0);
        Self {
            namespace: link.to_string_lossy().chars().filter(char::is_ascii_digit).collect(),
            start: field(START),
            arguments: (field(ARGUMENTS), field(ENVIRONMENT_END)),
        }
    }

    /// A name that no other run has, and from which the next one can tell whether its owner is gone.
    pub(crate) fn name(&self) -> String {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        format!("modelscan-{}-{}-{}-{count}", self.namespace, std::process::id(), self.start)
    }
}

/// Places in `/proc/PID/stat`, counted from the state on.
const START: usize = 19;
const ARGUMENTS: usize = 45;
const ENVIRONMENT_END: usize = 48;

/// When a living process was started, in ticks since boot.
fn started(pid: u32) -> Option<u64> {
    let stat = read(format!("/proc/{pid}/stat"));
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    // The dead keep their number until someone asks after them.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(START - 1)?.parse().ok()
}

/// Removes empty cgroups of runs whose supervisor is gone.
pub(crate) fn sweep(place: &Place, own: &Own) {
    let parents: Vec<&PathBuf> =
        [&place.memory, &place.pids, &place.cpu, &place.devices].into_iter().flatten().collect();
    // What is made first and removed last tells of all.
    let Some(first) = parents.first() else { return };
    let prefix = format!("modelscan-{}-", own.namespace);
    for entry in fs::read_dir(first).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else {
            continue;
        };
        let mut parts = rest.split('-');
        let (Some(pid), Some(start)) =
            (parts.next().and_then(|p| p.parse().ok()), parts.next().and_then(|s| s.parse::<u64>().ok()))
        else {
            continue;
        };
        let alive = if pid == std::process::id() { Some(own.start) } else { started(pid) };
        if alive != Some(start) {
            // Only an empty one can be removed; one with processes in it stays, and so does what tells of it.
            let _ = parents.iter().rev().try_for_each(|parent| match fs::remove_dir(parent.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            });
        }
    }
}
