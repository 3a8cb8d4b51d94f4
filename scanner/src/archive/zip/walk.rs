//! The walk over a zip file: directories, the local headers they lead to, and what hides between them.
//!
//! Only headers are read, each with one small read, and the bytes that belong to no entry; a payload never is. Every
//! span of the file is accounted for: overlaps and gaps come out of sorting them.

use super::central_directory::{Directory, EntryBudget, find_directories, read_records};
use super::entry::{ZipArchive, ZipEntry, ZipRegion};
use super::local_headers::{BATCH_ENTRIES, DESCRIPTOR_BYTES, HeaderRequest, LocalHeaders, PIECE_ENTRIES};
use super::records::{CentralHeader, DataDescriptor, EndRecord, LocalHeader};
use crate::archive::entry_name;
use crate::fact::{Deviation, Fact, Unread};
use crate::io::bounds::archive::{MAX_ARCHIVE_NAME_BYTES, MAX_ZIP_FACTS, MAX_ZIP_PADDING_BYTES};
use crate::io::budget::ScanBudget;
use crate::io::source::{FirstBytes, SharedSource, Window, read_vec};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

/// Bytes of a gap that are examined together.
const BLOCK_BYTES: usize = 64 << 10;

/// A range of the file with a known meaning.
struct Span {
    start: u64,
    end: u64,
    entry: Option<usize>,
    /// The bytes before it, where they were read along.
    before: Option<[u8; DESCRIPTOR_BYTES]>,
}

/// The state of the walk.
pub(super) struct ZipWalk<'a> {
    pub(super) source: &'a SharedSource,
    pub(super) budget: &'a ScanBudget,
    pub(super) archive: ZipArchive,
    spans: Vec<Span>,
    fact_counts: [usize; 3],
    entry_budget: EntryBudget,
    search_budget: u64,
}

impl ZipArchive {
    /// Walks a zip file; reads headers and the bytes between entries only.
    pub fn read(source: &SharedSource, budget: &ScanBudget) -> Self {
        walk(source, budget)
    }
}

fn walk(source: &SharedSource, budget: &ScanBudget) -> ZipArchive {
    let mut walk = ZipWalk {
        source,
        budget,
        archive: ZipArchive::default(),
        spans: Vec::new(),
        fact_counts: [0; 3],
        entry_budget: EntryBudget { entries: budget.limits.entries, name_bytes: MAX_ARCHIVE_NAME_BYTES },
        search_budget: budget.limits.resync_bytes,
    };
    if let Err(error) = walk.run() {
        walk.archive.unread.push((None, Unread::Io(error.to_string())));
    }
    walk.compare_names();
    for (count, what) in walk.fact_counts.into_iter().zip(["odd", "wrong", "misleading"]) {
        if count > MAX_ZIP_FACTS {
            let what = format!("{} more places are {what}", count - MAX_ZIP_FACTS);
            walk.archive.facts.push((None, Fact::ArchiveMismatch { what, deviation: Deviation::Unusual }));
        }
    }
    walk.archive
}

impl ZipWalk<'_> {
    /// States a disagreement.
    pub(super) fn mismatch(&mut self, at: u64, what: String, deviation: Deviation) {
        self.add_fact(at, deviation, Fact::ArchiveMismatch { what, deviation });
    }

    /// States a fact, unless very many of its deviation are stated.
    pub(super) fn add_fact(&mut self, at: u64, deviation: Deviation, fact: Fact) {
        let [odd, wrong, misleading] = &mut self.fact_counts;
        let count = match deviation {
            Deviation::Unusual => odd,
            Deviation::Wrong => wrong,
            Deviation::Misleading => misleading,
        };
        *count += 1;
        if *count <= MAX_ZIP_FACTS {
            self.archive.facts.push((Some(at), fact));
        }
    }

    fn run(&mut self) -> io::Result<()> {
        let directories = find_directories(self.source)?;
        for (at, what, deviation) in directories.mismatches {
            self.mismatch(at, what, deviation);
        }
        let mut first_end = None;
        for directory in directories.found {
            // The end record of a zip stored inside this one belongs to that zip.
            if self.inside_entry(directory.end_at) {
                continue;
            }
            if *first_end.get_or_insert(directory.end_at) != directory.end_at {
                let what = "there is another end record: readers may differ on which is the archive's".to_owned();
                self.mismatch(directory.end_at, what, Deviation::Misleading);
            }
            self.read_directory(directory)?;
        }
        if first_end.is_none() {
            let why = "no end record: a cut or damaged zip, known from its local headers only";
            self.archive.unread.push((None, Unread::Broken(why.into())));
        }
        self.check_gaps(first_end.is_some())
    }

    fn inside_entry(&self, at: u64) -> bool {
        self.spans.iter().any(|span| span.entry.is_some() && span.start <= at && at < span.end)
    }

    fn read_directory(&mut self, mut directory: Directory) -> io::Result<()> {
        let (found, unread) = read_records(self.source, &mut directory, self.budget, &mut self.entry_budget)?;
        let cut = unread.is_some();
        self.archive.unread.extend(unread.map(|why| (Some(directory.after), why)));
        let (at, count) = (directory.start, found.len() as u64);
        if !cut && count != directory.entries {
            // Writers that know no zip64 count modulo 65,536.
            let wraps = count & 0xffff == directory.entries;
            let deviation = if wraps { Deviation::Unusual } else { Deviation::Misleading };
            self.mismatch(at, format!("{} entries are announced and {count} are there", directory.entries), deviation);
        }
        let size = directory.after - directory.start;
        if !cut && size != directory.size {
            let what = format!("the central directory is announced with {} bytes and has {size}", directory.size);
            self.mismatch(at, what, Deviation::Misleading);
        }
        let known: HashSet<(u64, String)> =
            self.archive.entries.iter().map(|entry| (entry.header, entry.name.clone())).collect();
        let requests: Vec<HeaderRequest<'_>> = found
            .iter()
            .map(|(at, central)| (*at, central.local.saturating_add(directory.base), central))
            .filter(|(_, at, central)| known.is_empty() || !known.contains(&(*at, entry_name::decode(&central.name))))
            .collect();
        self.archive.entries.reserve(requests.len());
        self.read_entries(&requests)?;
        let zip64 = directory.zip64_at.map(|zip64_at| (zip64_at, directory.end_at));
        let ends = [Some((directory.start, directory.after)), zip64, Some((directory.end_at, directory.end_after))];
        let spans = ends.into_iter().flatten().filter(|(start, end)| start < end);
        self.spans.extend(spans.map(|(start, end)| Span { start, end, entry: None, before: None }));
        self.add_comment(&directory);
        Ok(())
    }

    fn read_entries(&mut self, requests: &[HeaderRequest<'_>]) -> io::Result<()> {
        for batch in requests.chunks(BATCH_ENTRIES) {
            let all = LocalHeaders::read_all(self.source, batch);
            for (piece, headers) in batch.chunks(PIECE_ENTRIES).zip(all) {
                for (turn, (at, header, central)) in piece.iter().enumerate() {
                    if turn == 0 && self.budget.expired() {
                        let why = Unread::Limit("time ran out while walking the entries".into());
                        self.archive.unread.push((Some(*at), why));
                        return Ok(());
                    }
                    match headers.get(turn, *header) {
                        Some((before, bytes)) => self.entry(*at, *header, central, before, bytes)?,
                        None => return headers.error.map_or(Ok(()), Err),
                    }
                }
            }
        }
        Ok(())
    }

    fn add_comment(&mut self, directory: &Directory) {
        let start = directory.end_at.saturating_add(EndRecord::FIXED);
        let length = directory.end_after.saturating_sub(start);
        if length > 0 {
            let source = Arc::new(Window::new(self.source.clone(), start, length));
            self.archive.regions.push(ZipRegion { name: "(comment)".into(), source });
        }
    }

    fn entry(&mut self, at: u64, header: u64, central: &CentralHeader, before: &[u8], bytes: &[u8]) -> io::Result<()> {
        let long;
        let bytes = match LocalHeader::length(bytes).filter(|length| *length > bytes.len()) {
            Some(length) => {
                long = read_vec(&**self.source, header, length + FirstBytes::LEN)?;
                &long
            }
            None => bytes,
        };
        let local = LocalHeader::parse(bytes);
        let name = entry_name::decode(&central.name);
        let other_name = local.filter(|local| *local.name != *central.name).map(|local| entry_name::decode(local.name));
        let local_name = other_name.filter(|other| *other != name);
        let data = local.map(|local| header.saturating_add(local.length));
        let entry = ZipEntry {
            source: self.source.clone(),
            first_bytes: local.map(|local| FirstBytes::of(local.content_in(bytes))).unwrap_or_default(),
            loaded: None,
            local_name,
            method: central.method,
            flags: central.flags,
            crc32: central.crc32,
            packed: central.packed,
            unpacked: central.unpacked,
            header: if data.is_some() { header } else { at },
            data,
            encrypted: central.flags & 1 != 0,
            only_local: false,
            only_central: data.is_none(),
            folder: name.ends_with('/'),
            name,
        };
        self.compare_headers(at, &entry, central, local.as_ref());
        let other = local.as_ref().and_then(|local| by_local_header(&entry, local));
        if let Some(data) = data {
            let end = data.saturating_add(central.packed);
            let (entry, before) = (Some(self.archive.entries.len()), before.try_into().ok());
            self.spans.push(Span { start: header, end, entry, before });
        }
        self.archive.entries.push(entry);
        self.archive.entries.extend(other);
        Ok(())
    }

    /// Goes over all spans in order and checks the bytes between them.
    fn check_gaps(&mut self, has_directory: bool) -> io::Result<()> {
        self.spans.sort_by_key(|span| (span.start, span.end));
        let mut covered = 0;
        let mut last: Option<usize> = None;
        for span in std::mem::take(&mut self.spans) {
            if span.start > covered {
                self.check_gap(covered, span.start, last, span.before, has_directory)?;
            } else if span.start < covered {
                let name = span.entry.and_then(|entry| self.archive.entries.get(entry)).map(|entry| &entry.name);
                let what = format!("{} overlaps what stands before it", name.map_or("the central directory", |n| n));
                self.mismatch(span.start, what, Deviation::Misleading);
            }
            if span.end > covered {
                covered = span.end;
                last = span.entry;
            }
        }
        if covered < self.source.len() {
            self.check_gap(covered, self.source.len(), last, None, has_directory)?;
        }
        Ok(())
    }

    /// `known` are the last bytes of the gap.
    fn check_gap(
        &mut self,
        start: u64,
        end: u64,
        behind: Option<usize>,
        known: Option<[u8; DESCRIPTOR_BYTES]>,
        has_directory: bool,
    ) -> io::Result<()> {
        let start = start + self.check_descriptor(start, end, behind, known)?;
        if start >= end {
            return Ok(());
        }
        let before = self.archive.entries.len();
        let zeros = self.search_headers(start, end, has_directory)?;
        if !has_directory {
            return Ok(());
        }
        let length = end - start;
        let hidden = self.archive.entries.len() - before;
        let (name, what, deviation) = if start == 0 {
            let what =
                format!("{length} bytes stand before the first entry: torch takes that for no zip, others for one");
            ("(prefix)".to_owned(), what, Deviation::Misleading)
        } else if end == self.source.len() {
            let deviation = if zeros { Deviation::Unusual } else { Deviation::Wrong };
            ("(suffix)".to_owned(), format!("{length} bytes stand behind the end of the archive"), deviation)
        } else {
            if zeros {
                return Ok(());
            }
            let deviation = if length > MAX_ZIP_PADDING_BYTES { Deviation::Wrong } else { Deviation::Unusual };
            (format!("(gap at {start})"), format!("{length} bytes between the entries belong to none"), deviation)
        };
        self.mismatch(start, what, if hidden > 0 { Deviation::Misleading } else { deviation });
        if !zeros {
            let source = Arc::new(Window::new(self.source.clone(), start, length));
            self.archive.regions.push(ZipRegion { name, source });
        }
        Ok(())
    }

    /// Length of the data descriptor at `start`, compared with what the directory says.
    fn check_descriptor(
        &mut self,
        start: u64,
        end: u64,
        behind: Option<usize>,
        known: Option<[u8; DESCRIPTOR_BYTES]>,
    ) -> io::Result<u64> {
        let Some(entry) = behind.and_then(|entry| self.archive.entries.get(entry)) else {
            return Ok(0);
        };
        if entry.flags & 8 == 0 {
            return Ok(0);
        }
        let (name, crc32, packed, unpacked) = (entry.name.clone(), entry.crc32, entry.packed, entry.unpacked);
        let len = usize::try_from(end - start).unwrap_or(usize::MAX);
        let descriptor_bytes = known.as_ref().and_then(|known| known.get(DESCRIPTOR_BYTES.checked_sub(len)?..));
        let read;
        let bytes = match descriptor_bytes {
            Some(bytes) => bytes,
            None => {
                read = read_vec(&**self.source, start, len.min(DESCRIPTOR_BYTES))?;
                &read
            }
        };
        let Some(found) = DataDescriptor::parse(bytes, packed, unpacked) else {
            return Ok(0);
        };
        if found.packed != packed || found.unpacked != unpacked {
            let what = format!("the lengths of {name} behind its data are not those of the central directory");
            self.mismatch(start, what, Deviation::Misleading);
        } else if found.crc32 != crc32 && found.crc32 != 0 && crc32 != 0 {
            let what = format!("the checksum of {name} behind its data is not that of the central directory");
            self.mismatch(start, what, Deviation::Wrong);
        }
        Ok(found.length)
    }

    /// Looks for local headers in bytes that belong to no entry; says whether these are nothing but zeros.
    fn search_headers(&mut self, start: u64, end: u64, has_directory: bool) -> io::Result<bool> {
        let mut zeros = true;
        let mut at = start;
        while at < end {
            if self.search_budget == 0 || self.budget.expired() {
                let why = format!("{} bytes outside of the entries were not searched", end - at);
                self.archive.unread.push((Some(at), Unread::Limit(why)));
                return Ok(false);
            }
            let block =
                read_vec(&**self.source, at, usize::try_from(end - at).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES))?;
            if block.is_empty() {
                break;
            }
            self.search_budget = self.search_budget.saturating_sub(block.len() as u64);
            zeros &= block.iter().all(|byte| *byte == 0);
            match block.windows(4).position(|window| window == b"PK\x03\x04") {
                Some(hit) => at = self.add_hidden_entry(at + hit as u64, end, has_directory)?,
                None if block.len() < BLOCK_BYTES => break,
                None => at += block.len() as u64 - 3,
            }
        }
        Ok(zeros)
    }

    /// Takes in an entry that no directory knows; gives the place where the search goes on.
    fn add_hidden_entry(&mut self, at: u64, end: u64, has_directory: bool) -> io::Result<u64> {
        let on = at + 4;
        let mut header = read_vec(&**self.source, at, LocalHeader::FIXED + 160)?;
        if let Some(length) = LocalHeader::length(&header).filter(|length| *length > header.len()) {
            header = read_vec(&**self.source, at, length)?;
        }
        let Some(local) = LocalHeader::parse(&header) else {
            return Ok(on);
        };
        let known = matches!(local.method, 0 | 8 | 9 | 12 | 14 | 20 | 93 | 95 | 99);
        let data = at.saturating_add(local.length);
        if !known || local.version & 0xff > 100 || local.name.is_empty() || data > end || self.entry_budget.entries == 0
        {
            return Ok(on);
        }
        self.entry_budget.entries -= 1;
        let rest = end - data;
        let sized = local.flags & 8 == 0 || local.packed > 0;
        let packed = if sized { local.packed.min(rest) } else { rest };
        let name = entry_name::decode(local.name);
        if has_directory {
            let what = format!("{name} has a local header and is in no central directory");
            self.mismatch(at, what, Deviation::Misleading);
        }
        self.check_path(at, &name);
        self.archive.entries.push(ZipEntry {
            source: self.source.clone(),
            first_bytes: FirstBytes::default(),
            loaded: None,
            local_name: None,
            method: local.method,
            flags: local.flags,
            crc32: local.crc32,
            packed,
            unpacked: if local.method == 0 { packed } else { local.unpacked },
            header: at,
            data: Some(data),
            encrypted: local.flags & 1 != 0,
            only_local: true,
            only_central: false,
            folder: name.ends_with('/'),
            name,
        });
        Ok(if sized { data.saturating_add(packed) } else { data })
    }
}

/// The entry as readers of local headers see it, where its method or lengths are others there: both contents count.
fn by_local_header(entry: &ZipEntry, local: &LocalHeader<'_>) -> Option<ZipEntry> {
    let unset = local.packed == 0 && local.unpacked == 0 || local.packed == 0xffff_ffff;
    let lengths = !unset && (local.packed, local.unpacked) != (entry.packed, entry.unpacked);
    (local.method != entry.method || lengths).then(|| ZipEntry {
        name: format!("{} (by its local header)", entry.name),
        method: local.method,
        flags: local.flags,
        crc32: local.crc32,
        packed: if lengths { local.packed } else { entry.packed },
        unpacked: if lengths { local.unpacked } else { entry.unpacked },
        ..entry.clone()
    })
}
