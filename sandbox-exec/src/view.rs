//! A folder put in the place of another, for this process and those that it starts: a mount in a namespace of its own, gone
//! when the last of them is gone, however they end.
//!
//! This is no wall: nothing else of the machine changes, neither devices nor network nor who one is. Where the caller may not
//! mount, a user namespace comes with it, in which there is the caller's own user and group and no other.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
};

use crate::error::Error;
use crate::{launcher, sys};

const RDONLY: u64 = 1;
const NOSUID: u64 = 2;
const NODEV: u64 = 4;

/// A namespace in which something can be put in its place: an empty folder in memory that nobody sees yet.
pub struct View {
    memory: OwnedFd,
}

impl View {
    /// Leaves the mount namespace for a new one. To be called while there is one thread, and where nothing needs what is
    /// mounted by this process to be seen outside.
    ///
    /// # Errors
    /// When this host does not allow it; what would help is in the message.
    pub fn new() -> Result<Self, Error> {
        if !launcher::single_threaded() {
            return Err(Error::step("making a mount namespace", "this process has several threads"));
        }
        enter()?;
        // What the host mounts from now on is still seen here; what is mounted here is seen by nobody else.
        mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
            .map_err(|e| Error::step("keeping mounts to oneself", e))?;
        let at = |step: &'static str| move |e: Errno| Error::step(step, e);
        let filesystem = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(at("opening a tmpfs"))?;
        fsconfig_set_string(filesystem.as_fd(), "mode", "0755").map_err(at("setting up a tmpfs"))?;
        fsconfig_create(filesystem.as_fd()).map_err(at("making a tmpfs"))?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let memory =
            fsmount(filesystem.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(at("mounting a tmpfs"))?;
        Ok(Self { memory })
    }

    /// Has what is written to the folder `place` from now on live in memory, as long as there is this view.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn keep_in_memory(&self, place: &Path) -> Result<(), Error> {
        self.put(place)
    }

    /// Puts what was written to memory in the place of `place`, never to be written again.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn show_memory(self, place: &Path) -> Result<(), Error> {
        self.put(place)?;
        self.close()
    }

    /// Puts files of the folder `store` in the place of `place`, never to be written again, and takes their names away in
    /// `store`: their bytes last as long as the view.
    ///
    /// # Errors
    /// When the operating system refuses. Some names may be gone by then.
    pub fn show_files<'a>(self, place: &Path, store: &Path, files: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        // Only what is mounted already can be mounted upon.
        self.put(place)?;
        for file in files {
            let fail = |e: std::io::Error| Error::step(format!("showing {file}"), e);
            let inside = |e: Errno| fail(e.into());
            let source = store.join(file);
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let tree = open_tree(CWD, &source, flags).map_err(inside)?;
            sys::mount_setattr(tree.as_fd(), false, RDONLY | NOSUID | NODEV, 0).map_err(fail)?;
            self.make_place(file).map_err(inside)?;
            move_mount(tree, "", self.memory.as_fd(), file, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(inside)?;
            // What has no name any more cannot be mounted, but what is mounted needs none.
            fs::remove_file(&source).map_err(fail)?;
        }
        self.close()
    }

    /// An empty file, to be mounted upon, with its folders.
    fn make_place(&self, file: &str) -> Result<(), Errno> {
        for (at, _) in file.match_indices('/') {
            match mkdirat(&self.memory, file.get(..at).unwrap_or_default(), Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.memory, file, flags, Mode::from_bits_truncate(0o444)).map(drop)
    }

    fn put(&self, place: &Path) -> Result<(), Error> {
        move_mount(self.memory.as_fd(), "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|e| Error::step(format!("mounting over {}", place.display()), e))
    }

    fn close(&self) -> Result<(), Error> {
        sys::mount_setattr(self.memory.as_fd(), false, RDONLY, 0).map_err(|e| Error::step("closing the view", e))
    }
}

fn enter() -> Result<(), Error> {
    let (user, group) = sys::ids();
    if sys::unshare(libc::CLONE_NEWNS).is_ok() {
        return Ok(());
    }
    sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)
        .map_err(|e| Error::step("making a mount namespace", launcher::namespace_hint(&e)))?;
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text).map_err(|e| Error::step(format!("mapping ids ({file})"), e))
    };
    write("setgroups", "deny".into())?;
    write("gid_map", format!("{group} {group} 1"))?;
    write("uid_map", format!("{user} {user} 1"))
}
