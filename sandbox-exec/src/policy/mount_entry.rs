//! One entry of the root file system inside the sandbox.

use std::path::{Path, PathBuf};

/// An entry and its path inside.
#[derive(Clone, Debug)]
pub(crate) struct MountEntry {
    pub(crate) dest: PathBuf,
    pub(crate) kind: MountKind,
}

/// How an entry is created.
#[derive(Clone, Debug)]
pub(crate) enum MountKind {
    /// A read-only bind mount of a file or folder of the host.
    Bind { source: PathBuf, is_folder: bool },
    /// A bind mount of a device node of the host.
    Device { source: PathBuf },
    /// A symbolic link.
    Link { target: PathBuf },
}

impl MountEntry {
    /// A read-only bind mount of a folder.
    pub(crate) fn folder(source: &Path, dest: &Path) -> Self {
        Self { dest: dest.to_owned(), kind: MountKind::Bind { source: source.to_owned(), is_folder: true } }
    }

    /// A device node at the same path as on the host.
    pub(crate) fn device(node: &Path) -> Self {
        Self { dest: node.to_owned(), kind: MountKind::Device { source: node.to_owned() } }
    }
}
