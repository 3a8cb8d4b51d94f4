//! Something on a server, read by ranges: a scan of gigabytes needs some kilobytes of them.
//!
//! All answers must be parts of one and the same object. The first one says how long it is and which version (a strong
//! `ETag`, or when it was last modified); each later one must say the same, and must be exactly what was asked for. What
//! does not fit is an error for good: the scan then says that it was not read, and never mixes two versions.

use crate::client::{Answer, Ask, Client, io_reason};
use crate::extents::{Extents, KEPT};
use scanner::providers::VerifiedSource;
use scanner::source::Source;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The first look, and what is read ahead at least: a head, a tail with its directory.
pub(crate) const FIRST: u64 = 64 << 10;
/// What is read ahead at most, where somebody reads on and on.
const AHEAD: u64 = 4 << 20;
/// One answer is in memory as a whole.
const LARGEST: u64 = 8 << 20;
/// Two ranges that are so close are fetched as one.
const CLOSE: u64 = 16 << 10;
/// Of ranges that are announced, each connection gets so many in a row; but some connections there are in any case.
const EACH: usize = 8;
const FEW: usize = 16;

/// Which version of an object it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Version(String);

impl Version {
    /// What the server says of it; `None` if that tells no version from another one.
    pub(crate) fn of(answer: &Answer<'_>) -> Option<Self> {
        let strong = answer.header("etag").filter(|tag| tag.starts_with('"') && tag.len() > 2);
        strong.or_else(|| answer.header("last-modified")).map(|version| Self(version.to_owned()))
    }
}

/// Reads ranges of one object.
pub(crate) struct RangeSource {
    client: Arc<Client>,
    ask: Ask,
    len: u64,
    version: Version,
    read: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    extents: Extents,
    /// Where the last read ended, and how far ahead it went: who reads on gets more each time.
    next: u64,
    ahead: u64,
    fault: Option<String>,
}

impl RangeSource {
    /// Goes on from a first answer with the bytes from 0 to `first.len()`.
    pub(crate) fn new(
        client: Arc<Client>,
        ask: Ask,
        len: u64,
        version: Version,
        first: &[u8],
        read: Arc<AtomicU64>,
    ) -> Self {
        let mut state = State::default();
        state.extents.keep(0, first);
        state.next = first.len() as u64;
        Self { client, ask, len, version, read, state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches `at..end` and keeps it. After one failure all fail at once: a server that stalls does so each time.
    fn fetch(&self, at: u64, end: u64) -> io::Result<()> {
        if let Some(fault) = &self.state().fault {
            return Err(io::Error::other(fault.clone()));
        }
        match self.ask(at, end) {
            Ok(bytes) => {
                self.state().extents.keep(at, &bytes);
                Ok(())
            }
            Err(why) => {
                self.state().fault.get_or_insert_with(|| why.clone());
                Err(io::Error::other(why))
            }
        }
    }

    fn ask(&self, at: u64, end: u64) -> Result<Vec<u8>, String> {
        self.client.budget.take_bytes(end - at)?;
        let range = format!("bytes={at}-{}", end - 1);
        let headers = [("range", range.as_str()), ("if-range", self.version.0.as_str())];
        let answer = self.client.get(&self.ask, &headers)?;
        match answer.status {
            206 => {}
            200 | 412 | 416 => return Err("the object changed while it was read; scan it again".to_owned()),
            _ => return Err(answer.refusal()),
        }
        if Version::of(&answer).as_ref() != Some(&self.version) {
            return Err("the object changed while it was read; scan it again".to_owned());
        }
        if part(&answer)? != (at, end, self.len) {
            return Err("the server answers with another range than the one that was asked for".to_owned());
        }
        body(answer, end - at, &self.read)
    }
}

impl Source for RangeSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let count = rest.min(buf.len());
        let buf = buf.get_mut(..count).unwrap_or_default();
        let mut done = 0;
        while let Some(to) = buf.get_mut(done..).filter(|to| !to.is_empty()) {
            let at = at.saturating_add(done as u64);
            let (start, end) = {
                let mut state = self.state();
                let copied = state.extents.copy(at, to);
                if copied > 0 {
                    done += copied;
                    continue;
                }
                let ahead = if at == state.next { (state.ahead * 2).clamp(FIRST, AHEAD) } else { FIRST };
                let wanted = (to.len() as u64).max(ahead).min(LARGEST);
                let end = state.extents.gap_end(at, at.saturating_add(wanted).min(self.len));
                (state.next, state.ahead) = (end, ahead);
                // Who looks at the end goes backwards from there: the last bytes come together.
                let tail = self.len.saturating_sub(FIRST);
                let start = if end == self.len && at > tail { state.extents.gap_start(tail, at) } else { at };
                (start, end)
            };
            self.fetch(start, end)?;
        }
        Ok(count)
    }

    fn prefetch(&self, ranges: &mut dyn Iterator<Item = (u64, u64)>) {
        let wanted = self.missing(ranges);
        if wanted.len() < 2 {
            return;
        }
        let turn = AtomicUsize::new(0);
        let work = || {
            while let Some((at, end)) = wanted.get(turn.fetch_add(1, Relaxed)) {
                // Who reads it meets the fault.
                if self.fetch(*at, *end).is_err() {
                    break;
                }
            }
        };
        let wished = wanted.len().div_ceil(EACH).max(FEW).min(wanted.len());
        let helpers = self.client.budget.helpers(wished - 1);
        thread::scope(|scope| {
            for _ in 0..helpers.count {
                // Without a thread more the others do it.
                _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
    }
}

impl RangeSource {
    /// What is not there yet of some ranges: sorted, those that are close together as one, no more than can be kept.
    fn missing(&self, ranges: &mut dyn Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
        let state = self.state();
        let cut = |(at, len): (u64, u64)| (at, at.saturating_add(len).min(self.len));
        let mut wanted: Vec<(u64, u64)> =
            ranges.map(cut).filter(|(at, end)| at < end && !state.extents.holds(*at, *end)).collect();
        wanted.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        let mut bytes = 0;
        for (at, end) in wanted {
            match merged.last_mut() {
                Some(last) if at <= last.1.saturating_add(CLOSE) && end.saturating_sub(last.0) <= LARGEST => {
                    bytes += end.saturating_sub(last.1);
                    last.1 = last.1.max(end);
                }
                _ => {
                    bytes += end - at;
                    merged.push((at, end));
                }
            }
            if bytes > KEPT as u64 / 2 || end - at > LARGEST {
                merged.pop();
                break;
            }
        }
        merged
    }
}

impl VerifiedSource for RangeSource {
    fn integrity_error(&self) -> Option<String> {
        self.state().fault.clone()
    }

    /// A server may answer one reading in this way and another one in that.
    fn is_stable(&self) -> bool {
        false
    }
}

/// What a 206 says it holds: start, end (exclusive) and length of the whole.
pub(crate) fn part(answer: &Answer<'_>) -> Result<(u64, u64, u64), String> {
    answer.check_encoding()?;
    let range = answer.header("content-range").and_then(content_range);
    let (start, end, len) = range.ok_or("the server does not say which range it answers with")?;
    if start > end || end >= len {
        return Err("the server answers with a range that cannot be".to_owned());
    }
    Ok((start, end + 1, len))
}

fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, len) = text.strip_prefix("bytes ")?.trim_start().split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some((number(start)?, number(end)?, number(len)?))
}

/// Reads a body of exactly `len` bytes, which must be few.
pub(crate) fn body(answer: Answer<'_>, len: u64, read: &AtomicU64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let (reader, _slot) = answer.reader();
    let result = reader.take(len.saturating_add(1)).read_to_end(&mut bytes);
    read.fetch_add(bytes.len() as u64, Relaxed);
    match (result, bytes.len() as u64) {
        (Err(error), _) => Err(io_reason(&error)),
        (Ok(_), count) if count == len => Ok(bytes),
        (Ok(_), count) if count < len => Err("the server cuts its answer short".to_owned()),
        (Ok(_), _) => Err("the server answers with more than was asked for".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_strictly() {
        assert_eq!(content_range("bytes 0-9/100"), Some((0, 9, 100)));
        for text in [
            "bytes 0-9/*",
            "bytes */100",
            "bytes 0-9",
            "0-9/100",
            "bytes -9/100",
            "bytes +0-9/100",
            "bytes 0-99999999999999999999/1",
        ] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
