//! Entries of a zip file, as all of its readers together see them.
//!
//! CPython trusts the central directory, streaming readers trust local headers, and torch's reader ignores checksums
//! and flags. To hide something from a scanner, a file lets these disagree. So the walk takes the union of what any
//! reader would find, states each disagreement, and passes every entry on. Entries are opened leniently: an encryption
//! flag on plain data stops CPython but not torch, so it does not stop the scanner.

use crate::archive::codec::Codec;
use crate::archive::decoded::decode;
use crate::archive::{ArchiveEntry, OpenedEntry};
use crate::fact::{Deviation, Fact, Unread};
use crate::io::bounds::archive::MAX_ZIP_CHECKED_BYTES;
use crate::io::budget::ScanBudget;
use crate::io::source::{FirstBytes, SharedSource, Source, Window, read_if_small};
use std::sync::Arc;

/// A zip file: its entries, its anomalies, and bytes that could not be read.
#[derive(Default)]
pub struct ZipArchive {
    /// All entries that any reader would see: those of the central directory in its order, then hidden ones.
    pub entries: Vec<ZipEntry>,
    /// Anomalies, with their offsets.
    pub facts: Vec<(Option<u64>, Fact)>,
    /// Bytes that were not read, with their offsets.
    pub unread: Vec<(Option<u64>, Unread)>,
    /// Bytes between the entries that belong to none: prefix, suffix, gaps, comment.
    pub regions: Vec<ZipRegion>,
}

/// Bytes that belong to no entry.
pub struct ZipRegion {
    /// What it is, in parentheses: no entry has such a name by chance.
    pub name: String,
    /// The bytes.
    pub source: SharedSource,
}

/// An entry of a zip file.
#[derive(Clone)]
pub struct ZipEntry {
    pub(super) source: SharedSource,
    /// The first bytes behind its local header.
    pub(super) first_bytes: FirstBytes,
    /// Its packed bytes, where [`Self::load`] read them.
    pub(super) loaded: Option<SharedSource>,
    /// Its name in the central directory, or in its local header where only that is there.
    pub name: String,
    /// Its name in the local header where that is another.
    pub local_name: Option<String>,
    /// Compression method, as the central directory says.
    pub method: u16,
    /// General purpose flags, as the central directory says.
    pub flags: u16,
    /// CRC-32 of the content, 0 where the writer did not say.
    pub crc32: u32,
    /// Packed length.
    pub packed: u64,
    /// Unpacked length.
    pub unpacked: u64,
    /// Offset of its header: the local one, or the central one of an entry without a local one.
    pub header: u64,
    /// Where its packed bytes start; `None` where its local header is missing.
    pub data: Option<u64>,
    /// Whether it says that it is encrypted.
    pub encrypted: bool,
    /// Whether no central directory knows it.
    pub only_local: bool,
    /// Whether there is no local header at the offset that the central directory names.
    pub only_central: bool,
    /// Whether it is a folder.
    pub folder: bool,
}

impl ZipEntry {
    /// The bytes of the archive.
    pub fn archive(&self) -> &SharedSource {
        &self.source
    }

    /// Offset and length of its content in the archive, where it is stored without compression.
    pub fn stored_range(&self) -> Option<(u64, u64)> {
        (self.method == 0 && !self.encrypted && self.packed == self.unpacked).then_some((self.data?, self.packed))
    }

    /// Its content where it is stored without compression and complete. Nothing is read and no checksum compared.
    pub fn stored_content(&self) -> Option<SharedSource> {
        let (at, len) = self.stored_range()?;
        let content = Window::new(self.source.clone(), at, len);
        (content.len() == len).then(|| Arc::new(content.with_first_bytes(self.first_bytes)) as SharedSource)
    }

    /// Reads stored content of at most `max_bytes` bytes into memory, for entries that are opened twice.
    pub fn load(&mut self, max_bytes: usize) {
        if let Some(source) = self.stored_content() {
            self.loaded = read_if_small(source, max_bytes).ok().filter(|_| self.packed <= max_bytes as u64);
        }
    }

    /// Its content, where [`Self::load`] read it.
    pub fn loaded(&self) -> Option<SharedSource> {
        self.loaded.clone()
    }

    fn codec(&self) -> Result<Option<Codec>, Unread> {
        Ok(Some(match self.method {
            0 => return Ok(None),
            8 => Codec::Deflate,
            9 => Codec::Deflate64,
            12 => Codec::Bzip2,
            14 => Codec::ZipLzma((self.flags & 2 == 0).then_some(self.unpacked)),
            93 | 20 => Codec::Zstd,
            95 => Codec::Xz,
            99 => return Err(Unread::Encrypted),
            other => return Err(Unread::Unsupported(format!("compression method {other}"))),
        }))
    }

    fn open_stored(&self, packed: SharedSource, budget: &ScanBudget) -> OpenedEntry {
        // The content is examined next: one read serves for the checksum too.
        let packed = match read_if_small(packed, MAX_ZIP_CHECKED_BYTES as usize) {
            Ok(packed) => packed,
            Err(error) => {
                return OpenedEntry { source: None, facts: Vec::new(), unread: Some(Unread::Io(error.to_string())) };
            }
        };
        let mut opened = OpenedEntry { source: Some(packed.clone()), facts: Vec::new(), unread: None };
        if self.encrypted || (self.crc32 != 0 && packed.len() <= MAX_ZIP_CHECKED_BYTES) {
            match checksum(&*packed, budget) {
                Ok(found) if found == self.crc32 => {
                    opened.facts.extend(self.encrypted.then(|| self.readable_though_encrypted()));
                }
                Ok(_) if self.only_local => {}
                // Only torch reads it without decrypting. With a checksum of 0 nothing can be compared.
                Ok(_) if self.encrypted => opened.unread = Some(Unread::Encrypted),
                Ok(found) => opened.facts.push(self.checksum_differs(found)),
                Err(unread) => opened.unread = Some(unread),
            }
        }
        opened
    }

    fn open_packed(&self, packed: &SharedSource, codec: Codec, budget: &ScanBudget) -> OpenedEntry {
        let decoding = decode(packed, codec, budget);
        let mut opened = decoding.opened;
        let is_complete = opened.unread.is_none();
        if self.encrypted && !(is_complete && (decoding.crc32 == self.crc32 || self.crc32 == 0)) {
            return OpenedEntry { unread: Some(Unread::Encrypted), ..opened };
        }
        if self.encrypted {
            opened.facts.push(self.readable_though_encrypted());
        }
        // A hidden entry mostly does not know its own lengths.
        if self.only_local {
            return opened;
        }
        if is_complete && decoding.length != self.unpacked {
            let what = format!("{} unpacks to {} bytes and says {}", self.name, decoding.length, self.unpacked);
            opened.facts.push(Fact::ArchiveMismatch { what, deviation: Deviation::Misleading });
        }
        if is_complete && decoding.consumed < packed.len() {
            let what = format!("the compressed stream of {} ends before its data does", self.name);
            opened.facts.push(Fact::TrailingData { length: packed.len() - decoding.consumed, what });
        }
        if is_complete && self.crc32 != 0 && decoding.crc32 != self.crc32 {
            opened.facts.push(self.checksum_differs(decoding.crc32));
        }
        opened
    }

    /// CPython refuses the flag, torch does not look at it.
    fn readable_though_encrypted(&self) -> Fact {
        let what = format!("{} says that it is encrypted and is not", self.name);
        Fact::ArchiveMismatch { what, deviation: Deviation::Misleading }
    }

    /// CPython refuses such an entry, torch reads it.
    fn checksum_differs(&self, found: u32) -> Fact {
        let what = format!("the checksum of {} is {found:08x} and its header says {:08x}", self.name, self.crc32);
        Fact::ArchiveMismatch { what, deviation: Deviation::Misleading }
    }
}

impl ArchiveEntry for ZipEntry {
    fn open(&self, budget: &ScanBudget) -> OpenedEntry {
        let nothing = |why| OpenedEntry { source: None, facts: Vec::new(), unread: Some(why) };
        let Some(data) = self.data else {
            return nothing(Unread::Broken("its local header is missing".into()));
        };
        let window = || Arc::new(Window::new(self.source.clone(), data, self.packed)) as SharedSource;
        let packed = self.loaded.clone().unwrap_or_else(window);
        let cut = packed.len() < self.packed;
        let mut opened = match self.codec() {
            Err(why) => nothing(why),
            Ok(None) => self.open_stored(packed, budget),
            Ok(Some(codec)) => self.open_packed(&packed, codec, budget),
        };
        if cut {
            let why = format!("{} of its {} bytes are there", self.source.len().saturating_sub(data), self.packed);
            opened.unread.get_or_insert(Unread::Broken(why));
        }
        opened
    }
}

fn checksum(source: &dyn Source, budget: &ScanBudget) -> Result<u32, Unread> {
    let mut hasher = crc32fast::Hasher::new();
    let mut block = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        if budget.expired() {
            return Err(Unread::Limit("time ran out while checking an entry".into()));
        }
        match source.read_at(at, &mut block) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(count) => {
                hasher.update(block.get(..count).unwrap_or_default());
                at += count as u64;
            }
            Err(error) => return Err(Unread::Io(error.to_string())),
        }
    }
}
