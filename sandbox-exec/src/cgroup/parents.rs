//! The parent cgroups in which a run may create its own. CgroupVersion 1: the cgroup of this process in each hierarchy. CgroupVersion 2: the nearest ancestor,
//! beginning with the cgroup of this process, that is writable and enables the controllers for its children; at the root of the hierarchy, root
//! may enable them first. Source: the kernel's admin-guide/cgroup-v1 and admin-guide/cgroup-v2.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::sys::process::read_file;

/// The version of the cgroup interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CgroupVersion {
    V1,
    V2,
}

impl CgroupVersion {
    /// As the report names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1 => "cgroup1",
            Self::V2 => "cgroup2",
        }
    }
}

/// The directories in which a run may create its cgroups, one per controller; `None`: not available.
#[derive(Clone, Debug, Default)]
pub(crate) struct CgroupParents {
    pub(crate) version: Option<CgroupVersion>,
    pub(crate) memory: Option<PathBuf>,
    pub(crate) pids: Option<PathBuf>,
    pub(crate) cpu: Option<PathBuf>,
    pub(crate) devices: Option<PathBuf>,
}

/// A line of `/proc/self/mountinfo`.
struct CgroupMount {
    root: PathBuf,
    point: PathBuf,
    is_v2: bool,
    options: String,
}

impl CgroupParents {
    /// Finds the parents on this host, version 2 first.
    pub(crate) fn find() -> Self {
        let own = read_file("/proc/self/cgroup");
        let mounts = parse_mountinfo(&read_file("/proc/self/mountinfo"));
        let v2 = find_v2(&own, &mounts);
        if v2.memory.is_some() { v2 } else { Self::find_v1(&own, &mounts) }
    }

    fn find_v1(own: &str, mounts: &[CgroupMount]) -> Self {
        let find = |controller: &str| {
            let path = own.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let (controllers, path) = (parts.next()?, parts.next()?);
                controllers.split(',').any(|name| name == controller).then_some(path)
            })?;
            let mount = mounts.iter().find(|m| !m.is_v2 && m.options.split(',').any(|o| o == controller))?;
            let directory = mount.directory(path)?;
            writable(&directory).then_some(directory)
        };
        let parents = Self {
            version: Some(CgroupVersion::V1),
            memory: find("memory"),
            pids: find("pids"),
            cpu: find("cpu"),
            devices: find("devices"),
        };
        if parents.memory.is_none() && parents.pids.is_none() && parents.cpu.is_none() {
            Self::default()
        } else {
            parents
        }
    }
}

/// The cgroup of version 2 of this process.
pub(crate) fn own_v2() -> Option<PathBuf> {
    let own = read_file("/proc/self/cgroup");
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    parse_mountinfo(&read_file("/proc/self/mountinfo")).iter().find(|m| m.is_v2)?.directory(path)
}

/// Memory, pids and cpu are enabled together, so one directory serves all.
fn find_v2(own: &str, mounts: &[CgroupMount]) -> CgroupParents {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"));
    let Some((mount, path)) = mounts.iter().find(|m| m.is_v2).zip(path) else {
        return CgroupParents::default();
    };
    let Some(start) = mount.directory(path) else {
        return CgroupParents::default();
    };
    let found =
        start.ancestors().take_while(|d| d.starts_with(&mount.point)).find(|d| enables_controllers(d) && writable(d));
    let directory = match found {
        Some(directory) => Some(directory.to_owned()),
        None => enable_at_root(&mount.point),
    };
    let Some(directory) = directory else {
        return CgroupParents::default();
    };
    CgroupParents {
        version: Some(CgroupVersion::V2),
        memory: Some(directory.clone()),
        pids: Some(directory.clone()),
        cpu: Some(directory.clone()),
        devices: Some(directory),
    }
}

const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

fn enables_controllers(directory: &Path) -> bool {
    let enabled = read_file(directory.join("cgroup.subtree_control"));
    CONTROLLERS.iter().all(|name| enabled.split_ascii_whitespace().any(|controller| controller == *name))
}

/// On a host without systemd no controllers are enabled. Only at the root of the hierarchy may they be enabled beside processes.
fn enable_at_root(point: &Path) -> Option<PathBuf> {
    let present = read_file(point.join("cgroup.controllers"));
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

impl CgroupMount {
    /// The directory of a cgroup path. `None`: outside of the mount, which in a container shows a part of the hierarchy only.
    fn directory(&self, path: &str) -> Option<PathBuf> {
        let below = Path::new(path).strip_prefix(&self.root).ok()?;
        Some(self.point.join(below))
    }
}

/// The path of a cgroup directory within its hierarchy, as in `/proc/PID/cgroup`.
pub(crate) fn path_in_hierarchy(directory: &Path) -> Option<PathBuf> {
    let mounts = parse_mountinfo(&read_file("/proc/self/mountinfo"));
    let mount = mounts.iter().filter(|m| directory.starts_with(&m.point)).max_by_key(|m| m.point.as_os_str().len())?;
    Some(mount.root.join(directory.strip_prefix(&mount.point).ok()?))
}

fn parse_mountinfo(mountinfo: &str) -> Vec<CgroupMount> {
    let parse = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let kind = after.next()?;
        let options = after.nth(1)?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        kind.starts_with("cgroup").then(|| CgroupMount {
            root: root.into(),
            point: point.into(),
            is_v2: kind == "cgroup2",
            options: options.to_owned(),
        })
    };
    mountinfo.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_both_versions_are_parsed() {
        let text = "30 29 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                    31 29 0:27 /docker/x /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                    32 29 0:28 / /proc rw - proc proc rw\n";
        let mounts = parse_mountinfo(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].directory("/a"), Some(PathBuf::from("/sys/fs/cgroup/cpu/a")));
        assert_eq!(mounts[1].directory("/docker/x/y"), Some(PathBuf::from("/sys/fs/cgroup/unified/y")));
        assert_eq!(mounts[1].directory("/elsewhere"), None);
    }
}
