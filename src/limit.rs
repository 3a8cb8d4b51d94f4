//! The public limits by name: one row gives the flag `--limit-NAME` and the key `NAME` under `[limits]`.

use quantity::{ByteSize, TimeSpan};
use scanner::Limits;
use std::fmt;
use std::time::Duration;

/// One limit that can be set from outside.
pub(crate) struct Limit {
    /// Its name, as after `--limit-`.
    pub(crate) name: &'static str,
    /// Its flag, without the dashes.
    pub(crate) flag: &'static str,
    /// What it bounds.
    pub(crate) help: &'static str,
    field: fn(&mut Limits) -> Field<'_>,
}

enum Field<'a> {
    Count(&'a mut u64),
    Number(&'a mut usize),
    Size(&'a mut u64),
    Memory(&'a mut usize),
    Time(&'a mut Duration),
}

/// A text that is not a value of a limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LimitError {
    /// It is not a quantity of the kind of the limit.
    Quantity(quantity::Error),
    /// The number does not fit this machine's address space.
    TooLarge(String),
}

impl From<quantity::Error> for LimitError {
    fn from(error: quantity::Error) -> Self {
        Self::Quantity(error)
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantity(error) => error.fmt(f),
            Self::TooLarge(text) => write!(f, "{text:?} is too large"),
        }
    }
}

impl Limit {
    /// Reads `text` and sets the limit to it.
    pub(crate) fn set(&self, limits: &mut Limits, text: &str) -> Result<(), LimitError> {
        let narrow = |value: u64| usize::try_from(value).map_err(|_| LimitError::TooLarge(text.to_owned()));
        let size = || text.parse::<ByteSize>().map(|size| size.0);
        match (self.field)(limits) {
            Field::Count(to) => *to = quantity::count(text)?,
            Field::Number(to) => *to = narrow(quantity::count(text)?)?,
            Field::Size(to) => *to = size()?,
            Field::Memory(to) => *to = narrow(size()?)?,
            Field::Time(to) => *to = text.parse::<TimeSpan>()?.0,
        }
        Ok(())
    }

    /// What to write as its value.
    pub(crate) fn kind(&self) -> &'static str {
        match (self.field)(&mut Limits::default()) {
            Field::Count(_) | Field::Number(_) => "N",
            Field::Size(_) | Field::Memory(_) => "SIZE",
            Field::Time(_) => "TIME",
        }
    }
}

macro_rules! limits {
    ($($name:literal $kind:ident $field:ident $help:literal;)*) => {
        /// All of them, in the order in which `--help` lists them.
        pub(crate) const LIMITS: &[Limit] = &[
            $(Limit { name: $name, flag: concat!("limit-", $name), help: $help, field: |limits| Field::$kind(&mut limits.$field) },)*
        ];

        /// Fails to compile when a limit of the scanner has no row.
        #[allow(dead_code)]
        const COMPLETE: fn(Limits) = |limits| { let Limits { $($field: _,)* } = limits; };
    };
}

limits! {
    "time" Time time "wall-clock time for one file";
    "files" Number files "files below the given paths";
    "folder-depth" Number folder_depth "folder depth below a given path";
    "depth" Number depth "how deep artifacts may be nested";
    "entries" Number entries "entries of one archive";
    "members" Number members "nested artifacts of one file";
    "member-bytes" Size member_bytes "bytes unpacked from one member";
    "unpacked-bytes" Size unpacked_bytes "bytes unpacked from one file";
    "ratio" Count ratio "ratio of unpacked to packed bytes that makes a bomb";
    "ratio-floor" Size ratio_floor "unpacked bytes under which no ratio is a bomb";
    "member-memory" Memory member_memory "size up to which unpacked members stay in memory";
    "decoder-memory" Size decoder_memory "window or dictionary a decoder may ask for";
    "header-bytes" Size header_bytes "length of a text header";
    "opcodes" Count opcodes "opcodes of one pickle";
    "stack" Number stack "values on the pickle stack that are kept apart";
    "marks" Number marks "marks on the pickle stack";
    "memo-bytes" Memory memo_bytes "memory for the memo of one pickle";
    "heap-bytes" Memory heap_bytes "memory for the values of one pickle";
    "items" Number items "items kept of one list, tuple, set or dict";
    "names" Number names "different names one pickle may import";
    "name-bytes" Memory name_bytes "longest name that is kept whole";
    "events" Number events "imports and calls kept of one pickle";
    "streams" Number streams "pickles in a row in one file";
    "resync-bytes" Size resync_bytes "bytes after the last pickle that are searched for another";
    "findings" Number findings "findings of one rule in one artifact";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_can_be_set_and_names_are_unique() {
        let mut names: Vec<_> = LIMITS.iter().map(|limit| limit.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), LIMITS.len());
        for limit in LIMITS {
            let mut limits = Limits::default();
            assert_eq!(limit.set(&mut limits, "7"), Ok(()), "{}", limit.name);
            assert_ne!(limits, Limits::default(), "{}", limit.name);
            assert!(limit.set(&mut limits, "many").is_err(), "{}", limit.name);
        }
    }
}
