//! Sizes, times and counts as options and configuration files write them: `64MiB`, `2GB`, `30s`, `1.5h`, `4_000_000`. All options, profiles
//! and configuration files use this crate, so one spelling means the same everywhere.
//!
//! A quantity is a decimal number and a unit. Case does not matter, `_` may separate digits, and spaces may stand before the unit.
//!
//! | | no unit | units |
//! |---|---|---|
//! | [`ByteSize`] | bytes | `B`; binary: `K`, `M`, `G`, `T` and `KiB`, `MiB`, `GiB`, `TiB`; decimal: `KB`, `MB`, `GB`, `TB` |
//! | [`TimeSpan`] | seconds | `ms`, `s`, `m` or `min`, `h` |
//! | [`count`] | the number | none |
//!
//! Arithmetic is exact: no value passes through a floating-point number, except one that a TOML file writes as such. A value that does not
//! fit, a negative number and an unknown unit are errors.
//!
//! The crates `bytesize` and `humantime` are second opinions in the tests, not the parsers: `bytesize` reads `K` as 1,000 and computes in
//! `f64`; `humantime` knows neither decimals nor numbers without a unit.
#![forbid(unsafe_code)]

mod error;
mod number;
mod size;
mod time;

pub use error::{Error, QuantityKind};
pub use size::ByteSize;
pub use time::TimeSpan;

/// Reads a whole number without a unit.
///
/// # Errors
/// When the text is anything else, or the number does not fit 64 bits.
pub fn count(text: &str) -> Result<u64, Error> {
    number::parse(text, &COUNT)
        .and_then(|value| u64::try_from(value).ok())
        .ok_or_else(|| Error::new(QuantityKind::Count, text))
}

const COUNT: number::Units = number::Units { factors: &[("", 1)], max_decimals: 0 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole_numbers_without_a_unit() {
        for (text, value) in [("0", 0), ("4_000", 4_000), (" 7 ", 7), ("18446744073709551615", u64::MAX)] {
            assert_eq!(count(text), Ok(value), "{text}");
        }
        for text in ["", "4k", "4.0", "-1", "18446744073709551616", "many"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_name_the_text_and_escape_controls() {
        let shown = count("\u{1b}[2J").map_err(|error| error.to_string());
        assert_eq!(shown, Err("`\\u{1b}[2J` is not a whole number".to_owned()));
    }
}
