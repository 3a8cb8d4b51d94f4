//! Any zip file: every entry is a member.
//!
//! Also files that only end in a zip, after a program or a picture: Python and Java open these. Other formats know what
//! a zip is for (torch, Keras, numpy).

use super::{Format, Head, Recognition, keras};
use crate::archive::zip::ZipArchive;
use crate::io::artifact::{Artifact, Role};
use crate::io::budget::ScanBudget;
use crate::io::source::read_vec;
use crate::observe::format_info::{FormatInfo, TensorStore};
use crate::observe::observations::{Member, MemberContent, Observations, RefinedFormat};
use std::collections::HashMap;

/// Any zip file.
pub struct Zip;

/// Any zip file.
pub static INFO: FormatInfo = FormatInfo {
    id: "zip",
    name: "zip archive, .npz",
    extensions: &["zip", "npz"],
    is_found_from_end: true,
    tensors: Some(TensorStore::Npz),
    doc_converted: "arrays of a .npz",
    ..FormatInfo::ARCHIVE
};

impl Format for Zip {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        if head.start.starts_with(b"PK\x03\x04") || head.start.starts_with(b"PK\x05\x06") {
            return Recognition::Certain;
        }
        if ends_as_zip(head.artifact) { Recognition::Possible } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let mut archive = ZipArchive::read(&artifact.source, &artifact.budget);
        let special = add_members(&mut archive, observations, &artifact.budget, |_| Role::Unknown);
        observations.refined_format = special.map(|special| RefinedFormat { general: &INFO, special });
    }
}

/// Adds all entries as members and the facts of the walk. `role` gives the role of an entry by its index; parts of a
/// Keras model have theirs whatever it says. Returns the special format that the entries show.
pub fn add_members(
    archive: &mut ZipArchive,
    observations: &mut Observations,
    budget: &ScanBudget,
    role: impl Fn(usize) -> Role,
) -> Option<&'static FormatInfo> {
    let parts = keras::model_parts(archive, budget);
    let refined_format = parts.as_ref().map(|_| &keras::INFO);
    let parts: HashMap<usize, Role> = parts.into_iter().flatten().collect();
    observations.facts.append(&mut archive.facts);
    observations.unread.append(&mut archive.unread);
    for (index, entry) in archive.entries.iter().enumerate() {
        if entry.folder && entry.packed == 0 {
            continue;
        }
        let role = parts.get(&index).copied().unwrap_or_else(|| role(index));
        // Thousands of tensors make gigabytes: reading them for a checksum that torch ignores is not worth it.
        match entry.stored_content().filter(|_| role == Role::TensorData) {
            Some(numbers) => observations.tensor_data(&entry.name, numbers),
            None => {
                let content = MemberContent::Entry(Box::new(entry.clone()));
                observations.members.push(Member { name: entry.name.clone(), content, role, stream: None });
            }
        }
    }
    for region in archive.regions.drain(..) {
        observations.member(region.name, region.source, Role::Unknown);
    }
    refined_format
}

/// Whether an end record is where readers look for one, with a directory in front of it.
fn ends_as_zip(artifact: &Artifact) -> bool {
    // Not for the bits of a pickle or the numbers of a tensor: four bytes are there by chance in gigabytes, but not in
    // the last 64 KiB with plausible numbers behind them.
    let source = &*artifact.source;
    let at = source.len().saturating_sub(22 + 0xffff);
    let Ok(tail) = read_vec(source, at, 22 + 0xffff) else { return false };
    tail.windows(22).enumerate().any(|(place, record)| {
        let &[b'P', b'K', 5, 6, _, _, _, _, _, _, _, _, s0, s1, s2, s3, _, _, _, _, _, _] = record else {
            return false;
        };
        let size = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
        let end = at + place as u64;
        let wide = size == u64::from(u32::MAX);
        wide || end
            .checked_sub(size)
            .is_some_and(|start| size > 0 && read_vec(source, start, 4).is_ok_and(|head| head == b"PK\x01\x02"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::limits::Limits;
    use crate::io::member_path::MemberPath;
    use crate::io::source::Memory;
    use std::sync::Arc;

    fn artifact(bytes: &[u8]) -> Artifact {
        let budget = ScanBudget::start(Arc::new(Limits::default()));
        let (member_path, source) = (MemberPath::root(), Arc::new(Memory::new(bytes)));
        Artifact { member_path, name: "x".into(), source, depth: 0, role: Role::Unknown, budget }
    }

    const ONE: &[u8] = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\x83\x16\xdc\x8c\x01\0\0\0\x01\0\0\0\x01\0\0\0ax\
        PK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0\0\0\x83\x16\xdc\x8c\x01\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a\
        PK\x05\x06\0\0\0\0\x01\0\x01\0\x2f\0\0\0\x20\0\0\0\0\0";

    #[test]
    fn a_zip_behind_other_bytes_is_possible() {
        let certain = artifact(ONE);
        assert_eq!(Zip.recognize(&Head { start: ONE, artifact: &certain }), Recognition::Certain);
        let bytes = [b"#!/bin/sh\n", ONE].concat();
        let behind = artifact(&bytes);
        assert_eq!(Zip.recognize(&Head { start: &bytes, artifact: &behind }), Recognition::Possible);
        let none = artifact(b"PK\x05\x06 is written here and means nothing at all");
        assert_eq!(Zip.recognize(&Head { start: b"PK", artifact: &none }), Recognition::No);
    }

    #[test]
    fn entries_and_prefix_become_members() {
        let mut observations = Observations::default();
        Zip.examine(&artifact(ONE), &mut observations);
        assert!(observations.facts.is_empty(), "{:?}", observations.facts);
        assert_eq!(observations.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["a"]);
        let mut observations = Observations::default();
        Zip.examine(&artifact(&[b"prefix", ONE].concat()), &mut observations);
        assert_eq!(
            observations.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(),
            ["a", "(prefix)"]
        );
    }
}
