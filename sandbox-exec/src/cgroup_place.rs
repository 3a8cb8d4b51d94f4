//! Where on this host a run may have cgroups. Version 1: beneath our own group in each hierarchy. Version 2: in the nearest group, from our
//! own upwards, that hands the controllers to its children and lets us make one; at the very top, as root, the controllers are handed out first.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// A version of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

impl Version {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "cgroup1",
            Self::Two => "cgroup2",
        }
    }
}

/// The directories in which a run may make its own, by what they limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) version: Option<Version>,
    pub(crate) memory: Option<PathBuf>,
    pub(crate) pids: Option<PathBuf>,
    pub(crate) cpu: Option<PathBuf>,
    pub(crate) devices: Option<PathBuf>,
}

struct Mounted {
    root: PathBuf,
    point: PathBuf,
    unified: bool,
    options: String,
}

impl Place {
    /// Looks at the host.
    pub(crate) fn find() -> Self {
        let own = read("/proc/self/cgroup");
        let mounts = mounted(&read("/proc/self/mountinfo"));
        let two = unified(&own, &mounts);
        if two.memory.is_some() { two } else { Self::one(&own, &mounts) }
    }

    fn one(own: &str, mounts: &[Mounted]) -> Self {
        let find = |controller: &str| {
            let path = own.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let (controllers, path) = (parts.next()?, parts.next()?);
                controllers.split(',').any(|name| name == controller).then_some(path)
            })?;
            let mount = mounts.iter().find(|m| !m.unified && m.options.split(',').any(|o| o == controller))?;
            let directory = mount.directory(path)?;
            writable(&directory).then_some(directory)
        };
        let place = Self {
            version: Some(Version::One),
            memory: find("memory"),
            pids: find("pids"),
            cpu: find("cpu"),
            devices: find("devices"),
        };
        if place.memory.is_none() && place.pids.is_none() && place.cpu.is_none() { Self::default() } else { place }
    }
}

/// The group of version 2 in which this process is.
pub(crate) fn own_unified() -> Option<PathBuf> {
    let own = read("/proc/self/cgroup");
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounted(&read("/proc/self/mountinfo")).iter().find(|m| m.unified)?.directory(path)
}

/// Memory, pids and cpu are handed out together, so one directory serves all.
fn unified(own: &str, mounts: &[Mounted]) -> Place {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"));
    let Some((mount, path)) = mounts.iter().find(|m| m.unified).zip(path) else {
        return Place::default();
    };
    let Some(start) = mount.directory(path) else {
        return Place::default();
    };
    let found = start.ancestors().take_while(|d| d.starts_with(&mount.point)).find(|d| hands_out(d) && writable(d));
    let directory = match found {
        Some(directory) => Some(directory.to_owned()),
        None => top(&mount.point),
    };
    let Some(directory) = directory else {
        return Place::default();
    };
    Place {
        version: Some(Version::Two),
        memory: Some(directory.clone()),
        pids: Some(directory.clone()),
        cpu: Some(directory.clone()),
        devices: Some(directory),
    }
}

/// What a file of the kernel's says; nothing when it cannot be read. These have no size to go by, and the kernel makes the text of some anew
/// for every piece that is read: one piece is enough for most.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let mut text = String::with_capacity(16_384);
    let _ = fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    text
}

/// More than any of them is long.
const LONGEST: u64 = 16 << 20;

const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

fn hands_out(directory: &Path) -> bool {
    let out = read(directory.join("cgroup.subtree_control"));
    CONTROLLERS.iter().all(|name| out.split_ascii_whitespace().any(|o| o == *name))
}

/// On a host without systemd nobody has handed anything out: at the top, and only there, the controllers may be turned on beside processes.
fn top(point: &Path) -> Option<PathBuf> {
    let present = read(point.join("cgroup.controllers"));
    let all = CONTROLLERS.iter().all(|name| present.split_ascii_whitespace().any(|p| p == *name));
    if !all || !writable(point) {
        return None;
    }
    fs::write(point.join("cgroup.subtree_control"), "+memory +pids +cpu").ok()?;
    Some(point.to_owned())
}

fn writable(directory: &Path) -> bool {
    access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok()
        && access(directory.join("cgroup.procs"), Access::WRITE_OK).is_ok()
}

impl Mounted {
    /// In a container the mount shows a part of the hierarchy only.
    fn directory(&self, path: &str) -> Option<PathBuf> {
        let below = Path::new(path).strip_prefix(&self.root).ok()?;
        Some(self.point.join(below))
    }
}

/// The name of a directory in the hierarchy that is mounted around it.
pub(crate) fn name_in_hierarchy(directory: &Path) -> Option<PathBuf> {
    let mounts = mounted(&read("/proc/self/mountinfo"));
    let mount = mounts.iter().filter(|m| directory.starts_with(&m.point)).max_by_key(|m| m.point.as_os_str().len())?;
    Some(mount.root.join(directory.strip_prefix(&mount.point).ok()?))
}

fn mounted(mountinfo: &str) -> Vec<Mounted> {
    let parse = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let kind = after.next()?;
        let options = after.nth(1)?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        kind.starts_with("cgroup").then(|| Mounted {
            root: root.into(),
            point: point.into(),
            unified: kind == "cgroup2",
            options: options.to_owned(),
        })
    };
    mountinfo.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_both_versions_are_read() {
        let text = "30 29 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                    31 29 0:27 /docker/x /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                    32 29 0:28 / /proc rw - proc proc rw\n";
        let mounts = mounted(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].directory("/a"), Some(PathBuf::from("/sys/fs/cgroup/cpu/a")));
        assert_eq!(mounts[1].directory("/docker/x/y"), Some(PathBuf::from("/sys/fs/cgroup/unified/y")));
        assert_eq!(mounts[1].directory("/elsewhere"), None);
    }
}
