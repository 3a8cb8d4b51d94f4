//! The plan of a run: everything is checked and decided here, before anything is created, so that a refused run leaves nothing to clean up.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use quantity::ByteSize;

use crate::cgroup::device_program::{self, Device};
use crate::cgroup::parents::CgroupParents;
use crate::cgroup::quota::Quota;
use crate::cgroup::systemd_scope;
use crate::gpu::devices::{self, Gpu};
use crate::policy::mount_entry::{MountEntry, MountKind};
use crate::policy::permission::Permission;
use crate::policy::profile::{Limits, Profile, ReadOnlyPath};
use crate::policy::request::Request;
use crate::policy::target::Target;
use crate::sys::calls;
use crate::sys::error::Error;
use crate::sys::process::read_file;

/// The user and group id inside. Outside they are the caller's, or for root unused ids.
pub(crate) const ID_INSIDE: u32 = 1000;
/// The first id for runs of root; above the ranges that distributions assign.
const FIRST_UNUSED_ID: u32 = 0x7000_0000;
/// The id of `nobody`, where the range above is not mapped.
const NOBODY: u32 = 65534;

/// What a run will do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) profile: String,
    pub(crate) limits: Limits,
    pub(crate) permissions: Vec<Permission>,
    pub(crate) entries: Vec<MountEntry>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) hosts: Vec<String>,
    pub(crate) outside_uid: u32,
    pub(crate) outside_gid: u32,
    pub(crate) as_root: bool,
    pub(crate) out: Option<PathBuf>,
    pub(crate) results: Vec<String>,
    pub(crate) cgroup_parents: CgroupParents,
    pub(crate) quota: Quota,
    /// The Landlock ABI of the kernel; 0: none.
    pub(crate) landlock_abi: u32,
    /// Processors to set as the affinity; empty: no change.
    pub(crate) cpu_set: Vec<usize>,
    pub(crate) gpu: Option<Gpu>,
}

impl Plan {
    /// Whether a permission is granted.
    pub(crate) fn allows(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// Decides what to do for a request, and refuses what this host cannot enforce.
    pub(crate) fn new(request: &Request) -> Result<Self, Error> {
        let profile = &request.profile;
        request.check_waivers()?;
        let (uid, gid) = calls::effective_ids();
        let as_root = uid == 0;
        let (outside_uid, outside_gid) = if as_root { unused_ids() } else { (uid, gid) };
        let gpu = request.gpu.as_deref().map(|which| devices::find(which, request)).transpose()?;
        let entries = entries(profile, gpu.as_ref())?;
        let landlock_abi = calls::landlock_abi();
        let hint = "boot with lsm=landlock,... (kernel 5.13 or newer)";
        request.require(landlock_abi > 0, "landlock", "the kernel has no Landlock", hint)?;
        let cgroup_parents = find_cgroup_parents(request)?;
        let limits = profile.limits.clone();
        check_limits(&limits)?;
        check_hosts(profile)?;
        let quota = Quota {
            memory: limits.memory.0,
            // One more, for the first process of the sandbox.
            pids: limits.pids.saturating_add(1),
            cpus: limits.cpus,
            devices: permitted_devices(gpu.as_ref()),
        };
        Ok(Self {
            profile: profile.name.clone(),
            permissions: profile.allow.iter().map(|row| row.name).collect(),
            entries,
            env: environment(profile, gpu.as_ref()),
            hosts: profile.network.iter().map(|row| row.host.clone()).collect(),
            outside_uid,
            outside_gid,
            as_root,
            out: request.out.clone(),
            results: profile.results.clone(),
            cpu_set: cpu_set(&limits, &cgroup_parents)?,
            cgroup_parents,
            quota,
            landlock_abi,
            gpu,
            limits,
        })
    }
}

fn find_cgroup_parents(request: &Request) -> Result<CgroupParents, Error> {
    let mut parents = CgroupParents::find();
    let mut reason = "no cgroup with this controller can be created here".to_owned();
    if parents.memory.is_none() && calls::effective_ids().0 != 0 {
        match systemd_scope::enter() {
            Ok(()) => parents = CgroupParents::find(),
            Err(error) => reason.push_str(&format!(" ({error})")),
        }
    }
    let hint = "run as root, or as a user whose service manager (systemd --user) runs and has the controllers memory, pids and cpu";
    for (protection, available) in
        [("memory", parents.memory.is_some()), ("pids", parents.pids.is_some()), ("cpus", parents.cpu.is_some())]
    {
        request.require(available, protection, &reason, hint)?;
    }
    Ok(parents)
}

/// A year: a longer limit is a typing mistake.
const MAX_TIMEOUT: Duration = Duration::from_secs(366 * 86_400);
/// 1 EiB: the kernel rounds sizes up to pages, and a larger one might overflow to zero, which tmpfs takes for no limit.
const MAX_SIZE: ByteSize = ByteSize(1 << 60);
const MIN_MEMORY: ByteSize = ByteSize(4 << 20);

fn check_limits(limits: &Limits) -> Result<(), Error> {
    let refuse = |key: &str, reason: String| Err(Error::request(format!("limits.{key}"), reason));
    for (key, size) in [
        ("memory", limits.memory),
        ("scratch", limits.scratch),
        ("output", limits.output),
        ("out", limits.out),
        ("locked-memory", limits.locked_memory),
    ] {
        if size > MAX_SIZE {
            return refuse(key, format!("{size} is more than 1 EiB"));
        }
    }
    if limits.memory < MIN_MEMORY {
        return refuse("memory", format!("less than {MIN_MEMORY}, with which no program starts"));
    }
    if !(limits.cpus > 0.0 && limits.cpus <= 4096.0) {
        return refuse("cpus", "must be more than 0 and at most 4096".into());
    }
    if limits.pids == 0 {
        return refuse("pids", "must be at least 1".into());
    }
    if limits.timeout.0.is_zero() || limits.timeout.0 > MAX_TIMEOUT {
        return refuse("timeout", "must be more than 0 and at most 366 days".into());
    }
    Ok(())
}

fn check_hosts(profile: &Profile) -> Result<(), Error> {
    match profile.network.iter().find(|row| Target::from_profile(&row.host).is_none()) {
        Some(row) => Err(Error::request("network", format!("`{}` is not a host name, or host:port", row.host))
            .with_hint("IP addresses are not permitted")),
        None => Ok(()),
    }
}

/// Ids that no other process has while this one exists.
fn unused_ids() -> (u32, u32) {
    let map = read_file("/proc/self/uid_map");
    let is_complete = map.split_ascii_whitespace().nth(2) == Some("4294967295");
    let id = if is_complete { FIRST_UNUSED_ID.saturating_add(std::process::id() & 0x3f_ffff) } else { NOBODY };
    (id, id)
}

const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

fn entries(profile: &Profile, gpu: Option<&Gpu>) -> Result<Vec<MountEntry>, Error> {
    let mut entries = profile.read.iter().filter_map(|row| entry(row).transpose()).collect::<Result<Vec<_>, _>>()?;
    entries.extend(DEVICES.map(|node| MountEntry::device(Path::new(node))));
    if let Some(gpu) = gpu {
        entries.extend(gpu.nodes.iter().map(|node| MountEntry::device(node)));
        entries.extend(gpu.entries.iter().cloned());
    }
    Ok(ordered(entries))
}

/// The mount of a readable path. `None`: an optional path that does not exist.
fn entry(row: &ReadOnlyPath) -> Result<Option<MountEntry>, Error> {
    let shown = row.path.display();
    let dest = row.dest.as_ref().unwrap_or(&row.path);
    if !dest.is_absolute()
        || dest.components().any(|part| matches!(part, Component::ParentDir))
        || dest == Path::new("/")
    {
        return Err(Error::request(format!("path inside {}", dest.display()), "not an absolute path below /"));
    }
    // Mounts of the sandbox cover these later, or they hold its devices.
    if ["/proc", "/dev", "/tmp", "/out"].iter().any(|own| dest.starts_with(own)) {
        return Err(Error::request(format!("path inside {}", dest.display()), "used by the sandbox itself")
            .with_hint(format!("choose another path inside (--ro {shown}:/data)")));
    }
    let link = fs::symlink_metadata(&row.path);
    if link.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) && row.optional {
        return Ok(None);
    }
    let unreadable =
        |e: std::io::Error| Error::request(shown.to_string(), format!("cannot be made readable inside: {e}"));
    let is_system_link = row.optional && row.dest.is_none() && link.map_err(unreadable)?.file_type().is_symlink();
    if is_system_link {
        let target = fs::read_link(&row.path).map_err(unreadable)?;
        return Ok(Some(MountEntry { dest: dest.clone(), kind: MountKind::Link { target } }));
    }
    let source = fs::canonicalize(&row.path).map_err(unreadable)?;
    let metadata = fs::metadata(&source).map_err(unreadable)?;
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(Error::request(shown.to_string(), "neither a file nor a folder"));
    }
    let kind = MountKind::Bind { source, is_folder: metadata.is_dir() };
    Ok(Some(MountEntry { dest: dest.clone(), kind }))
}

/// Parents before children. Of several entries with one path the last counts, since options come after the profile.
fn ordered(entries: Vec<MountEntry>) -> Vec<MountEntry> {
    let mut seen = HashSet::new();
    let mut kept: Vec<MountEntry> = entries.into_iter().rev().filter(|entry| seen.insert(entry.dest.clone())).collect();
    kept.reverse();
    kept.sort_by_key(|entry| entry.dest.components().count());
    kept
}

fn permitted_devices(gpu: Option<&Gpu>) -> Vec<Device> {
    let mut permitted = device_program::ALWAYS.to_vec();
    permitted.extend(gpu.iter().flat_map(|gpu| &gpu.nodes).filter_map(|node| device(node)));
    permitted
}

fn device(node: &Path) -> Option<Device> {
    let metadata = fs::metadata(node).ok().filter(|metadata| metadata.file_type().is_char_device())?;
    Some(Device { major: rustix::fs::major(metadata.rdev()), minor: rustix::fs::minor(metadata.rdev()) })
}

fn environment(profile: &Profile, gpu: Option<&Gpu>) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: OsString, value: OsString| {
        env.retain(|(known, _)| *known != name);
        env.push((name, value));
    };
    for row in &profile.env {
        let value = row.value.clone().map(OsString::from).or_else(|| std::env::var_os(&row.name));
        if let Some(value) = value {
            set(row.name.clone().into(), value);
        }
    }
    for (name, value) in gpu.iter().flat_map(|gpu| &gpu.env) {
        set(name.into(), value.into());
    }
    env
}

/// The processors of the profile. Without a cgroup for processor time, as many of the caller's as the limit permits.
fn cpu_set(limits: &Limits, parents: &CgroupParents) -> Result<Vec<usize>, Error> {
    match &limits.cpu_set {
        Some(text) => parse_cpu_set(text).ok_or_else(|| {
            Error::request("limits.cpu-set", format!("`{text}` is not a set of processors"))
                .with_hint("write for example 0,2-3")
        }),
        None if parents.cpu.is_none() => Ok(available_cpus(limits.cpus.ceil() as usize)),
        None => Ok(Vec::new()),
    }
}

fn available_cpus(count: usize) -> Vec<usize> {
    let Ok(affinity) = rustix::thread::sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| affinity.is_set(*cpu)).take(count).collect()
}

/// Parses a list such as `0,2-3`; numbers are below 1024, the size of `cpu_set_t`.
fn parse_cpu_set(text: &str) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last < first || last >= 1024 {
            return None;
        }
        found.extend(first..=last);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_processors_are_parsed() {
        assert_eq!(parse_cpu_set("0,2-3"), Some(vec![0, 2, 3]));
        for bad in ["", "x", "3-1", "0-99999999"] {
            assert_eq!(parse_cpu_set(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_last_entry_of_a_path_counts() {
        let link = |dest: &str, to: &str| MountEntry { dest: dest.into(), kind: MountKind::Link { target: to.into() } };
        let kept = ordered(vec![link("/a/b", "1"), link("/usr", "2"), link("/bin", "3"), link("/usr", "4")]);
        let shown: Vec<_> = kept.iter().map(|entry| format!("{:?}", (&entry.dest, &entry.kind))).collect();
        assert_eq!(kept.len(), 3);
        assert!(shown.iter().any(|row| row.contains("\"4\"")) && !shown.iter().any(|row| row.contains("\"2\"")));
        assert_eq!(kept.last().map(|entry| entry.dest.as_path()), Some(Path::new("/a/b")));
    }

    #[test]
    fn paths_of_the_sandbox_itself_are_refused() {
        for dest in ["/proc/x", "/tmp", "/tmp/x", "/out/x", "/dev/shm", "/", "relative", "/a/../b"] {
            let row =
                ReadOnlyPath { path: "/usr".into(), dest: Some(dest.into()), why: "test".into(), optional: false };
            assert!(entry(&row).is_err(), "{dest}");
        }
    }

    #[test]
    fn limits_out_of_range_are_refused() -> Result<(), Box<dyn std::error::Error>> {
        assert!(check_limits(&Limits::default()).is_ok());
        let sizes = ["9999999TiB", "3MiB"].map(str::parse::<ByteSize>);
        for memory in sizes {
            assert!(check_limits(&Limits { memory: memory?, ..Limits::default() }).is_err());
        }
        assert!(check_limits(&Limits { scratch: "2097152TiB".parse()?, ..Limits::default() }).is_err());
        for timeout in ["0", "1000000h"] {
            assert!(check_limits(&Limits { timeout: timeout.parse()?, ..Limits::default() }).is_err(), "{timeout}");
        }
        Ok(())
    }
}
