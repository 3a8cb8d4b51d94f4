//! 7z archives: every file in them is a member.
//!
//! Malicious checkpoints were uploaded as 7z because `torch.load` does not read it and scanners did not either, while
//! the program that came with them did.

use super::{Format, Head, Recognition};
use crate::archive::seven_zip::SevenZipArchive;
use crate::fact::Fact;
use crate::io::artifact::{Artifact, Role};
use crate::io::source::Window;
use crate::observe::format_info::FormatInfo;
use crate::observe::observations::{Member, MemberContent, Observations};
use std::sync::Arc;

/// 7z archives.
pub struct SevenZip;

/// 7z archives.
pub static INFO: FormatInfo = FormatInfo { id: "7z", name: "7z archive", extensions: &["7z"], ..FormatInfo::ARCHIVE };

impl Format for SevenZip {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        if head.start.starts_with(b"7z\xbc\xaf\x27\x1c") { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let archive = SevenZipArchive::read(&artifact.source, &artifact.budget);
        observations.facts.extend(archive.facts.into_iter().map(|fact| (None, fact)));
        observations.unread.extend(archive.unread.into_iter().map(|why| (None, why)));
        for entry in archive.entries {
            let name = entry.name.clone();
            observations.members.push(Member {
                name,
                content: MemberContent::Entry(Box::new(entry)),
                role: Role::Unknown,
                stream: None,
            });
        }
        let length = artifact.source.len().saturating_sub(archive.end);
        if length > 0 {
            observations.fact(archive.end, Fact::TrailingData { length, what: "bytes behind the 7z archive".into() });
            let rest = Window::new(artifact.source.clone(), archive.end, length);
            observations.member("(trailing)", Arc::new(rest), Role::Unknown);
        }
    }
}

#[cfg(test)]
#[path = "seven_zip_tests.rs"]
mod tests;
