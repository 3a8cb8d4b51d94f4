//! One 512-byte tar header, and the records that may replace what it says.
//!
//! Numbers are octal text or, with the top bit set, big-endian binary. Headers of old programs have no magic number:
//! only the checksum identifies them.

/// Length of a header and the unit of everything else.
pub(super) const BLOCK_BYTES: usize = 512;

/// The fields of a header.
#[derive(Debug, Clone)]
pub(super) struct TarHeader {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) size: u64,
    pub(super) kind: u8,
    /// Sparse map in the header itself, as old GNU tar writes it.
    pub(super) sparse: Option<GnuSparse>,
}

/// A sparse map in a header.
#[derive(Debug, Clone)]
pub(super) struct GnuSparse {
    pub(super) map: Vec<(u64, u64)>,
    /// Length of the file with its holes.
    pub(super) real_size: u64,
    /// Whether the map goes on behind the header.
    pub(super) more: bool,
}

/// Why a block is not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Nothing but zeros: the end.
    Zeros,
    /// Too short.
    Cut,
    /// The checksum does not fit.
    Checksum,
    /// A length that is negative or not a number.
    Size,
}

impl TarHeader {
    pub(super) fn parse(block: &[u8]) -> Result<Self, HeaderError> {
        let block = block.get(..BLOCK_BYTES).ok_or(HeaderError::Cut)?;
        if block.iter().all(|byte| *byte == 0) {
            return Err(HeaderError::Zeros);
        }
        let field = |at: usize, len: usize| block.get(at..at + len).unwrap_or_default();
        if !checksum_fits(block) {
            return Err(HeaderError::Checksum);
        }
        let size = parse_number(field(124, 12)).ok_or(HeaderError::Size)?;
        let gnu = field(257, 8) == b"ustar  \0";
        let kind = field(156, 1).first().copied().unwrap_or(0);
        let prefix = if gnu || !has_magic(block) { &[][..] } else { until_nul(field(345, 155)) };
        let mut name = prefix.to_vec();
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(until_nul(field(0, 100)));
        let sparse = (kind == b'S').then(|| GnuSparse {
            map: sparse_pairs(field(386, 96)),
            real_size: parse_number(field(483, 12)).unwrap_or(0),
            more: field(482, 1) != [0],
        });
        Ok(Self { name, link: until_nul(field(157, 100)).to_vec(), size, kind, sparse })
    }
}

/// Whether the magic number `ustar` is there.
pub(super) fn has_magic(block: &[u8]) -> bool {
    block.get(257..262).is_some_and(|magic| magic == b"ustar")
}

/// The sum of all bytes, the checksum field taken as spaces; some old programs summed signed bytes.
fn checksum_fits(block: &[u8]) -> bool {
    let Some(stated) = block.get(148..156).and_then(parse_number) else { return false };
    let counted = block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    let (mut unsigned, mut signed) = (0_u64, 0_i64);
    for byte in counted {
        unsigned += u64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    stated == unsigned || i64::try_from(stated) == Ok(signed)
}

/// A number field; `None` for negative numbers and other text.
fn parse_number(field: &[u8]) -> Option<u64> {
    if let Some((first @ (0x80 | 0xff), rest)) = field.split_first() {
        let start = if *first == 0xff { return None } else { 0_u64 };
        return rest.iter().try_fold(start, |value, byte| value.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let digits = until_nul(field).trim_ascii();
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(u64::from(digit))
    })
}

/// Up to the first NUL.
fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Offset and length in pairs of twelve bytes each, up to the first empty pair.
pub(super) fn sparse_pairs(bytes: &[u8]) -> Vec<(u64, u64)> {
    let pair = |pair: &[u8]| Some((parse_number(pair.get(..12)?)?, parse_number(pair.get(12..24)?)?));
    bytes.chunks_exact(24).take_while(|pair| pair.first() != Some(&0)).map_while(pair).collect()
}

/// What extended records say about the entry behind them.
#[derive(Debug, Clone, Default)]
pub(super) struct ExtendedRecords {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) sparse_map: Vec<(u64, u64)>,
    pub(super) sparse_major: Option<u64>,
    pub(super) sparse_size: Option<u64>,
    pub(super) sparse_name: Option<Vec<u8>>,
    /// Something that does not follow the form `length key=value\n`.
    pub(super) malformed: bool,
    sparse_offset: u64,
}

impl ExtendedRecords {
    /// Adds the records of a PAX header.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && bytes.first() != Some(&0) {
            let Some((record, rest)) = split_record(bytes) else {
                self.malformed = true;
                return;
            };
            bytes = rest;
            let Some(at) = record.iter().position(|byte| *byte == b'=') else {
                self.malformed = true;
                continue;
            };
            let (key, value) = (record.get(..at).unwrap_or_default(), record.get(at + 1..).unwrap_or_default());
            self.set(key, value);
        }
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        let decimal = || std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<u64>().ok());
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => {
                self.size = decimal();
                self.malformed |= self.size.is_none();
            }
            b"GNU.sparse.major" => self.sparse_major = decimal(),
            b"GNU.sparse.name" => self.sparse_name = Some(value.to_vec()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse_size = decimal(),
            b"GNU.sparse.offset" => self.sparse_offset = decimal().unwrap_or(0),
            b"GNU.sparse.numbytes" => self.sparse_map.push((self.sparse_offset, decimal().unwrap_or(0))),
            b"GNU.sparse.map" => {
                let numbers = value.split(|byte| *byte == b',').map(parse_decimal).collect::<Option<Vec<_>>>();
                match numbers {
                    Some(numbers) => self.sparse_map = in_pairs(&numbers),
                    None => self.malformed = true,
                }
            }
            _ => {}
        }
    }
}

/// `length key=value\n`: the length counts itself.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(parse_decimal(bytes.get(..space)?)?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    Some((record.get(space + 1..)?.strip_suffix(b"\n")?, rest))
}

/// A plain decimal number.
pub(super) fn parse_decimal(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Numbers two by two.
pub(super) fn in_pairs(numbers: &[u64]) -> Vec<(u64, u64)> {
    numbers.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary_and_never_negative() {
        assert_eq!(parse_number(b"0000644\0"), Some(0o644));
        assert_eq!(parse_number(b"   17 \0\0"), Some(15));
        assert_eq!(parse_number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(0x2_0000_0000));
        assert_eq!(parse_number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), None);
        assert_eq!(parse_number(b"0x10\0\0\0\0"), None);
    }

    #[test]
    fn extended_records_are_read_by_their_lengths() {
        let mut extended = ExtendedRecords::default();
        extended.read(b"12 path=a\nb\n13 size=1234\n26 GNU.sparse.map=0,5,9,1\n");
        assert_eq!(extended.path.as_deref(), Some(b"a\nb".as_slice()));
        assert_eq!((extended.size, extended.malformed), (Some(1234), false));
        assert_eq!(extended.sparse_map, [(0, 5), (9, 1)]);
        for bytes in [b"99 path=a\n".as_slice(), b"0 \n", b"x path=a\n", b"11 size=-12\n", b"8 path\n\n"] {
            let mut extended = ExtendedRecords::default();
            extended.read(bytes);
            assert!(extended.malformed, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
