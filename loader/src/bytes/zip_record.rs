//! Records of a torch zip: a range of the file where the record is stored, else a source that unpacks it.

use crate::bytes::record::ByteRecord;
use scanner::internal::archive::ArchiveEntry;
use scanner::internal::archive::zip::ZipEntry;
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::observe::layout::TorchZip;
use scanner::source::{SharedSource, Source, read_vec};
use std::io;
use std::sync::{Arc, Mutex};

/// Why a record of a zip cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordError {
    /// The record reaches out of the file.
    CutOff {
        /// Its name in the zip.
        name: String,
    },
    /// The record is encrypted.
    Encrypted {
        /// Its name in the zip.
        name: String,
    },
    /// Several records differ from this name in case only.
    AmbiguousName {
        /// The name, with the root folder of the zip.
        name: String,
    },
    /// The record `byteorder` cannot be opened.
    ByteOrderUnreadable,
    /// The record `byteorder` has other contents than `little` or `big`.
    ByteOrder {
        /// Its first bytes.
        value: String,
    },
    /// Reading failed; the message of the operating system.
    Io(String),
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CutOff { name } => write!(f, "its record {name} is cut off"),
            Self::Encrypted { name } => write!(f, "its record {name} is encrypted"),
            Self::AmbiguousName { name } => {
                write!(f, "it has {name} in several spellings, and which one is read cannot be told")
            }
            Self::ByteOrderUnreadable => f.write_str("its byteorder cannot be read"),
            Self::ByteOrder { value } => write!(f, "its byteorder is {value:?}, neither little nor big"),
            Self::Io(error) => f.write_str(error),
        }
    }
}

/// Opens the record of an entry. `pickle` is the path of the pickle in the file, `is_outermost` whether the zip is the file
/// itself.
///
/// # Errors
/// When the record is encrypted or reaches out of the file.
pub(crate) fn open(
    entry: &ZipEntry,
    pickle: Option<&str>,
    is_outermost: bool,
    big_endian: bool,
    budget: &ScanBudget,
) -> Result<ByteRecord, RecordError> {
    let cut_off = || RecordError::CutOff { name: entry.name.clone() };
    let mut record = match entry.stored_range() {
        Some((at, len)) => {
            let mut record = ByteRecord::new(entry.archive().clone(), at, len).ok_or_else(cut_off)?;
            record.member_offset = 0;
            record.file_offset = is_outermost.then_some(at);
            record.crc32 = (entry.crc32 != 0).then_some(entry.crc32);
            record
        }
        _ if entry.encrypted => return Err(RecordError::Encrypted { name: entry.name.clone() }),
        _ => {
            let source = UnpackedRecord { entry: entry.clone(), budget: budget.clone(), opened: Mutex::new(None) };
            ByteRecord::new(Arc::new(source), 0, entry.unpacked).ok_or_else(cut_off)?
        }
    };
    record.big_endian = big_endian;
    let folder = pickle.and_then(|pickle| pickle.rsplit_once("::")).map(|(folder, _)| folder);
    record.member = Some(match folder {
        Some(folder) => format!("{folder}::{}", entry.name).into(),
        None => entry.name.as_str().into(),
    });
    Ok(record)
}

/// Whether the records of a zip are big-endian: its record `byteorder` says `little` or `big`, and `little` is the default.
///
/// # Errors
/// When that record is ambiguous, unreadable, or says something else.
pub(crate) fn is_big_endian(zip: &TorchZip, budget: &ScanBudget) -> Result<bool, RecordError> {
    let Some(entry) = find_entry(zip, "byteorder")? else { return Ok(false) };
    let source = entry.open(budget).source.ok_or(RecordError::ByteOrderUnreadable)?;
    let value = read_vec(source.as_ref(), 0, 16).map_err(|error| RecordError::Io(error.to_string()))?;
    match value.as_slice() {
        b"little" => Ok(false),
        b"big" => Ok(true),
        other => Err(RecordError::ByteOrder { value: String::from_utf8_lossy(other).into_owned() }),
    }
}

/// The entry of this name in the root folder of a zip. The case of letters is ignored, as torch ignores it.
///
/// # Errors
/// When several entries match.
pub(crate) fn find_entry<'a>(zip: &'a TorchZip, name: &str) -> Result<Option<&'a ZipEntry>, RecordError> {
    let name = format!("{}/{name}", zip.root);
    let mut found = zip.entries().iter().filter(|entry| entry.name.eq_ignore_ascii_case(&name));
    match (found.next(), found.next()) {
        (one, None) => Ok(one),
        _ => Err(RecordError::AmbiguousName { name }),
    }
}

/// A compressed record. It is unpacked on the first read and dropped when it is read to its end, since a checkpoint has
/// thousands of records.
struct UnpackedRecord {
    entry: ZipEntry,
    budget: ScanBudget,
    opened: Mutex<Option<SharedSource>>,
}

impl Source for UnpackedRecord {
    fn len(&self) -> u64 {
        self.entry.unpacked
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut opened = self.opened.lock().map_err(|_| io::Error::other("a reader of the same bytes failed"))?;
        let source = match opened.take() {
            Some(source) => source,
            None => {
                let opened = self.entry.open(&self.budget);
                match (opened.source, opened.unread) {
                    (Some(source), None) => source,
                    (_, Some(why)) => return Err(io::Error::other(format!("{}: {why}", self.entry.name))),
                    (None, None) => return Err(io::Error::other(format!("{} cannot be read", self.entry.name))),
                }
            }
        };
        let count = source.read_at(at, buf)?;
        if at.saturating_add(count as u64) < self.entry.unpacked {
            *opened = Some(source);
        }
        Ok(count)
    }
}
