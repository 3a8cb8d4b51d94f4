//! A tar file, header by header, as far as any reader might get.
//!
//! Readers differ on where the next header is: whether an extended size replaces the one in the header, whether a link
//! has data, whether anything comes after the first block of zeros or after a broken header. Where they differ, the
//! walk goes both ways. Nothing is unpacked to disk.

use super::header::{
    BLOCK_BYTES, ExtendedRecords, HeaderError, TarHeader, has_magic, in_pairs, parse_decimal, sparse_pairs,
};
use super::sparse::SparseSource;
use crate::archive::entry_name;
use crate::fact::{Deviation, Fact, Unread};
use crate::io::bounds::archive::{
    MAX_ARCHIVE_NAME_BYTES, MAX_TAR_FACTS, MAX_TAR_RECORD_BYTES, MAX_TAR_SPARSE_MAP_BYTES, MAX_TAR_SPARSE_PARTS,
};
use crate::io::budget::ScanBudget;
use crate::io::source::{SharedSource, Window, read_vec};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Arc;

/// A tar file.
#[derive(Default)]
pub struct TarArchive {
    /// Regular files, in order.
    pub entries: Vec<TarEntry>,
    /// Anomalies, with their offsets.
    pub facts: Vec<(Option<u64>, Fact)>,
    /// Bytes that were not read, with their offsets.
    pub unread: Vec<(Option<u64>, Unread)>,
    /// Bytes after the end that are neither zeros nor an entry.
    pub trailing: Option<SharedSource>,
}

/// A regular file in a tar.
pub struct TarEntry {
    /// Its path.
    pub name: String,
    /// Offset of its header.
    pub header: u64,
    /// Its content.
    pub source: SharedSource,
}

/// Whether a tar starts here: `Some(true)` with a magic number or a checksum that fits and a plausible name.
pub fn recognize(start: &[u8]) -> Option<bool> {
    match TarHeader::parse(start) {
        Ok(header) => Some(has_magic(start) || (!header.name.is_empty() && header.kind.is_ascii())),
        Err(HeaderError::Checksum | HeaderError::Size) if has_magic(start) => Some(false),
        Err(_) => None,
    }
}

impl TarArchive {
    /// Walks a tar file; reads headers only.
    pub fn read(source: &SharedSource, budget: &ScanBudget) -> Self {
        let mut walk = TarWalk {
            source,
            budget,
            archive: Self::default(),
            pending: VecDeque::from([0]),
            visited: HashSet::new(),
            names: HashSet::new(),
            global: ExtendedRecords::default(),
            name_bytes: MAX_ARCHIVE_NAME_BYTES,
            search_budget: budget.limits.resync_bytes,
        };
        while let Some(at) = walk.pending.pop_front() {
            if let Err(error) = walk.run(at) {
                walk.archive.unread.push((Some(at), Unread::Io(error.to_string())));
            }
        }
        walk.archive
    }
}

struct TarWalk<'a> {
    source: &'a SharedSource,
    budget: &'a ScanBudget,
    archive: TarArchive,
    /// Places where some reader finds the next header.
    pending: VecDeque<u64>,
    /// Offsets of headers read before: two views often meet again.
    visited: HashSet<u64>,
    names: HashSet<String>,
    global: ExtendedRecords,
    name_bytes: usize,
    search_budget: u64,
}

/// What was read in front of the header of an entry.
#[derive(Default)]
struct PendingRecords {
    extended: Option<ExtendedRecords>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

fn padded_to_block(size: u64) -> u64 {
    size.checked_next_multiple_of(BLOCK_BYTES as u64).unwrap_or(u64::MAX)
}

impl TarWalk<'_> {
    fn add_fact(&mut self, at: u64, fact: Fact) {
        if self.archive.facts.len() < MAX_TAR_FACTS {
            self.archive.facts.push((Some(at), fact));
        }
    }

    fn mismatch(&mut self, at: u64, what: impl Into<String>, deviation: Deviation) {
        self.add_fact(at, Fact::ArchiveMismatch { what: what.into(), deviation });
    }

    /// Follows headers from `at` until they end or were visited before.
    fn run(&mut self, mut at: u64) -> io::Result<()> {
        let mut before = PendingRecords::default();
        while self.visited.insert(at) {
            if self.visited.len() > self.budget.limits.entries {
                let why = format!("more than {} headers", self.budget.limits.entries);
                self.archive.unread.push((Some(at), Unread::Limit(why)));
                self.pending.clear();
                return Ok(());
            }
            if self.visited.len().is_multiple_of(1024) && self.budget.expired() {
                self.archive.unread.push((Some(at), Unread::Limit("time ran out in a tar".into())));
                self.pending.clear();
                return Ok(());
            }
            let header = match TarHeader::parse(&read_vec(&**self.source, at, BLOCK_BYTES)?) {
                Ok(header) => header,
                Err(why) => return self.search_after_end(at, why),
            };
            let data = at.saturating_add(BLOCK_BYTES as u64);
            at = match header.kind {
                b'x' | b'g' | b'X' | b'L' | b'K' => self.read_extended(at, data, &header, &mut before)?,
                _ => self.read_entry(at, data, header, std::mem::take(&mut before))?,
            };
        }
        Ok(())
    }

    /// Reads extended records and long names; gives the place of the next header.
    fn read_extended(
        &mut self,
        at: u64,
        data: u64,
        header: &TarHeader,
        before: &mut PendingRecords,
    ) -> io::Result<u64> {
        let next = data.saturating_add(padded_to_block(header.size));
        if header.size > MAX_TAR_RECORD_BYTES {
            let why = format!("extended records of {} bytes", header.size);
            self.archive.unread.push((Some(at), Unread::Limit(why)));
            return Ok(next);
        }
        let bytes = read_vec(&**self.source, data, usize::try_from(header.size).unwrap_or(0))?;
        let name = || bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        let malformed = match header.kind {
            b'L' => before.long_name.replace(name()).is_some(),
            b'K' => before.long_link.replace(name()).is_some(),
            b'g' => {
                self.global.read(&bytes);
                self.global.malformed
            }
            _ => {
                let twice = before.extended.is_some();
                let extended = before.extended.get_or_insert_with(|| self.global.clone());
                extended.read(&bytes);
                extended.malformed || twice
            }
        };
        if malformed {
            self.mismatch(at, "extended records are malformed or given twice", Deviation::Misleading);
        }
        Ok(next)
    }

    /// Takes in one entry; gives the place of the next header.
    fn read_entry(&mut self, at: u64, mut data: u64, header: TarHeader, before: PendingRecords) -> io::Result<u64> {
        let extended = before.extended.unwrap_or_else(|| self.global.clone());
        if let (Some(path), Some(long)) = (&extended.path, &before.long_name)
            && path != long
        {
            self.mismatch(at, "an entry has two long names", Deviation::Misleading);
        }
        let named = [extended.sparse_name.as_ref(), extended.path.as_ref(), before.long_name.as_ref()];
        let name = entry_name::decode(named.into_iter().flatten().next().unwrap_or(&header.name));
        let link = entry_name::decode(extended.link.as_ref().or(before.long_link.as_ref()).unwrap_or(&header.link));
        let mut map = extended.sparse_map.clone();
        let mut real = extended.sparse_size;
        if let Some(sparse) = &header.sparse {
            map.clone_from(&sparse.map);
            real = Some(sparse.real_size);
            if sparse.more {
                data = self.sparse_extension(data, &mut map)?;
            }
        }
        let size = extended.size.unwrap_or(header.size);
        let mut next = data.saturating_add(padded_to_block(size));
        // Writers leave the header at zero where the size does not fit in its eleven octal digits.
        if size != header.size && (header.size != 0 || size < 1 << 33) {
            let what = format!("{name} has {} bytes by its header and {size} by its extended size", header.size);
            self.mismatch(at, what, Deviation::Misleading);
            self.pending.push_back(data.saturating_add(padded_to_block(header.size)));
        }
        let folder = header.kind == b'5' || (header.kind == 0 && name.ends_with('/'));
        let has_data = !folder && !matches!(header.kind, b'1' | b'2' | b'3' | b'4' | b'6');
        if !has_data && size != 0 {
            self.mismatch(
                at,
                format!("{name} is no file and has {size} bytes: readers differ on them"),
                Deviation::Misleading,
            );
            self.pending.push_back(next);
            next = data;
        }
        if let Some(what) = entry_name::escape_reason(&name) {
            self.add_fact(at, Fact::PathEscapes { path: name.clone(), what: what.into() });
        }
        match header.kind {
            b'1' | b'2' => self.check_link(at, &name, &link, header.kind == b'1'),
            b'3' => self.add_fact(at, Fact::SpecialFile { kind: "character device" }),
            b'4' => self.add_fact(at, Fact::SpecialFile { kind: "block device" }),
            b'6' => self.add_fact(at, Fact::SpecialFile { kind: "FIFO" }),
            _ => {}
        }
        let data_size = if has_data { size } else { padded_to_block(size) };
        if has_data || size != 0 {
            self.add_file(at, name, data, data_size, &extended, (map, real))?;
        }
        Ok(next)
    }

    fn add_file(
        &mut self,
        at: u64,
        name: String,
        data: u64,
        size: u64,
        extended: &ExtendedRecords,
        (mut map, real): (Vec<(u64, u64)>, Option<u64>),
    ) -> io::Result<()> {
        let plain = entry_name::normalized(&name);
        if self.name_bytes < name.len() + plain.len() {
            self.archive.unread.push((Some(at), Unread::Limit("too many long names".into())));
            self.pending.clear();
            return Ok(());
        }
        self.name_bytes -= name.len() + plain.len();
        if !self.names.insert(plain) {
            self.mismatch(at, format!("two entries are named {name}: the last one counts"), Deviation::Wrong);
        }
        if data.saturating_add(size) > self.source.len() {
            let why = format!("{name} of {size} bytes runs over the end of the file");
            self.archive.unread.push((Some(at), Unread::Broken(why)));
        }
        let mut source: SharedSource = Arc::new(Window::new(self.source.clone(), data, size));
        let mut skip = 0;
        if extended.sparse_major == Some(1) {
            (map, skip) = embedded_sparse_map(&source)?;
        }
        if let Some(real) = real.filter(|_| !map.is_empty() || skip > 0) {
            let stored: SharedSource = Arc::new(Window::new(source.clone(), skip, size));
            let within = real <= self.budget.limits.member_bytes;
            match SparseSource::new(stored, &map, real).filter(|_| within) {
                Some(sparse) => source = Arc::new(sparse),
                None => {
                    let why = format!("the sparse map of {name} does not fit its {size} bytes");
                    self.archive.unread.push((Some(at), Unread::Broken(why)));
                }
            }
        }
        self.archive.entries.push(TarEntry { name, header: at, source });
        Ok(())
    }

    /// Blocks of sparse map between header and data; gives where the data starts.
    fn sparse_extension(&self, mut at: u64, map: &mut Vec<(u64, u64)>) -> io::Result<u64> {
        loop {
            let block = read_vec(&**self.source, at, BLOCK_BYTES)?;
            map.extend(sparse_pairs(block.get(..504).unwrap_or_default()));
            at = at.saturating_add(BLOCK_BYTES as u64);
            if block.get(504).is_none_or(|more| *more == 0) || map.len() > MAX_TAR_SPARSE_PARTS {
                return Ok(at);
            }
        }
    }

    fn check_link(&mut self, at: u64, name: &str, target: &str, hard: bool) {
        // A hard link names an entry, a symbolic one is relative to its own folder.
        let folder = if hard { "" } else { name.rsplit_once('/').map_or("", |(folder, _)| folder) };
        let mut depth: usize = 0;
        let mut out = target.starts_with(['/', '\\']);
        for part in folder.split('/').chain(target.split('/')) {
            match part {
                "" | "." => {}
                ".." if depth == 0 => out = true,
                ".." => depth -= 1,
                _ => depth += 1,
            }
        }
        if out {
            let what = format!("links to {target}, outside of the archive");
            self.add_fact(at, Fact::PathEscapes { path: name.to_owned(), what });
        }
    }

    /// Headers end or break at `at`: searches for more after it.
    fn search_after_end(&mut self, at: u64, why: HeaderError) -> io::Result<()> {
        let len = self.source.len();
        match why {
            HeaderError::Cut if at >= len => {
                // Most readers put up with a missing end.
                if at > len {
                    self.archive.unread.push((Some(len), Unread::Broken("the file ends within an entry".into())));
                }
                return Ok(());
            }
            HeaderError::Cut => self.archive.unread.push((Some(at), Unread::Broken("a header is cut".into()))),
            HeaderError::Checksum => {
                self.archive.unread.push((Some(at), Unread::Broken("no header where one should be".into())))
            }
            HeaderError::Size => self.archive.unread.push((Some(at), Unread::Broken("a length is no number".into()))),
            HeaderError::Zeros => {}
        }
        let mut other = None;
        let mut here = at;
        while here < len {
            if self.search_budget == 0 || self.budget.expired() {
                let why = format!("{} bytes behind the end were not searched", len - here);
                self.archive.unread.push((Some(here), Unread::Limit(why)));
                break;
            }
            let bytes = read_vec(&**self.source, here, 128 * BLOCK_BYTES)?;
            if bytes.is_empty() {
                break;
            }
            self.search_budget = self.search_budget.saturating_sub(bytes.len() as u64);
            for (turn, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
                let start = here + (turn * BLOCK_BYTES) as u64;
                if block.iter().any(|byte| *byte != 0) && start > at {
                    other.get_or_insert(start);
                }
                if start > at && has_magic(block) && TarHeader::parse(block).is_ok() && !self.visited.contains(&start) {
                    self.mismatch(start, "an entry stands behind the end of the archive", Deviation::Misleading);
                    self.pending.push_back(start);
                    return Ok(());
                }
            }
            here += bytes.len() as u64;
        }
        let start = if why == HeaderError::Zeros { other } else { Some(at) };
        if let Some(start) = start.filter(|start| *start < len && self.pending.is_empty()) {
            if why == HeaderError::Zeros {
                let what = "bytes behind the end of the tar".to_owned();
                self.add_fact(start, Fact::TrailingData { length: len - start, what });
            }
            self.archive.trailing = Some(Arc::new(Window::new(self.source.clone(), start, len - start)));
        }
        Ok(())
    }
}

/// The sparse map as text in front of the data, and the offset of the data.
fn embedded_sparse_map(source: &SharedSource) -> io::Result<(Vec<(u64, u64)>, u64)> {
    let bytes = read_vec(&**source, 0, MAX_TAR_SPARSE_MAP_BYTES)?;
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let mut used = 0_u64;
    let mut line = || {
        let line = lines.next()?.strip_suffix(b"\n")?;
        used += line.len() as u64 + 1;
        parse_decimal(line)
    };
    let count = line()
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| *count <= MAX_TAR_SPARSE_PARTS)
        .unwrap_or(0);
    let numbers: Vec<u64> = std::iter::from_fn(line).take(count * 2).collect();
    Ok((in_pairs(&numbers), padded_to_block(used)))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
