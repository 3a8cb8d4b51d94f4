//! Mounts a folder over another one, visible only to this process and its children: in a private mount namespace, which the kernel removes with
//! its last process.
//!
//! This is not a sandbox: devices, network and ids stay as they are. Where the caller may not mount, a user namespace is created too, which maps
//! only the caller's user and group.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
};

use crate::sys::calls;
use crate::sys::error::Error;
use crate::sys::process::is_single_threaded;

const RDONLY: u64 = 1;
const NOSUID: u64 = 2;
const NODEV: u64 = 4;

/// A private mount namespace, and a tmpfs in it that is not mounted yet.
pub struct View {
    tmpfs: OwnedFd,
}

impl View {
    /// Moves this process to a new mount namespace. Requires a single thread. Later mounts of this process are not visible outside.
    ///
    /// # Errors
    /// When this host forbids it; the error has a hint.
    pub fn new() -> Result<Self, Error> {
        if !is_single_threaded() {
            return Err(Error::setup("creating a mount namespace", "this process has several threads"));
        }
        enter_namespace()?;
        // Later mounts of the host are still visible here; mounts made here are not visible outside.
        mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
            .map_err(|e| Error::setup("making mounts private", e))?;
        let filesystem = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(Error::in_step("opening a tmpfs"))?;
        fsconfig_set_string(filesystem.as_fd(), "mode", "0755").map_err(Error::in_step("setting up a tmpfs"))?;
        fsconfig_create(filesystem.as_fd()).map_err(Error::in_step("creating a tmpfs"))?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let tmpfs = fsmount(filesystem.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(Error::in_step("mounting a tmpfs"))?;
        Ok(Self { tmpfs })
    }

    /// Mounts the tmpfs over `folder`: files written there from now on are in memory, for the lifetime of the view.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn keep_in_memory(&self, folder: &Path) -> Result<(), Error> {
        self.mount_over(folder)
    }

    /// Mounts the tmpfs over `folder` too, read-only from now on.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn show_memory(self, folder: &Path) -> Result<(), Error> {
        self.mount_over(folder)?;
        self.make_read_only()
    }

    /// Mounts `files` of the folder `store` over `folder`, read-only, and deletes them in `store`: their content lasts as long as the view.
    ///
    /// # Errors
    /// When the operating system refuses. Some files of `store` may be deleted by then.
    pub fn show_files<'a>(
        self,
        folder: &Path,
        store: &Path,
        files: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error> {
        // First, since the mount points of the files are in it.
        self.mount_over(folder)?;
        for file in files {
            let fail = |e: std::io::Error| Error::setup(format!("showing {file}"), e);
            let inside = |e: Errno| fail(e.into());
            let source = store.join(file);
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let tree = open_tree(CWD, &source, flags).map_err(inside)?;
            calls::mount_setattr(tree.as_fd(), false, RDONLY | NOSUID | NODEV, 0).map_err(fail)?;
            self.create_mount_point(file).map_err(inside)?;
            move_mount(tree, "", self.tmpfs.as_fd(), file, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(inside)?;
            // After the mount, which does not need the name any more.
            fs::remove_file(&source).map_err(fail)?;
        }
        self.make_read_only()
    }

    /// Creates an empty file and its parent folders.
    fn create_mount_point(&self, file: &str) -> Result<(), Errno> {
        for (at, _) in file.match_indices('/') {
            match mkdirat(&self.tmpfs, file.get(..at).unwrap_or_default(), Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.tmpfs, file, flags, Mode::from_bits_truncate(0o444)).map(drop)
    }

    fn mount_over(&self, folder: &Path) -> Result<(), Error> {
        move_mount(self.tmpfs.as_fd(), "", CWD, folder, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|e| Error::setup(format!("mounting over {}", folder.display()), e))
    }

    fn make_read_only(&self) -> Result<(), Error> {
        calls::mount_setattr(self.tmpfs.as_fd(), false, RDONLY, 0)
            .map_err(|e| Error::setup("making the view read-only", e))
    }
}

fn enter_namespace() -> Result<(), Error> {
    let (user, group) = calls::effective_ids();
    if calls::unshare(libc::CLONE_NEWNS).is_ok() {
        return Ok(());
    }
    calls::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)
        .map_err(|e| Error::namespace("creating a mount namespace", &e))?;
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text).map_err(|e| Error::setup(format!("mapping ids ({file})"), e))
    };
    write("setgroups", "deny".into())?;
    write("gid_map", format!("{group} {group} 1"))?;
    write("uid_map", format!("{user} {user} 1"))
}
