//! The root: a small tmpfs that holds read-only binds of what the profile opens, five device nodes, a `/proc` of one's own processes, and
//! memory-backed `/tmp` and `/out`. Sources are opened before anything is covered, by root outside where root is the caller, since the user
//! inside may not walk root's folders.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, open, openat, symlinkat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, move_mount,
    open_tree, unmount,
};

use crate::error::Error;
use crate::plan::{Kind, Plan};
use crate::sys;

const RDONLY: u64 = 1;
const NOSUID: u64 = 2;
const NODEV: u64 = 4;
const NOEXEC: u64 = 8;

/// A folder that every system has, over which the new root is built.
const STAGE: &str = "/tmp";

/// What every root has.
const FOLDERS: [&str; 4] = ["dev", "etc", "proc", "tmp"];

/// Takes hold of the source of every bind, read-only already.
pub(crate) fn open_sources(plan: &Plan) -> Result<Vec<Option<OwnedFd>>, Error> {
    let open_one = |kind: &Kind| {
        let (source, attributes, recursive) = match kind {
            Kind::Bind { source, folder } => (source, RDONLY | NOSUID | NODEV, *folder),
            Kind::Device { source } => (source, RDONLY | NOSUID | NOEXEC, false),
            Kind::Link { .. } => return Ok(None),
        };
        let fail = |e: std::io::Error| Error::step(format!("binding {}", source.display()), e);
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        if recursive {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        let tree = open_tree(CWD, source, flags).map_err(|e| fail(e.into()))?;
        sys::mount_setattr(tree.as_fd(), recursive, attributes, 0).map_err(fail)?;
        Ok(Some(tree))
    };
    plan.entries.iter().map(|entry| open_one(&entry.kind)).collect()
}

/// Builds the root and makes it the root. Hands back `/out`, to be collected when all is over.
pub(crate) fn build(plan: &Plan, sources: Vec<Option<OwnedFd>>) -> Result<Option<OwnedFd>, Error> {
    let at = |step: &'static str| move |e: rustix::io::Errno| Error::step(step, e);
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(at("making mounts private"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("root", STAGE, "tmpfs", flags, c"mode=0755,size=1m,nr_inodes=4096").map_err(at("mounting the root"))?;
    let root = open(STAGE, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(at("opening the root"))?;
    rustix::process::fchdir(&root).map_err(at("entering the root"))?;
    for folder in FOLDERS {
        mkdirat(CWD, folder, Mode::from_bits_truncate(0o755)).map_err(at("making folders"))?;
    }
    own_files().map_err(at("writing /etc"))?;
    for (entry, source) in plan.entries.iter().zip(sources) {
        place(&entry.dest, &entry.kind, source)?;
    }
    let hidden = c"subset=pid,hidepid=invisible";
    mount("proc", "proc", "proc", flags | MountFlags::NOEXEC, hidden)
        .map_err(|e| Error::step("mounting /proc", format!("{e} (a container that masks /proc forbids this)")))?;
    // A bind of the host's device node is no way to the host's file, but nothing else of /dev is to be written either.
    let exec = if plan.allows(crate::hole::Hole::ExecScratch) { MountFlags::empty() } else { MountFlags::NOEXEC };
    memory("tmp", plan.limits.scratch.0, plan.limits.inodes, flags | exec)?;
    let out = match plan.out {
        Some(_) => {
            mkdirat(CWD, "out", Mode::from_bits_truncate(0o755)).map_err(at("making /out"))?;
            memory("out", plan.limits.out.0.saturating_add(4096), plan.limits.inodes, flags | exec)?;
            Some(
                openat(CWD, "out", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                    .map_err(at("opening /out"))?,
            )
        }
        None => None,
    };
    sys::mount_setattr(root.as_fd(), false, RDONLY | NOEXEC, 0).map_err(|e| Error::step("closing the root", e))?;
    rustix::process::pivot_root(".", ".").map_err(at("entering the root for good"))?;
    unmount(".", UnmountFlags::DETACH).map_err(at("leaving the host's root"))?;
    rustix::process::chdir("/").map_err(at("entering the root"))?;
    Ok(out)
}

/// One user, one group, no host of its own name: what C libraries look up.
fn own_files() -> rustix::io::Result<()> {
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
    // Shared memory files live in the scratch space, so that one limit holds for both.
    symlinkat("/tmp", CWD, "dev/shm")
}

fn memory(name: &str, size: u64, inodes: u64, flags: MountFlags) -> Result<(), Error> {
    // In tmpfs a size of zero would mean no limit.
    let options = format!("mode=0700,size={},nr_inodes={}", size.max(4096), inodes.max(2));
    mount("scratch", name, "tmpfs", flags, Some(std::ffi::CString::new(options).unwrap_or_default().as_c_str()))
        .map_err(|e| Error::step(format!("mounting /{name}"), e))
}

fn place(dest: &Path, kind: &Kind, source: Option<OwnedFd>) -> Result<(), Error> {
    let fail = |e: rustix::io::Errno| Error::step(format!("placing {} inside", dest.display()), e);
    let inside = dest.strip_prefix("/").unwrap_or(dest);
    let mut made = std::path::PathBuf::new();
    for part in inside.parent().into_iter().flat_map(Path::components) {
        made.push(part);
        if FOLDERS.iter().any(|own| made.as_os_str() == *own) {
            continue;
        }
        match mkdirat(CWD, &made, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST | rustix::io::Errno::ROFS) => {}
            Err(error) => return Err(fail(error)),
        }
    }
    let exists = |result: rustix::io::Result<()>| match result {
        // Within a folder that is bound already, the place to bind over must be there.
        Err(rustix::io::Errno::EXIST) => Ok(()),
        other => other,
    };
    let folder = match kind {
        Kind::Link { target } => return symlinkat(target, CWD, inside).map_err(fail),
        Kind::Bind { folder, .. } => *folder,
        Kind::Device { .. } => false,
    };
    if folder {
        exists(mkdirat(CWD, inside, Mode::from_bits_truncate(0o755))).map_err(fail)?;
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        exists(openat(CWD, inside, flags, Mode::from_bits_truncate(0o644)).map(drop)).map_err(fail)?;
    }
    let Some(source) = source else { return Ok(()) };
    move_mount(source, "", CWD, inside, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(fail)
}
