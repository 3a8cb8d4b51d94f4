//! Sizes in bytes.

use crate::error::{Error, QuantityKind};
use crate::number::{self, Units};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A number of bytes.
///
/// Deserializes from a string ("64MiB") or a whole number of bytes; serializes as a string that reads back exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const UNITS: Units = Units {
    factors: &[
        ("", 1),
        ("b", 1),
        ("k", 1 << 10),
        ("kib", 1 << 10),
        ("kb", 1_000),
        ("m", 1 << 20),
        ("mib", 1 << 20),
        ("mb", 1_000_000),
        ("g", 1 << 30),
        ("gib", 1 << 30),
        ("gb", 1_000_000_000),
        ("t", 1 << 40),
        ("tib", 1 << 40),
        ("tb", 1_000_000_000_000),
    ],
    max_decimals: 9,
};

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = number::parse(text, &UNITS).and_then(|bytes| u64::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| Error::new(QuantityKind::Size, text))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, scale)| self.0 >= *scale && self.0.is_multiple_of(*scale)) {
            Some((unit, scale)) => write!(f, "{}{unit}", self.0 / scale),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"64MiB\", or a number of bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
        self.visit_str(&bytes.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Result<u64, Error> {
        text.parse().map(|ByteSize(bytes)| bytes)
    }

    #[test]
    fn units_are_binary_unless_they_end_in_b_alone() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1_000", 1_000),
            ("4_096 b", 4096),
            ("64MiB", 64 << 20),
            ("64m", 64 << 20),
            ("1.5G", 3 << 29),
            ("2G", 2 << 30),
            ("2kB", 2_000),
            ("1kb", 1000),
            ("1.5 KiB", 1536),
            (".5GiB", 1 << 29),
            ("1.GiB", 1 << 30),
            ("1MB", 1_000_000),
            ("1TB", 1_000_000_000_000),
            ("3T", 3 << 40),
            ("0.123456789GB", 123_456_789),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "M",
            "MiB",
            "-1",
            "+1",
            "1.5",
            "1.5B",
            "1.",
            ".",
            ".M",
            "1.2.3M",
            "1e3",
            "1e3x",
            "nan",
            "inf",
            "99999999999T",
            "18446744073709551616",
            "16777216TiB",
            "1 parsec",
            "12 parsecs",
            "1.0000000001G",
            "1 M iB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn displayed_sizes_read_back() {
        for bytes in [0, 1, 1023, 1024, 5 << 20, 2 << 30, (2 << 30) + 1, u64::MAX] {
            assert_eq!(size(&ByteSize(bytes).to_string()), Ok(bytes));
        }
    }

    #[test]
    fn bytesize_agrees_where_it_gives_a_unit_the_same_meaning() {
        for text in ["0", "1", "512B", "1KB", "3KiB", "64MiB", "7MB", "2GiB", "2GB", "5TiB", "1TB", "1.5 GiB"] {
            let other = text.parse::<bytesize::ByteSize>().map(|size| size.as_u64());
            assert_eq!(size(text).ok(), other.ok(), "{text}");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Row {
        size: ByteSize,
    }

    #[test]
    fn toml_holds_strings_and_whole_numbers() {
        let read = |text: &str| toml::from_str::<Row>(text).map(|row| row.size.0);
        assert_eq!(read("size = '1MiB'"), Ok(1 << 20));
        assert_eq!(read("size = 1_000"), Ok(1_000));
        for text in ["size = -1", "size = 1.5", "size = true", "size = 'lots'"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
