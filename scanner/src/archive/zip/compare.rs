//! Compares the two headers of each zip entry, and the names of all entries.
//!
//! Honest writers differ a lot: lengths and checksum left out where a data descriptor follows (torch, streams),
//! checksums left out altogether (torch on request), other extra fields. These differences are not stated. Other
//! differences lead readers to different names, methods or lengths.

use super::entry::ZipEntry;
use super::records::{CentralHeader, LocalHeader};
use super::walk::ZipWalk;
use crate::archive::entry_name;
use crate::fact::{Deviation, Fact};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Flag bits that may differ: effort of deflate and the data descriptor, which some writers set on one side only.
const UNCOMPARED_FLAGS: u16 = 0x0002 | 0x0004 | 0x0008;
/// Patched data, strong encryption, masked headers: CPython refuses the first two, torch looks at none.
const REFUSED_FLAGS: u16 = 0x0020 | 0x0040 | 0x2000;

impl ZipWalk<'_> {
    /// Compares a central header with its local header, and checks the entry itself.
    pub(super) fn compare_headers(
        &mut self,
        at: u64,
        entry: &ZipEntry,
        central: &CentralHeader,
        local: Option<&LocalHeader<'_>>,
    ) {
        let name = &entry.name;
        if let Some(local) = local {
            self.compare_local(entry, central, local);
        } else {
            let what = format!("{name} has no local header where the central directory says");
            self.mismatch(at, what, Deviation::Misleading);
        }
        if central.flags & REFUSED_FLAGS != 0 {
            let what = format!("{name} has flags {:#06x}, which only some readers refuse", central.flags);
            self.mismatch(at, what, Deviation::Misleading);
        }
        if central.zip64_missing {
            self.mismatch(at, format!("{name} refers to a zip64 field that it lacks"), Deviation::Wrong);
        }
        if central.method == 0 && central.packed != central.unpacked && central.flags & 1 == 0 {
            let what = format!("{name} is stored and has two lengths, {} and {}", central.packed, central.unpacked);
            self.mismatch(at, what, Deviation::Misleading);
        }
        if central.unicode_name.as_ref().is_some_and(|other| *other != central.name) {
            self.mismatch(at, format!("{name} has another name in a Unicode path field"), Deviation::Misleading);
        }
        if entry.data.is_some_and(|data| data.saturating_add(entry.packed) > self.source.len()) {
            self.mismatch(at, format!("{name} runs over the end of the file"), Deviation::Wrong);
        }
        self.check_path(at, name);
        if let Some(other) = &entry.local_name {
            self.check_path(entry.header, other);
        }
        self.check_mode(at, name, central);
    }

    fn compare_local(&mut self, entry: &ZipEntry, central: &CentralHeader, local: &LocalHeader<'_>) {
        let (at, name) = (entry.header, &entry.name);
        if let Some(other) = &entry.local_name {
            self.mismatch(at, format!("{name} is named {other} in its local header"), Deviation::Misleading);
        }
        if local.method != central.method {
            let what = format!("{name} has method {} and, in its local header, {}", central.method, local.method);
            self.mismatch(at, what, Deviation::Misleading);
        }
        let differing = (local.flags ^ central.flags) & !UNCOMPARED_FLAGS;
        if differing & 1 != 0 {
            self.mismatch(at, format!("{name} is encrypted by one of its headers only"), Deviation::Misleading);
        } else if differing & !0x0800 != 0 {
            self.mismatch(at, format!("{name} has other flags in its local header"), Deviation::Wrong);
        }
        let later = (local.flags | central.flags) & 8 != 0;
        let same = local.packed == central.packed && local.unpacked == central.unpacked;
        let left_out = later && local.packed == 0 && local.unpacked == 0;
        // Streaming writers reserve a zip64 field and leave it, or the numbers that refer to it, unset.
        let reserved = later && local.packed == 0xffff_ffff;
        if !same && !left_out && !reserved {
            self.mismatch(at, format!("{name} has other lengths in its local header"), Deviation::Misleading);
        }
        if local.crc32 != central.crc32 && !(later && local.crc32 == 0) {
            self.mismatch(at, format!("{name} has another checksum in its local header"), Deviation::Wrong);
        }
    }

    /// States why a path leaves its folder.
    pub(super) fn check_path(&mut self, at: u64, name: &str) {
        if let Some(what) = entry_name::escape_reason(name) {
            let fact = Fact::PathEscapes { path: name.to_owned(), what: what.to_owned() };
            self.add_fact(at, Deviation::Misleading, fact);
        }
    }

    fn check_mode(&mut self, at: u64, name: &str, central: &CentralHeader) {
        // The upper half is a Unix mode where a Unix or macOS writer says so; readers use it for any writer.
        let unix = matches!(central.made_by >> 8, 3 | 19);
        let kind = match (central.external >> 28, unix) {
            (0xa, _) => {
                let what = "is a symbolic link".to_owned();
                return self.add_fact(at, Deviation::Misleading, Fact::PathEscapes { path: name.to_owned(), what });
            }
            (0x1, true) => "FIFO",
            (0x2, true) => "character device",
            (0x6, true) => "block device",
            (0xc, true) => "socket",
            _ => return,
        };
        self.add_fact(at, Deviation::Wrong, Fact::SpecialFile { kind });
    }

    /// States entries with names that are one to some reader.
    pub(super) fn compare_names(&mut self) {
        // Only torch looks names up without regard to case; npz files with `W.npy` and `w.npy` are honest.
        let torch = self.archive.entries.iter().any(|entry| entry.name.ends_with("/data.pkl"));
        let mut first: HashMap<Cow<'_, str>, usize> = HashMap::with_capacity(self.archive.entries.len());
        let mut remarks = Vec::new();
        for (index, entry) in self.archive.entries.iter().enumerate() {
            if entry.name.contains('\0') {
                let what = format!("{} holds a NUL, where some readers end it", entry.name);
                remarks.push((entry.header, what, Deviation::Misleading));
            }
            if entry.only_local {
                continue;
            }
            let other = match first.entry(entry_name::case_folded(&entry.name)) {
                Entry::Occupied(other) => self.archive.entries.get(*other.get()),
                Entry::Vacant(slot) => {
                    slot.insert(index);
                    None
                }
            };
            let Some(other) = other else { continue };
            let (what, deviation) = if entry.name == other.name {
                let deviation = if entry.folder { Deviation::Unusual } else { Deviation::Misleading };
                (format!("two entries are named {}", entry.name), deviation)
            } else if entry_name::normalized(&entry.name) == entry_name::normalized(&other.name) {
                (format!("{} and {} are one name to some readers", other.name, entry.name), Deviation::Misleading)
            } else if torch {
                (format!("{} and {} differ in case only", other.name, entry.name), Deviation::Misleading)
            } else {
                continue;
            };
            remarks.push((entry.header, what, deviation));
        }
        for (at, what, deviation) in remarks {
            self.mismatch(at, what, deviation);
        }
    }
}
