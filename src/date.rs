//! A day of the calendar, for decisions that expire. Days change at midnight UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// A day. Ordered as days are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    /// Today.
    pub(crate) fn today() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::of_day(since.as_secs() / 86_400)
    }

    /// The day so many days after 1970-01-01.
    pub(crate) fn of_day(mut days: u64) -> Self {
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

    /// Reads `YYYY-MM-DD`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no date; write it as YYYY-MM-DD");
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts.as_slice() else { return Err(wrong()) };
        let number = |part: &str, len| {
            let right = part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u32>().ok().filter(|_| right).ok_or_else(wrong)
        };
        let date = Self { year: number(year, 4)?, month: number(month, 2)?, day: number(day, 2)? };
        let right =
            (1..=12).contains(&date.month) && date.day >= 1 && u64::from(date.day) <= month_len(date.year, date.month);
        if right { Ok(date) } else { Err(wrong()) }
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// This moment in UTC, to the microsecond, as Python writes a time without a zone.
pub(crate) fn timestamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (day, second) = (Date::of_day(since.as_secs() / 86_400), since.as_secs() % 86_400);
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
    fn days_are_counted_as_the_calendar_does() {
        for (days, date) in [(0, "1970-01-01"), (11_016, "2000-02-29"), (20_819, "2027-01-01"), (47_540, "2100-02-28")]
        {
            assert_eq!(Date::of_day(days).to_string(), date);
            assert_eq!(Date::parse(date), Ok(Date::of_day(days)));
        }
        assert_eq!(Date::of_day(47_541).to_string(), "2100-03-01");
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in ["", "2030", "2030-13-01", "2030-00-01", "2030-01-00", "2100-02-29", "+030-01-01", "2030-1-01"] {
            assert!(Date::parse(text).is_err(), "{text}");
        }
    }
}
