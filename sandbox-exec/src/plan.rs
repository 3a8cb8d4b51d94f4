//! From what is asked for and what this host has to what will be done: everything is decided here, before anything is made, so that a
//! run that cannot be as asked is refused with nothing to clean up.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use crate::cgroup::Quota;
use crate::cgroup_place::Place;
use crate::device_rule::{self, Device};
use crate::error::Error;
use crate::gpu;
use crate::hole::Hole;
use crate::profile::{Limits, Profile, Readable};
use crate::request::Request;
use crate::request_line::Target;
use crate::{scope, sys};

/// The user inside. Outside it is the caller, or, when started by root, a number that belongs to nobody.
pub(crate) const INSIDE_ID: u32 = 1000;
/// Where ids for runs of root begin; above every range that distributions hand out.
const UNUSED_IDS: u32 = 0x7000_0000;
/// The id for nobody, where the range above is not mapped.
const NOBODY: u32 = 65534;

/// What will be done.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) profile: String,
    pub(crate) limits: Limits,
    pub(crate) holes: Vec<Hole>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) hosts: Vec<String>,
    pub(crate) outside_uid: u32,
    pub(crate) outside_gid: u32,
    pub(crate) as_root: bool,
    pub(crate) out: Option<PathBuf>,
    pub(crate) results: Vec<String>,
    pub(crate) place: Place,
    pub(crate) quota: Quota,
    pub(crate) landlock: u32,
    pub(crate) cpu_set: Vec<usize>,
    pub(crate) gpu: Option<gpu::Gpu>,
}

/// One thing in the root.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) dest: PathBuf,
    pub(crate) kind: Kind,
}

/// How it gets there.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A folder or file of the host, read-only.
    Bind { source: PathBuf, folder: bool },
    /// A device node of the host.
    Device { source: PathBuf },
    /// A link.
    Link { target: PathBuf },
}

impl Entry {
    /// A folder of the host at a place inside.
    pub(crate) fn folder(source: &Path, dest: &Path) -> Self {
        Self { dest: dest.to_owned(), kind: Kind::Bind { source: source.to_owned(), folder: true } }
    }
}

impl Plan {
    pub(crate) fn allows(&self, hole: Hole) -> bool {
        self.holes.contains(&hole)
    }

    /// Decides.
    pub(crate) fn make(request: &Request) -> Result<Self, Error> {
        let profile = &request.profile;
        check_waivers(request)?;
        let (uid, gid) = sys::ids();
        let as_root = uid == 0;
        let (outside_uid, outside_gid) = if as_root { outside_ids() } else { (uid, gid) };
        let gpu = request.gpu.as_deref().map(|which| gpu::find(which, request)).transpose()?;
        let mut entries =
            profile.read.iter().filter_map(|row| entry(row).transpose()).collect::<Result<Vec<_>, _>>()?;
        entries.extend(devices());
        entries.extend(gpu.iter().flat_map(|gpu| gpu.nodes.iter()).map(|node| node_entry(node)));
        entries.extend(gpu.iter().flat_map(|gpu| gpu.entries.iter().cloned()));
        let entries = ordered(entries);
        let landlock = sys::landlock_abi();
        need(
            request,
            landlock > 0,
            "landlock",
            "the kernel has no Landlock",
            "boot with lsm=landlock,... (kernel 5.13 or newer)",
        )?;
        let place = find_place(request)?;
        let limits = profile.limits.clone();
        check_limits(&limits)?;
        check_hosts(profile)?;
        let mut listed = device_rule::ALWAYS.to_vec();
        listed.extend(gpu.iter().flat_map(|gpu| gpu.nodes.iter()).filter_map(|node| device(node)));
        let quota =
            Quota { memory: limits.memory.0, pids: limits.pids.saturating_add(1), cpus: limits.cpus, devices: listed };
        let cpu_set = match &limits.cpu_set {
            Some(text) => cpus(text).ok_or_else(|| {
                Error::Request(format!("`{text}` is not a set of processors; write for example 0,2-3"))
            })?,
            None if place.cpu.is_none() => own_cpus(limits.cpus.ceil() as usize),
            None => Vec::new(),
        };
        Ok(Self {
            profile: profile.name.clone(),
            holes: profile.allow.iter().map(|row| row.name).collect(),
            entries,
            env: environment(profile, gpu.as_ref()),
            hosts: profile.network.iter().map(|row| row.host.clone()).collect(),
            outside_uid,
            outside_gid,
            as_root,
            out: request.out.clone(),
            results: profile.results.clone(),
            place,
            quota,
            landlock,
            cpu_set,
            gpu,
            limits,
        })
    }
}

fn need(request: &Request, there: bool, what: &str, why: &str, mend: &str) -> Result<(), Error> {
    if there || request.accepts_weaker(what) {
        return Ok(());
    }
    Err(Error::CannotEnforce { what: what.into(), why: why.into(), mend: mend.into() })
}

fn find_place(request: &Request) -> Result<Place, Error> {
    let mut place = Place::find();
    let mut why = "no cgroup with this controller may be made here".to_owned();
    if place.memory.is_none() && sys::ids().0 != 0 {
        match scope::enter() {
            Ok(()) => place = Place::find(),
            Err(error) => why.push_str(&format!(" ({error})")),
        }
    }
    let mend = "run as root, or as a user whose service manager (systemd --user) runs and has the controllers memory, pids and cpu";
    for (what, there) in
        [("memory", place.memory.is_some()), ("pids", place.pids.is_some()), ("cpus", place.cpu.is_some())]
    {
        need(request, there, what, &why, mend)?;
    }
    Ok(place)
}

/// What a run may go without. The others stand or there is no run, or are had where they can be had and never asked for.
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

/// A misspelt waiver would waive nothing, and the run be refused with a riddle on another host.
fn check_waivers(request: &Request) -> Result<(), Error> {
    match request.weaker.iter().find(|name| !WAIVABLE.contains(&name.as_str())) {
        Some(name) => {
            let known = WAIVABLE.join(", ");
            Err(Error::Request(format!("`{name}` is nothing that can be waived; --allow-weaker takes {known}")))
        }
        None => Ok(()),
    }
}

fn check_limits(limits: &Limits) -> Result<(), Error> {
    let refuse = |message: &str| Err(Error::Request(message.to_owned()));
    if limits.memory.0 < 4 << 20 {
        return refuse("a memory quota below 4MiB starts no program");
    }
    if !(limits.cpus > 0.0 && limits.cpus <= 4096.0) {
        return refuse("cpus must be more than 0");
    }
    if limits.pids == 0 {
        return refuse("pids must be at least 1");
    }
    if limits.timeout.0.is_zero() {
        return refuse("the time limit must be more than 0");
    }
    Ok(())
}

fn check_hosts(profile: &Profile) -> Result<(), Error> {
    match profile.network.iter().find(|row| Target::of_profile(&row.host).is_none()) {
        Some(row) => {
            Err(Error::Request(format!("`{}` is no host name, or host:port; addresses are not let through", row.host)))
        }
        None => Ok(()),
    }
}

/// An id that no one else has while this process lives.
fn outside_ids() -> (u32, u32) {
    let map = crate::cgroup_place::read("/proc/self/uid_map");
    let whole = map.split_ascii_whitespace().nth(2) == Some("4294967295");
    let id = if whole { UNUSED_IDS.saturating_add(std::process::id() & 0x3f_ffff) } else { NOBODY };
    (id, id)
}

fn entry(row: &Readable) -> Result<Option<Entry>, Error> {
    let shown = row.path.display();
    let dest = row.dest.as_ref().unwrap_or(&row.path);
    if !dest.is_absolute()
        || dest.components().any(|part| matches!(part, Component::ParentDir))
        || dest == Path::new("/")
    {
        return Err(Error::Request(format!("{} is no place inside: write an absolute path below /", dest.display())));
    }
    // What is below these would be hidden by what is mounted there later, or stand among the devices.
    if ["/proc", "/dev", "/tmp", "/out"].iter().any(|own| dest.starts_with(own)) {
        return Err(Error::Request(format!(
            "{} inside is the sandbox's own: choose another place (--ro {shown}:/data)",
            dest.display()
        )));
    }
    let link = fs::symlink_metadata(&row.path);
    if link.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) && row.optional {
        return Ok(None);
    }
    let unreadable = |e: std::io::Error| Error::Request(format!("{shown} cannot be made readable inside: {e}"));
    let link = link.map_err(unreadable)?;
    let of_system = row.optional && row.dest.is_none() && link.file_type().is_symlink();
    if of_system {
        let target = fs::read_link(&row.path).map_err(unreadable)?;
        return Ok(Some(Entry { dest: dest.clone(), kind: Kind::Link { target } }));
    }
    let source = fs::canonicalize(&row.path).map_err(unreadable)?;
    let about = fs::metadata(&source).map_err(unreadable)?;
    if !about.is_dir() && !about.is_file() {
        return Err(Error::Request(format!("{shown} is neither a file nor a folder")));
    }
    Ok(Some(Entry { dest: dest.clone(), kind: Kind::Bind { source, folder: about.is_dir() } }))
}

/// Outer places before inner ones. Of several for one place the last counts: what is asked for stands after the profile.
fn ordered(entries: Vec<Entry>) -> Vec<Entry> {
    let mut seen = HashSet::new();
    let mut kept: Vec<Entry> = entries.into_iter().rev().filter(|entry| seen.insert(entry.dest.clone())).collect();
    kept.reverse();
    kept.sort_by_key(|entry| entry.dest.components().count());
    kept
}

fn devices() -> impl Iterator<Item = Entry> {
    ["null", "zero", "full", "random", "urandom"].iter().map(|name| node_entry(&Path::new("/dev").join(name)))
}

fn node_entry(node: &Path) -> Entry {
    Entry { dest: node.to_owned(), kind: Kind::Device { source: node.to_owned() } }
}

fn device(node: &Path) -> Option<Device> {
    let about = fs::metadata(node).ok().filter(|about| about.file_type().is_char_device())?;
    Some(Device { major: rustix::fs::major(about.rdev()), minor: rustix::fs::minor(about.rdev()) })
}

fn environment(profile: &Profile, gpu: Option<&gpu::Gpu>) -> Vec<(OsString, OsString)> {
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

/// So many of the processors that the caller may use.
fn own_cpus(count: usize) -> Vec<usize> {
    let Ok(own) = rustix::thread::sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| own.is_set(*cpu)).take(count).collect()
}

/// `0,2-3` as numbers; no more than a kernel can have.
fn cpus(text: &str) -> Option<Vec<usize>> {
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
    fn only_what_can_be_waived_is_waived() -> Result<(), Error> {
        let mut request = Request::new(Profile::load("eval")?, ["true"]);
        for (name, known) in [("memory", true), ("gpu_memory", true), ("memroy", false), ("seccomp", false)] {
            request.weaker = vec![name.into()];
            assert_eq!(check_waivers(&request).is_ok(), known, "{name}");
        }
        Ok(())
    }

    #[test]
    fn sets_of_processors_are_read() {
        assert_eq!(cpus("0,2-3"), Some(vec![0, 2, 3]));
        for bad in ["", "x", "3-1", "0-99999999"] {
            assert_eq!(cpus(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_last_that_is_asked_for_a_place_has_it() {
        let link = |dest: &str, to: &str| Entry { dest: dest.into(), kind: Kind::Link { target: to.into() } };
        let kept = ordered(vec![link("/a/b", "1"), link("/usr", "2"), link("/bin", "3"), link("/usr", "4")]);
        let shown: Vec<_> = kept.iter().map(|entry| format!("{:?}", (&entry.dest, &entry.kind))).collect();
        assert_eq!(kept.len(), 3);
        assert!(shown.iter().any(|row| row.contains("\"4\"")) && !shown.iter().any(|row| row.contains("\"2\"")));
        assert_eq!(kept.last().map(|entry| entry.dest.as_path()), Some(Path::new("/a/b")));
    }

    #[test]
    fn places_that_are_the_sandboxs_own_are_refused() {
        for dest in ["/proc/x", "/tmp", "/tmp/x", "/out/x", "/dev/shm", "/", "relative", "/a/../b"] {
            let row = Readable { path: "/usr".into(), dest: Some(dest.into()), why: "test".into(), optional: false };
            assert!(entry(&row).is_err(), "{dest}");
        }
    }
}
