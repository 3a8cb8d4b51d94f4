//! Any tar file: every regular file in it is a member.
//!
//! Torch wrote checkpoints as tar before 0.1.10 and still reads them, and `.nemo` files are tars.

use super::{Format, Head, Recognition};
use crate::archive::tar::{TarArchive, recognize};
use crate::io::artifact::{Artifact, Role};
use crate::observe::format_info::FormatInfo;
use crate::observe::observations::Observations;

/// Any tar file.
pub struct Tar;

/// Any tar file.
pub static INFO: FormatInfo =
    FormatInfo { id: "tar", name: "tar archive", extensions: &["tar", "nemo"], ..FormatInfo::ARCHIVE };

impl Format for Tar {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        match recognize(head.start) {
            Some(true) => Recognition::Certain,
            Some(false) => Recognition::Possible,
            None => Recognition::No,
        }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        examine(artifact, observations, |_| Role::Unknown);
    }
}

/// Adds all entries as members and the facts of the walk. `role` gives the role of an entry by its name.
pub fn examine(artifact: &Artifact, observations: &mut Observations, role: impl Fn(&str) -> Role) {
    let archive = TarArchive::read(&artifact.source, &artifact.budget);
    observations.facts.extend(archive.facts);
    observations.unread.extend(archive.unread);
    for entry in archive.entries {
        let role = role(&entry.name);
        observations.member(entry.name, entry.source, role);
    }
    if let Some(trailing) = archive.trailing {
        observations.member("(trailing)", trailing, Role::Unknown);
    }
}
