//! Spans of time.

use crate::error::{Error, QuantityKind};
use crate::number::{self, Units};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A span of time, with a resolution of one nanosecond.
///
/// Deserializes from a string ("30s") or a number of seconds; serializes as a string that reads back exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(pub Duration);

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Scripts write times with all decimals of a floating-point number, so more than the nine of a nanosecond are accepted and rounded down.
const UNITS: Units = Units {
    factors: &[
        ("", NANOS_PER_SECOND),
        ("ms", NANOS_PER_SECOND / 1_000),
        ("s", NANOS_PER_SECOND),
        ("m", 60 * NANOS_PER_SECOND),
        ("min", 60 * NANOS_PER_SECOND),
        ("h", 3_600 * NANOS_PER_SECOND),
    ],
    max_decimals: 20,
};

impl FromStr for TimeSpan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let duration = number::parse(text, &UNITS).and_then(|nanos| {
            let per_second = u128::from(NANOS_PER_SECOND);
            let seconds = u64::try_from(nanos / per_second).ok()?;
            Some(Duration::new(seconds, u32::try_from(nanos % per_second).ok()?))
        });
        duration.map(Self).ok_or_else(|| Error::new(QuantityKind::Time, text))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs(), self.0.subsec_nanos()) {
            (seconds, 0) => write!(f, "{seconds}s"),
            (seconds, nanos) if !nanos.is_multiple_of(1_000_000) => write!(f, "{seconds}.{nanos:09}s"),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = TimeSpan;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as \"30s\", or a number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeSpan, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<TimeSpan, E> {
        Ok(TimeSpan(Duration::from_secs(seconds)))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<TimeSpan, E> {
        self.visit_str(&seconds.to_string())
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<TimeSpan, E> {
        self.visit_str(&seconds.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Result<Duration, Error> {
        text.parse().map(|TimeSpan(time)| time)
    }

    #[test]
    fn a_number_without_a_unit_is_in_seconds() {
        for (text, millis) in [
            ("0", 0),
            ("30", 30_000),
            ("30s", 30_000),
            ("30 S", 30_000),
            ("1_000ms", 1_000),
            ("500ms", 500),
            ("0.25", 250),
            (".5s", 500),
            ("1.", 1_000),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("5M", 300_000),
            ("5min", 300_000),
            ("1.5h", 5_400_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(time("0.5ms"), Ok(Duration::from_micros(500)));
        assert_eq!(time("12.345678901234567"), Ok(Duration::new(12, 345_678_901)));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in
            ["", "s", "soon", "1d", "-1", "-1s", "1.2.3s", "1e3", "nan", "inf", "99999999999999999999h", "1h 30m"]
        {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn displayed_times_read_back() {
        for micros in [0, 1, 1_000, 999_000, 1_000_000, 1_500_000, 1_500_001, 3_600_000_000] {
            let span = TimeSpan(Duration::from_micros(micros));
            assert_eq!(time(&span.to_string()), Ok(span.0));
        }
    }

    #[test]
    fn humantime_agrees_where_it_reads_a_spelling() {
        for text in ["0s", "30s", "500ms", "5m", "5min", "2h"] {
            assert_eq!(time(text).ok(), humantime::parse_duration(text).ok(), "{text}");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Row {
        time: TimeSpan,
    }

    #[test]
    fn toml_holds_strings_and_numbers() {
        let read = |text: &str| toml::from_str::<Row>(text).map(|row| row.time.0);
        for text in ["time = '30s'", "time = '30'", "time = 30", "time = 30.0"] {
            assert_eq!(read(text), Ok(Duration::from_secs(30)), "{text}");
        }
        assert_eq!(read("time = 0.25"), Ok(Duration::from_millis(250)));
        for text in ["time = -1", "time = -0.5", "time = nan", "time = inf", "time = 1e300", "time = true"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
