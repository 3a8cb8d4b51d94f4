//! The records of a zip file. Whether they agree is decided elsewhere.
//!
//! Each parser returns `None` where the bytes are not its record. Numbers in a zip64 extra field replace the narrow
//! ones here, as in every reader.

/// Little-endian number at `at`, if it is there.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// An entry of the central directory.
#[derive(Debug, Clone)]
pub(super) struct CentralHeader {
    pub(super) made_by: u16,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc32: u32,
    pub(super) packed: u64,
    pub(super) unpacked: u64,
    pub(super) external: u32,
    pub(super) local: u64,
    pub(super) name: Vec<u8>,
    /// The name that a Unicode path field puts in place of the other.
    pub(super) unicode_name: Option<Vec<u8>>,
    /// A number refers to the zip64 field, and the field is missing.
    pub(super) zip64_missing: bool,
}

impl CentralHeader {
    /// Length of the fixed part.
    pub(super) const FIXED: usize = 46;

    /// Length of the record, from its fixed part.
    pub(super) fn length(fixed: &[u8]) -> Option<usize> {
        let signed = fixed.starts_with(b"PK\x01\x02");
        let parts = [u16_at(fixed, 28)?, u16_at(fixed, 30)?, u16_at(fixed, 32)?];
        signed.then(|| Self::FIXED + parts.iter().map(|part| usize::from(*part)).sum::<usize>())
    }

    /// Parses a record; name and extra field may be cut, as CPython takes them.
    pub(super) fn parse(record: &[u8]) -> Option<Self> {
        Self::length(record)?;
        let name_end = Self::FIXED + usize::from(u16_at(record, 28)?);
        let name = record.get(Self::FIXED..name_end.min(record.len()))?.to_vec();
        let extra = record.get(name_end..).unwrap_or_default();
        let extra = extra.get(..extra.len().min(usize::from(u16_at(record, 30)?))).unwrap_or_default();
        let (packed, unpacked, local) = (u32_at(record, 20)?, u32_at(record, 24)?, u32_at(record, 42)?);
        let mut wide = Zip64::of(extra);
        let unpacked = wide.widen(unpacked);
        let packed = wide.widen(packed);
        let local = wide.widen(local);
        Some(Self {
            made_by: u16_at(record, 4)?,
            flags: u16_at(record, 8)?,
            method: u16_at(record, 10)?,
            crc32: u32_at(record, 16)?,
            packed,
            unpacked,
            external: u32_at(record, 38)?,
            local,
            unicode_name: extra_field(extra, 0x7075).and_then(|value| Some(value.get(5..)?.to_vec())),
            name,
            zip64_missing: wide.is_incomplete,
        })
    }
}

/// A local header.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalHeader<'a> {
    pub(super) version: u16,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc32: u32,
    pub(super) packed: u64,
    pub(super) unpacked: u64,
    pub(super) name: &'a [u8],
    /// Length of the header; the data follows it.
    pub(super) length: u64,
}

impl<'a> LocalHeader<'a> {
    /// Length of the fixed part.
    pub(super) const FIXED: usize = 30;

    /// Length of the header, from its fixed part.
    pub(super) fn length(fixed: &[u8]) -> Option<usize> {
        let signed = fixed.starts_with(b"PK\x03\x04");
        let length = Self::FIXED + usize::from(u16_at(fixed, 26)?) + usize::from(u16_at(fixed, 28)?);
        signed.then_some(length)
    }

    /// The bytes behind the header, of which these are the first ones.
    pub(super) fn content_in(self, bytes: &[u8]) -> &[u8] {
        usize::try_from(self.length).ok().and_then(|length| bytes.get(length..)).unwrap_or_default()
    }

    /// Parses a header; its extra field may be cut, its name may not.
    pub(super) fn parse(header: &'a [u8]) -> Option<Self> {
        let length = Self::length(header)?;
        let name_end = Self::FIXED + usize::from(u16_at(header, 26)?);
        let name = header.get(Self::FIXED..name_end)?;
        let extra = header.get(name_end..).unwrap_or_default();
        let extra = extra.get(..extra.len().min(length - name_end)).unwrap_or_default();
        let mut wide = Zip64::of(extra);
        let (packed, unpacked) = (u32_at(header, 18)?, u32_at(header, 22)?);
        let unpacked = wide.widen(unpacked);
        let packed = wide.widen(packed);
        Some(Self {
            version: u16_at(header, 4)?,
            flags: u16_at(header, 6)?,
            method: u16_at(header, 8)?,
            crc32: u32_at(header, 14)?,
            packed,
            unpacked,
            name,
            length: length as u64,
        })
    }
}

/// The end of central directory record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndRecord {
    pub(super) entries: u64,
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) comment: u64,
}

impl EndRecord {
    /// Length without the comment.
    pub(super) const FIXED: u64 = 22;

    pub(super) fn parse(record: &[u8]) -> Option<Self> {
        let signed = record.starts_with(b"PK\x05\x06");
        let end = Self {
            entries: u16_at(record, 10)?.into(),
            size: u32_at(record, 12)?.into(),
            offset: u32_at(record, 16)?.into(),
            comment: u16_at(record, 20)?.into(),
        };
        signed.then_some(end)
    }

    /// Whether `wide`, the zip64 record, says the same wherever this one says anything.
    pub(super) fn agrees(&self, wide: &Self) -> bool {
        (self.entries == 0xffff || self.entries == wide.entries)
            && (self.size == 0xffff_ffff || self.size == wide.size)
            && (self.offset == 0xffff_ffff || self.offset == wide.offset)
    }

    /// Whether one of its numbers refers to the zip64 record.
    pub(super) fn needs_zip64(&self) -> bool {
        self.entries == 0xffff || self.size == 0xffff_ffff || self.offset == 0xffff_ffff
    }

    /// The zip64 form.
    pub(super) fn parse_zip64(record: &[u8]) -> Option<Self> {
        let signed = record.starts_with(b"PK\x06\x06");
        let end =
            Self { entries: u64_at(record, 32)?, size: u64_at(record, 40)?, offset: u64_at(record, 48)?, comment: 0 };
        signed.then_some(end)
    }

    /// The offset of the zip64 record, as its locator says.
    pub(super) fn parse_locator(record: &[u8]) -> Option<u64> {
        let at = u64_at(record, 8)?;
        record.starts_with(b"PK\x06\x07").then_some(at)
    }
}

/// The record after data whose sizes were unknown when its header was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DataDescriptor {
    pub(super) crc32: u32,
    pub(super) packed: u64,
    pub(super) unpacked: u64,
    pub(super) length: u64,
}

impl DataDescriptor {
    /// The form of a descriptor (with or without signature, narrow or wide) that fits these sizes, else one with a
    /// signature as it stands.
    pub(super) fn parse(bytes: &[u8], packed: u64, unpacked: u64) -> Option<Self> {
        let signed = bytes.starts_with(b"PK\x07\x08");
        let skip = if signed { 4 } else { 0 };
        let narrow = || {
            let (crc32, packed, unpacked) = (u32_at(bytes, skip)?, u32_at(bytes, skip + 4)?, u32_at(bytes, skip + 8)?);
            Some(Self { crc32, packed: packed.into(), unpacked: unpacked.into(), length: skip as u64 + 12 })
        };
        let wide = || {
            let (crc32, packed, unpacked) = (u32_at(bytes, skip)?, u64_at(bytes, skip + 4)?, u64_at(bytes, skip + 12)?);
            Some(Self { crc32, packed, unpacked, length: skip as u64 + 20 })
        };
        let fits = |found: &Self| found.packed == packed && found.unpacked == unpacked;
        // Wide first: of an empty entry both would fit.
        wide().filter(fits).or_else(|| narrow().filter(fits)).or_else(|| if signed { narrow() } else { None })
    }
}

/// The zip64 extra field: wide forms of the numbers with all bits set, in a fixed order.
struct Zip64<'a> {
    rest: &'a [u8],
    is_incomplete: bool,
}

impl<'a> Zip64<'a> {
    fn of(extra: &'a [u8]) -> Self {
        Self { rest: extra_field(extra, 1).unwrap_or_default(), is_incomplete: false }
    }

    fn widen(&mut self, narrow: u32) -> u64 {
        if narrow != u32::MAX {
            return narrow.into();
        }
        match self.rest.split_first_chunk() {
            Some((wide, rest)) => {
                self.rest = rest;
                u64::from_le_bytes(*wide)
            }
            None => {
                self.is_incomplete = true;
                narrow.into()
            }
        }
    }
}

/// The value of the first extra field with this id.
fn extra_field(mut extra: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (id, len) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let value = extra.get(4..4 + len)?;
        if id == wanted {
            return Some(value);
        }
        extra = extra.get(4 + len..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip64_field_replaces_only_what_is_all_ones() {
        let mut record = b"PK\x01\x02".to_vec();
        record.resize(CentralHeader::FIXED, 0);
        record[20..24].fill(0xff);
        record[24] = 7;
        record[28] = 1;
        record[30] = 12;
        record.push(b'a');
        record.extend_from_slice(&[1, 0, 8, 0, 5, 0, 0, 0, 1, 0, 0, 0]);
        let central = CentralHeader::parse(&record).expect("it is one");
        assert_eq!((central.packed, central.unpacked), (0x1_0000_0005, 7));
        assert!(!central.zip64_missing);
        for len in 0..record.len() {
            assert_eq!(CentralHeader::parse(&record[..len]).is_some(), len >= CentralHeader::FIXED);
        }
    }

    #[test]
    fn a_descriptor_is_read_in_the_form_that_fits() {
        let narrow = [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0];
        assert_eq!(DataDescriptor::parse(&narrow, 2, 3).map(|found| found.length), Some(12));
        assert_eq!(DataDescriptor::parse(&narrow, 2, 4), None);
        let mut signed = b"PK\x07\x08".to_vec();
        signed.extend_from_slice(&narrow);
        assert_eq!(DataDescriptor::parse(&signed, 9, 9).map(|found| (found.packed, found.length)), Some((2, 16)));
    }
}
