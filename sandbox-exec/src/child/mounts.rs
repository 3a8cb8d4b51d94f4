//! The root file system inside: a small tmpfs with read-only bind mounts of the profile's paths, five device nodes, a `/proc` that shows only the
//! processes of the sandbox, and memory-backed `/tmp` and `/out`. The sources are opened first. For a caller that is root they are opened outside,
//! since the user inside may not traverse root's folders.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, open, openat, symlinkat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, move_mount,
    open_tree, unmount,
};

use crate::plan::Plan;
use crate::policy::mount_entry::MountKind;
use crate::policy::permission::Permission;
use crate::sys::calls;
use crate::sys::error::Error;

const RDONLY: u64 = 1;
const NOSUID: u64 = 2;
const NODEV: u64 = 4;
const NOEXEC: u64 = 8;

/// The mount point of the new root; a folder that exists on every system.
const STAGE: &str = "/tmp";

/// Folders of every root.
const FOLDERS: [&str; 4] = ["dev", "etc", "proc", "tmp"];

/// A detached, read-only mount for each entry of a plan; `None` for links.
pub(crate) type Sources = Vec<Option<OwnedFd>>;

/// Opens the sources of all entries.
pub(crate) fn open_sources(plan: &Plan) -> Result<Sources, Error> {
    let open_one = |kind: &MountKind| {
        let (source, attributes, recursive) = match kind {
            MountKind::Bind { source, is_folder } => (source, RDONLY | NOSUID | NODEV, *is_folder),
            MountKind::Device { source } => (source, RDONLY | NOSUID | NOEXEC, false),
            MountKind::Link { .. } => return Ok(None),
        };
        let fail = |e: std::io::Error| Error::setup(format!("binding {}", source.display()), e);
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        if recursive {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        let tree = open_tree(CWD, source, flags).map_err(|e| fail(e.into()))?;
        calls::mount_setattr(tree.as_fd(), recursive, attributes, 0).map_err(fail)?;
        Ok(Some(tree))
    };
    plan.entries.iter().map(|entry| open_one(&entry.kind)).collect()
}

/// Builds the root and enters it. Returns a descriptor of `/out`, from which results are copied at the end.
pub(crate) fn build_root(plan: &Plan, sources: Sources) -> Result<Option<OwnedFd>, Error> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(Error::in_step("making mounts private"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("root", STAGE, "tmpfs", flags, c"mode=0755,size=1m,nr_inodes=4096")
        .map_err(Error::in_step("mounting the root"))?;
    let root = open(STAGE, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Error::in_step("opening the root"))?;
    rustix::process::fchdir(&root).map_err(Error::in_step("entering the root"))?;
    for folder in FOLDERS {
        mkdirat(CWD, folder, Mode::from_bits_truncate(0o755)).map_err(Error::in_step("making folders"))?;
    }
    write_etc_files().map_err(Error::in_step("writing /etc"))?;
    for (entry, source) in plan.entries.iter().zip(sources) {
        add_entry(&entry.dest, &entry.kind, source)?;
    }
    let hidden = c"subset=pid,hidepid=invisible";
    mount("proc", "proc", "proc", flags | MountFlags::NOEXEC, hidden).map_err(|e| {
        Error::setup("mounting /proc", e).with_hint("a container that masks parts of /proc forbids this")
    })?;
    let exec = if plan.allows(Permission::ExecScratch) { MountFlags::empty() } else { MountFlags::NOEXEC };
    mount_tmpfs("tmp", plan.limits.scratch.0, plan.limits.inodes, flags | exec)?;
    let out = match plan.out {
        Some(_) => {
            mkdirat(CWD, "out", Mode::from_bits_truncate(0o755)).map_err(Error::in_step("making /out"))?;
            mount_tmpfs("out", plan.limits.out.0.saturating_add(4096), plan.limits.inodes, flags | exec)?;
            Some(
                openat(CWD, "out", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                    .map_err(Error::in_step("opening /out"))?,
            )
        }
        None => None,
    };
    calls::mount_setattr(root.as_fd(), false, RDONLY | NOEXEC, 0)
        .map_err(|e| Error::setup("making the root read-only", e))?;
    rustix::process::pivot_root(".", ".").map_err(Error::in_step("replacing the root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(Error::in_step("leaving the host's root"))?;
    rustix::process::chdir("/").map_err(Error::in_step("entering the root"))?;
    Ok(out)
}

/// The files of `/etc` that C libraries read, and the usual links in `/dev`.
fn write_etc_files() -> rustix::io::Result<()> {
    let files: [(&str, &[u8]); 5] = [
        ("etc/passwd", b"user:x:1000:1000:user:/tmp:/bin/sh\n"),
        ("etc/group", b"user:x:1000:\n"),
        ("etc/hosts", b"127.0.0.1 localhost\n"),
        ("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files\n"),
        ("etc/hostname", b"sandbox\n"),
    ];
    for (path, text) in files {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(CWD, path, flags, Mode::from_bits_truncate(0o644))?;
        rustix::io::write(&file, text)?;
    }
    let links = [
        ("/proc/self/fd", "dev/fd"),
        ("/proc/self/fd/0", "dev/stdin"),
        ("/proc/self/fd/1", "dev/stdout"),
        ("/proc/self/fd/2", "dev/stderr"),
    ];
    for (target, link) in links {
        symlinkat(target, CWD, link)?;
    }
    // POSIX shared memory is part of the scratch space, so one limit applies to both.
    symlinkat("/tmp", CWD, "dev/shm")
}

/// Mounts a tmpfs at `name`, a path relative to the new root. `size` is in bytes.
fn mount_tmpfs(name: &str, size: u64, inodes: u64, flags: MountFlags) -> Result<(), Error> {
    // A size of 0 means no limit (tmpfs(5)).
    let options = format!("mode=0700,size={},nr_inodes={}", size.max(4096), inodes.max(2));
    mount("scratch", name, "tmpfs", flags, Some(std::ffi::CString::new(options).unwrap_or_default().as_c_str()))
        .map_err(|e| Error::setup(format!("mounting /{name}"), e))
}

/// Creates the mount point of an entry and mounts it.
fn add_entry(dest: &Path, kind: &MountKind, source: Option<OwnedFd>) -> Result<(), Error> {
    let fail = |e: rustix::io::Errno| Error::setup(format!("mounting {} inside", dest.display()), e);
    let inside = dest.strip_prefix("/").unwrap_or(dest);
    let mut parent = std::path::PathBuf::new();
    for part in inside.parent().into_iter().flat_map(Path::components) {
        parent.push(part);
        if FOLDERS.iter().any(|own| parent.as_os_str() == *own) {
            continue;
        }
        match mkdirat(CWD, &parent, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST | rustix::io::Errno::ROFS) => {}
            Err(error) => return Err(fail(error)),
        }
    }
    let exists = |result: rustix::io::Result<()>| match result {
        // Inside an earlier bind mount, which is read-only, the mount point must exist already.
        Err(rustix::io::Errno::EXIST) => Ok(()),
        other => other,
    };
    let is_folder = match kind {
        MountKind::Link { target } => return symlinkat(target, CWD, inside).map_err(fail),
        MountKind::Bind { is_folder, .. } => *is_folder,
        MountKind::Device { .. } => false,
    };
    if is_folder {
        exists(mkdirat(CWD, inside, Mode::from_bits_truncate(0o755))).map_err(fail)?;
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        exists(openat(CWD, inside, flags, Mode::from_bits_truncate(0o644)).map(drop)).map_err(fail)?;
    }
    let Some(source) = source else { return Ok(()) };
    move_mount(source, "", CWD, inside, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(fail)
}
