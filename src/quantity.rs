//! Sizes, counts and times as people write them: `64MiB`, `1.5G`, `4_000_000`, `30s`, `500ms`.

use std::time::Duration;

/// Powers of 1024, with or without `iB`; powers of 1000 with `B` alone.
const SIZES: [(&str, u64); 13] = [
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
];

const TIMES: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// Bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    scaled(text, &SIZES).ok_or_else(|| format!("{text:?} is no size; write it like 64MiB, 1.5G or 4096"))
}

/// A plain number; `_` may stand between digits.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    scaled(text, &[("", 1)]).ok_or_else(|| format!("{text:?} is no whole number"))
}

/// A time with its unit.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let millis = scaled(text, &TIMES).ok_or_else(|| format!("{text:?} is no time; write it like 30s, 5m or 500ms"))?;
    Ok(Duration::from_millis(millis))
}

/// A number with up to nine decimals, times what its unit stands for; whole numbers only where the unit is 1.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.trim().to_ascii_lowercase();
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    let number = number.replace('_', "");
    let (whole, decimals) = number.split_once('.').unwrap_or((&number, ""));
    if decimals.len() > 9 || (number.contains('.') && (decimals.is_empty() || factor == 1)) {
        return None;
    }
    let part: u128 = if decimals.is_empty() { 0 } else { decimals.parse().ok()? };
    let part = part.checked_mul(u128::from(factor))? / 10_u128.pow(u32::try_from(decimals.len()).ok()?);
    whole.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_unless_they_say_otherwise() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4_096 b", 4096),
            ("64MiB", 64 << 20),
            ("64m", 64 << 20),
            ("1.5G", 3 << 29),
            ("2kB", 2_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "-1", "1.5", "1.", "1.2.3M", "1e3", "99999999999T", "1 parsec", "1.0000000001G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_have_no_unit_and_times_need_one() {
        assert_eq!(count("4_000"), Ok(4_000));
        assert!(count("4k").is_err());
        assert_eq!(time("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(time("5m"), Ok(Duration::from_secs(300)));
        assert!(time("5").is_err());
    }
}
