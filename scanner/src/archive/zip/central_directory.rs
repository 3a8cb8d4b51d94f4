//! Every central directory that some reader of a zip file would find.
//!
//! Readers search the end record backwards from the end of the file. They differ on a comment that does not reach the
//! end, a zip64 record in front of it, and an offset shifted by a prefix. Where two readers could find different
//! directories, all are read.

use super::records::{CentralHeader, EndRecord};
use crate::fact::{Deviation, Unread};
use crate::io::bounds::archive::MAX_ZIP_END_RECORDS;
use crate::io::budget::ScanBudget;
use crate::io::source::{SharedSource, read_vec};
use std::collections::BTreeSet;
use std::io;

/// An end record with the directory that it names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory {
    /// Offset of the end record.
    pub(super) end_at: u64,
    /// Behind its comment.
    pub(super) end_after: u64,
    /// Offset of the zip64 record, if it has one.
    pub(super) zip64_at: Option<u64>,
    /// Where its records start.
    pub(super) start: u64,
    /// Behind its last record, as found.
    pub(super) after: u64,
    /// What is to be added to the offsets it names: the length of a prefix.
    pub(super) base: u64,
    /// How many bytes of records it names.
    pub(super) size: u64,
    /// How many records it names.
    pub(super) entries: u64,
}

/// A remark that becomes a fact: where, what, how much it matters.
pub(super) type Mismatch = (u64, String, Deviation);

/// What a file holds in directories.
#[derive(Default)]
pub(super) struct Directories {
    pub(super) found: Vec<Directory>,
    pub(super) mismatches: Vec<Mismatch>,
}

/// Records with their places.
pub(super) type Records = Vec<(u64, CentralHeader)>;

/// How far from the end readers look for the end record.
const END_SEARCH_BYTES: u64 = 22 + 0xffff;

/// Finds end records, the one that most readers take first.
pub(super) fn find_directories(source: &SharedSource) -> io::Result<Directories> {
    let mut directories = Directories::default();
    let tail_at = source.len().saturating_sub(END_SEARCH_BYTES);
    let tail = read_vec(&**source, tail_at, usize::try_from(END_SEARCH_BYTES).unwrap_or(0))?;
    let mut visited = BTreeSet::new();
    let hits = (0..tail.len()).rev().filter(|at| tail.get(*at..).is_some_and(|rest| rest.starts_with(b"PK\x05\x06")));
    for hit in hits.take(MAX_ZIP_END_RECORDS) {
        let Some(end) = tail.get(hit..).and_then(EndRecord::parse) else {
            continue;
        };
        for directory in candidates(source, tail_at + hit as u64, end, &mut directories.mismatches)? {
            if visited.insert((directory.start, directory.base)) {
                directories.found.push(directory);
            }
        }
    }
    Ok(directories)
}

/// The directories one end record may be read as.
fn candidates(
    source: &SharedSource,
    at: u64,
    end: EndRecord,
    remarks: &mut Vec<Mismatch>,
) -> io::Result<Vec<Directory>> {
    let mut found = Vec::new();
    let after = at.saturating_add(EndRecord::FIXED).saturating_add(end.comment).min(source.len());
    let wide = zip64_ends(source, at)?;
    let mut readings: Vec<(EndRecord, u64, Option<u64>)> =
        wide.iter().map(|(wide_at, wide)| (*wide, *wide_at, Some(*wide_at))).collect();
    if wide.len() > 1 {
        remarks.push((at, "two zip64 end records, found in two ways, differ in place".into(), Deviation::Misleading));
    }
    let disagrees = wide.iter().any(|(_, wide)| !end.agrees(wide));
    if disagrees {
        remarks.push((at, "the end record and its zip64 form disagree".into(), Deviation::Misleading));
    }
    if wide.is_empty() && end.needs_zip64() && !(end.entries == 0xffff && end.size < 0xffff_ffff) {
        remarks.push((at, "the zip64 end record that is referred to is missing".into(), Deviation::Wrong));
    }
    if wide.is_empty() || disagrees {
        readings.push((end, at, None));
    }
    for (end, limit, zip64_at) in readings {
        let by_offset = (end.offset, 0);
        let by_size = limit.checked_sub(end.size).and_then(|start| Some((start, start.checked_sub(end.offset)?)));
        let mut candidates_at: Vec<(u64, u64)> = by_size.into_iter().chain([by_offset]).collect();
        candidates_at.dedup();
        if end.entries > 0 {
            candidates_at.retain(|(start, _)| {
                read_vec(&**source, *start, 4).is_ok_and(|head| head == b"PK\x01\x02" && *start < limit)
            });
        } else {
            candidates_at.truncate(1);
        }
        if candidates_at.len() > 1 {
            let what = "the central directory is at another place by its offset than by its size".to_owned();
            remarks.push((at, what, Deviation::Misleading));
        }
        found.extend(candidates_at.into_iter().map(|(start, base)| Directory {
            end_at: at,
            end_after: after,
            zip64_at,
            start,
            after: start,
            base,
            size: end.size,
            entries: end.entries,
        }));
    }
    Ok(found)
}

/// Zip64 end records that the locator in front of the end record leads to, and the one right in front of the locator.
fn zip64_ends(source: &SharedSource, end_at: u64) -> io::Result<Vec<(u64, EndRecord)>> {
    let Some(locator_at) = end_at.checked_sub(20) else {
        return Ok(Vec::new());
    };
    let Some(named) = EndRecord::parse_locator(&read_vec(&**source, locator_at, 20)?) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for at in [Some(named), locator_at.checked_sub(56)].into_iter().flatten() {
        if at < locator_at
            && let Some(end) = EndRecord::parse_zip64(&read_vec(&**source, at, 56)?)
            && found.iter().all(|(known, _)| *known != at)
        {
            found.push((at, end));
        }
    }
    Ok(found)
}

/// Reads the records of a directory, as long as there are any in front of its end record.
pub(super) fn read_records(
    source: &SharedSource,
    directory: &mut Directory,
    budget: &ScanBudget,
    entry_budget: &mut EntryBudget,
) -> io::Result<(Records, Option<Unread>)> {
    let limit = directory.zip64_at.unwrap_or(directory.end_at);
    let fits = limit.saturating_sub(directory.start).min(directory.size) / CentralHeader::FIXED as u64;
    let announced = usize::try_from(fits.min(directory.entries)).unwrap_or(0);
    let mut records = Vec::with_capacity(announced.min(entry_budget.entries));
    let mut block = RecordBuffer { source, at: 0, bytes: Vec::new() };
    let mut at = directory.start;
    let unread = loop {
        if at.saturating_add(CentralHeader::FIXED as u64) > limit {
            break None;
        }
        let Some(length) = CentralHeader::length(block.get(at, CentralHeader::FIXED)?) else {
            break None;
        };
        let after = at.saturating_add(length as u64);
        let there = usize::try_from(after.min(limit) - at).unwrap_or(length);
        let Some(record) = CentralHeader::parse(block.get(at, there)?) else {
            break None;
        };
        if entry_budget.entries == 0 || entry_budget.name_bytes < record.name.len() {
            break Some(Unread::Limit(format!("more than {} entries", budget.limits.entries)));
        }
        if records.len().is_multiple_of(4096) && budget.expired() {
            break Some(Unread::Limit("time ran out in the central directory".into()));
        }
        entry_budget.entries -= 1;
        entry_budget.name_bytes -= record.name.len();
        records.push((at, record));
        if after > limit {
            // CPython takes such a record as it is.
            at = limit;
            break Some(Unread::Broken("the last record of the central directory runs into the end record".into()));
        }
        at = after;
    };
    directory.after = at;
    Ok((records, unread))
}

/// What all directories of one file may hold together.
pub(super) struct EntryBudget {
    pub(super) entries: usize,
    pub(super) name_bytes: usize,
}

/// A buffered view for records in a row.
struct RecordBuffer<'a> {
    source: &'a SharedSource,
    at: u64,
    bytes: Vec<u8>,
}

impl RecordBuffer<'_> {
    const LEN: usize = 256 << 10;

    fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let inside = |block: &Self| {
            let start = usize::try_from(at.checked_sub(block.at)?).ok()?;
            Some((start, start.checked_add(len)?)).filter(|(_, end)| *end <= block.bytes.len())
        };
        let range = match inside(self) {
            Some(range) => range,
            None => {
                self.at = at;
                self.bytes = read_vec(&**self.source, at, len.max(Self::LEN))?;
                (0, len.min(self.bytes.len()))
            }
        };
        Ok(self.bytes.get(range.0..range.1).unwrap_or_default())
    }
}
