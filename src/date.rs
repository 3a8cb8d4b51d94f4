//! Calendar days (proleptic Gregorian) and timestamps, in UTC: for ignores that expire and for reports.

use crate::error::CommandError;
use std::time::{SystemTime, UNIX_EPOCH};

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    /// Today, in UTC.
    pub(crate) fn today() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_days(since.as_secs() / 86_400)
    }

    /// The day that is `days` days after 1970-01-01.
    pub(crate) fn from_days(mut days: u64) -> Self {
        let mut year = 1970;
        while days >= year_len(year) {
            days -= year_len(year);
            year += 1;
        }
        let mut month = 1;
        while days >= month_len(year, month) {
            days -= month_len(year, month);
            month += 1;
        }
        Self { year, month, day: u32::try_from(days + 1).unwrap_or(1) }
    }

    /// Parses `YYYY-MM-DD`.
    pub(crate) fn parse(text: &str) -> Result<Self, CommandError> {
        let invalid = || CommandError::usage_with_hint(format!("{text:?} is no date"), "write it as YYYY-MM-DD");
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts.as_slice() else { return Err(invalid()) };
        let number = |part: &str, len| {
            let is_valid = part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u32>().ok().filter(|_| is_valid).ok_or_else(invalid)
        };
        let date = Self { year: number(year, 4)?, month: number(month, 2)?, day: number(day, 2)? };
        let is_valid =
            (1..=12).contains(&date.month) && date.day >= 1 && u64::from(date.day) <= month_len(date.year, date.month);
        if is_valid { Ok(date) } else { Err(invalid()) }
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// The current time in UTC, to the microsecond, in the form of Python's `datetime.isoformat()` without a zone.
pub(crate) fn utc_timestamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (day, second) = (Date::from_days(since.as_secs() / 86_400), since.as_secs() % 86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{day}T{hour:02}:{minute:02}:{second:02}.{:06}", since.subsec_micros())
}

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn year_len(year: u32) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn month_len(year: u32, month: u32) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, date) in [(0, "1970-01-01"), (11_016, "2000-02-29"), (20_819, "2027-01-01"), (47_540, "2100-02-28")]
        {
            assert_eq!(Date::from_days(days).to_string(), date);
            assert_eq!(Date::parse(date).ok(), Some(Date::from_days(days)));
        }
        assert_eq!(Date::from_days(47_541).to_string(), "2100-03-01");
    }

    #[test]
    fn text_that_is_not_a_day_is_refused() {
        for text in ["", "2030", "2030-13-01", "2030-00-01", "2030-01-00", "2100-02-29", "+030-01-01", "2030-1-01"] {
            assert!(Date::parse(text).is_err(), "{text}");
        }
    }
}
