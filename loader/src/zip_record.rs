//! A record of a torch zip: the bytes of the file where it is stored, else what it unpacks to.

use crate::record::Record;
use scanner::internal::archive::ArchiveEntry;
use scanner::internal::archive::zip::ZipEntry;
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::observe::layout::TorchZip;
use scanner::source::{SharedSource, Source, read_vec};
use std::io;
use std::sync::{Arc, Mutex};

/// Opens a record.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn open(
    entry: &ZipEntry,
    prefix: Option<&str>,
    outermost: bool,
    big: bool,
    budget: &ScanBudget,
) -> Result<Record, String> {
    let cut = || format!("its record {} is cut off", entry.name);
    let mut record = match entry.stored_range() {
        Some((at, len)) => {
            let mut record = Record::new(entry.archive().clone(), at, len).ok_or_else(cut)?;
            record.offset = 0;
            record.in_file = outermost.then_some(at);
            record.crc32 = (entry.crc32 != 0).then_some(entry.crc32);
            record
        }
        _ if entry.encrypted => return Err(format!("its record {} is encrypted", entry.name)),
        _ => {
            let source = Unpacked { entry: entry.clone(), budget: budget.clone(), opened: Mutex::new(None) };
            Record::new(Arc::new(source), 0, entry.unpacked).ok_or_else(cut)?
        }
    };
    record.big = big;
    let folder = prefix.and_then(|pickle| pickle.rsplit_once("::")).map(|(folder, _)| folder);
    record.member = Some(match folder {
        Some(folder) => format!("{folder}::{}", entry.name).into(),
        None => entry.name.as_str().into(),
    });
    Ok(record)
}

/// Whether the numbers of a zip are big-endian, as its `byteorder` says. Without one they are little-endian.
///
/// # Errors
/// When it says something else.
pub(crate) fn big_endian(zip: &TorchZip, budget: &ScanBudget) -> Result<bool, String> {
    let Some(entry) = find(zip, "byteorder")? else { return Ok(false) };
    let source = entry.open(budget).source.ok_or("its byteorder cannot be read")?;
    let word = read_vec(source.as_ref(), 0, 16).map_err(|error| error.to_string())?;
    match word.as_slice() {
        b"little" => Ok(false),
        b"big" => Ok(true),
        other => Err(format!("its byteorder is {:?}, neither little nor big", String::from_utf8_lossy(other))),
    }
}

/// An entry of the root folder, looked for as torch does: without regard to case.
///
/// # Errors
/// When there are several.
pub(crate) fn find<'a>(zip: &'a TorchZip, name: &str) -> Result<Option<&'a ZipEntry>, String> {
    let name = format!("{}/{name}", zip.root);
    let mut found = zip.entries().iter().filter(|entry| entry.name.eq_ignore_ascii_case(&name));
    match (found.next(), found.next()) {
        (one, None) => Ok(one),
        _ => Err(format!("it has {name} in several spellings, and which one is read cannot be told")),
    }
}

/// A packed record: unpacked when it is read, and forgotten when it was read to its end. A checkpoint has thousands.
struct Unpacked {
    entry: ZipEntry,
    budget: ScanBudget,
    opened: Mutex<Option<SharedSource>>,
}

impl Source for Unpacked {
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
