//! Quotas on all processes of a run together, by cgroups of version 1 or 2. Each run creates its own cgroups, sets their limits, and removes
//! them at its end. Their names identify the supervisor, so that the next run can remove the cgroups of a killed supervisor and no others.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::device_program::{self, Device};
use super::parents::{self, CgroupParents, CgroupVersion};
use crate::sys::calls;
use crate::sys::process::ProcessIdentity;

/// The limits of a run.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    /// Bytes.
    pub(crate) memory: u64,
    pub(crate) pids: u32,
    /// Processors' worth of time.
    pub(crate) cpus: f64,
    pub(crate) devices: Vec<Device>,
}

/// A resource that cgroups may limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Memory,
    Pids,
    Cpus,
    Devices,
}

/// The cgroups of one run.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    version: Option<CgroupVersion>,
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
    cpu: Option<PathBuf>,
    devices: Option<PathBuf>,
    /// The directories that this run created, in order, each once.
    created: Vec<PathBuf>,
    /// The directory of version 2, for CLONE_INTO_CGROUP.
    v2_fd: Option<OwnedFd>,
    devices_enforced: bool,
    counters: Counters,
}

/// The files in which the kernel counts events for the report.
#[derive(Debug, Default)]
struct Counters {
    memory_kills: Option<fs::File>,
    denied_forks: Option<fs::File>,
    peak: Option<fs::File>,
}

/// The period of the CPU bandwidth controller, in microseconds.
const CPU_PERIOD_US: f64 = 100_000.0;

impl Cgroups {
    /// Creates the cgroups and sets their limits. A controller without a parent is left out; the plan has decided whether that is acceptable.
    pub(crate) fn create(parents: &CgroupParents, name: &str, quota: &Quota) -> io::Result<Self> {
        let mut groups = Self::default();
        groups.version = parents.version;
        match groups.set_up(parents, name, quota) {
            Ok(()) => Ok(groups),
            Err(error) => {
                groups.remove();
                Err(error)
            }
        }
    }

    fn set_up(&mut self, parents: &CgroupParents, name: &str, quota: &Quota) -> io::Result<()> {
        self.memory = self.directory(parents.memory.as_deref(), name)?;
        self.pids = self.directory(parents.pids.as_deref(), name)?;
        self.cpu = self.directory(parents.cpu.as_deref(), name)?;
        self.devices = self.directory(parents.devices.as_deref(), name)?;
        match self.version {
            None => Ok(()),
            Some(CgroupVersion::V1) => self.limit_v1(quota),
            Some(CgroupVersion::V2) => self.limit_v2(quota),
        }
    }

    fn limit_v1(&mut self, quota: &Quota) -> io::Result<()> {
        write(&self.memory, "memory.limit_in_bytes", &quota.memory.to_string())?;
        // The file exists only where swap is accounted; elsewhere there is no swap to limit.
        let _ = write(&self.memory, "memory.memsw.limit_in_bytes", &quota.memory.to_string());
        write(&self.pids, "pids.max", &quota.pids.to_string())?;
        write(&self.cpu, "cpu.cfs_quota_us", &cpu_quota_us(quota).to_string())?;
        if let Some(directory) = &self.devices {
            write(&self.devices, "devices.deny", "a")?;
            // One open for all lines: opening a cgroup file costs more than writing to it.
            let allow = fs::OpenOptions::new().write(true).open(directory.join("devices.allow"))?;
            for device in &quota.devices {
                (&allow).write_all(device.rule().as_bytes())?;
            }
            self.devices_enforced = true;
        }
        Ok(())
    }

    fn limit_v2(&mut self, quota: &Quota) -> io::Result<()> {
        write(&self.memory, "memory.max", &quota.memory.to_string())?;
        write(&self.memory, "memory.oom.group", "1")?;
        let _ = write(&self.memory, "memory.swap.max", "0");
        write(&self.pids, "pids.max", &quota.pids.to_string())?;
        write(&self.cpu, "cpu.max", &format!("{} {CPU_PERIOD_US}", cpu_quota_us(quota)))?;
        if let Some(directory) = self.created.first() {
            let fd = OwnedFd::from(fs::File::open(directory)?);
            let program = device_program::compile(&quota.devices);
            self.devices_enforced = calls::attach_device_program(&program, fd.as_fd()).is_ok();
            self.v2_fd = Some(fd);
        }
        Ok(())
    }

    fn directory(&mut self, parent: Option<&Path>, name: &str) -> io::Result<Option<PathBuf>> {
        let Some(parent) = parent else {
            return Ok(None);
        };
        let path = parent.join(name);
        if !self.created.contains(&path) {
            fs::create_dir(&path)?;
            self.created.push(path.clone());
        }
        Ok(Some(path))
    }

    /// The cgroup of version 2 in which to create the child.
    pub(crate) fn v2_fd(&self) -> Option<BorrowedFd<'_>> {
        self.v2_fd.as_ref().map(AsFd::as_fd)
    }

    /// Descriptors of each cgroup's `tasks` file; the child adds itself by writing 0. Moving another process would take 5 to 20 ms, since the
    /// kernel then waits for an RCU grace period. Empty for version 2, where the child is created in its cgroup.
    pub(crate) fn tasks_fds(&self) -> io::Result<Vec<OwnedFd>> {
        if self.v2_fd.is_some() {
            return Ok(Vec::new());
        }
        let open = |path: &PathBuf| fs::OpenOptions::new().write(true).open(path.join("tasks")).map(OwnedFd::from);
        self.created.iter().map(open).collect()
    }

    /// The version whose cgroup limits the resource; `None`: no cgroup does.
    pub(crate) fn enforcing_version(&self, resource: Resource) -> Option<CgroupVersion> {
        let enforced = match resource {
            Resource::Memory => self.memory.is_some(),
            Resource::Pids => self.pids.is_some(),
            Resource::Cpus => self.cpu.is_some(),
            Resource::Devices => self.devices_enforced,
        };
        self.version.filter(|_| enforced)
    }

    /// Kills all processes (version 2), and lifts the CPU quota first: throttled processes would die only in the next period.
    pub(crate) fn kill(&self) {
        match self.version {
            Some(CgroupVersion::V1) => drop(write(&self.cpu, "cpu.cfs_quota_us", "-1")),
            Some(CgroupVersion::V2) => {
                let _ = write(&self.cpu, "cpu.max", "max");
                if let Some(path) = self.created.first() {
                    let _ = fs::write(path.join("cgroup.kill"), "1");
                }
            }
            None => {}
        }
    }

    /// The memory cgroup's path within its hierarchy, as the GPU driver expects it.
    pub(crate) fn path_in_hierarchy(&self) -> Option<PathBuf> {
        parents::path_in_hierarchy(self.memory.as_ref()?)
    }

    /// Opens the counters early, so that the end of the run does not wait for it.
    pub(crate) fn open_counters(&mut self) {
        let v1 = self.version == Some(CgroupVersion::V1);
        let open = |directory: &Option<PathBuf>, file: &str| fs::File::open(directory.as_ref()?.join(file)).ok();
        self.counters = Counters {
            memory_kills: open(&self.memory, if v1 { "memory.oom_control" } else { "memory.events" }),
            denied_forks: open(&self.pids, "pids.events"),
            peak: open(&self.memory, if v1 { "memory.max_usage_in_bytes" } else { "memory.peak" }),
        };
    }

    /// How many processes were killed because of the memory quota.
    pub(crate) fn memory_kills(&self) -> u64 {
        field(&self.counters.memory_kills, "oom_kill")
    }

    /// How many forks failed because of the pids quota.
    pub(crate) fn denied_forks(&self) -> u64 {
        field(&self.counters.denied_forks, "max")
    }

    /// The peak memory use, in bytes.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        read_now(&self.counters.peak).trim().parse().ok()
    }

    /// Removes the created directories in reverse order: while any of them exists the first one does, and a sweep finds it. A dead process leaves
    /// its cgroup with a delay, so this retries for up to two seconds.
    pub(crate) fn remove(&mut self) {
        let until = Instant::now() + Duration::from_secs(2);
        self.v2_fd = None;
        while let Some(path) = self.created.last() {
            match fs::remove_dir(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    if Instant::now() > until {
                        return;
                    }
                    std::thread::sleep(Duration::from_micros(200));
                }
                _ => drop(self.created.pop()),
            }
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.remove();
    }
}

fn cpu_quota_us(quota: &Quota) -> u64 {
    (quota.cpus * CPU_PERIOD_US).max(1000.0) as u64
}

fn write(directory: &Option<PathBuf>, file: &str, text: &str) -> io::Result<()> {
    match directory {
        Some(directory) => fs::write(directory.join(file), text)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {text}: {e}", directory.join(file).display()))),
        None => Ok(()),
    }
}

/// The current content of a counter file.
fn read_now(file: &Option<fs::File>) -> String {
    let mut text = [0; 1024];
    let got = file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
    String::from_utf8_lossy(text.get(..got).unwrap_or_default()).into_owned()
}

fn field(file: &Option<fs::File>, name: &str) -> u64 {
    let text = read_now(file);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    value.unwrap_or(0)
}

/// Removes the empty cgroups of runs whose supervisor no longer exists.
pub(crate) fn sweep(parents: &CgroupParents, own: &ProcessIdentity) {
    let directories: Vec<&PathBuf> =
        [&parents.memory, &parents.pids, &parents.cpu, &parents.devices].into_iter().flatten().collect();
    // The first directory is created first and removed last, so it lists all abandoned runs.
    let Some(first) = directories.first() else { return };
    for entry in fs::read_dir(first).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| own.is_abandoned(name)) {
            continue;
        }
        // A cgroup with processes cannot be removed; then the first directory stays, and a later sweep finds it.
        let _ = directories.iter().rev().try_for_each(|parent| match fs::remove_dir(parent.join(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
    }
}
