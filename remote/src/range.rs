//! An object on a server, read by ranges: a scan of gigabytes needs some kilobytes of them.
//!
//! All answers must be parts of one version of one object. The first answer gives its length and its version (a strong `ETag`, or
//! else `Last-Modified`); each later one must give the same, and exactly the range that was asked for. Anything else is an error
//! that stays: the scan then reports the object as not read, and never mixes two versions.

use crate::bounds::{
    FIRST_RANGE_BYTES, MAX_CACHED_BYTES, MAX_MERGE_GAP_BYTES, MAX_RANGE_BYTES, MAX_READ_AHEAD_BYTES,
    MIN_PREFETCH_CONNECTIONS, RANGES_PER_CONNECTION,
};
use crate::client::{Client, Request, Response, body_error};
use crate::error::{Error, ServerFault};
use crate::range_cache::RangeCache;
use scanner::providers::VerifiedSource;
use scanner::source::Source;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The version of an object, as the server names it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ObjectVersion(String);

impl ObjectVersion {
    /// The version in an answer. `None` if it has neither a strong `ETag` nor `Last-Modified`.
    pub(crate) fn from_response(response: &Response<'_>) -> Option<Self> {
        let strong = response.header("etag").filter(|tag| tag.starts_with('"') && tag.len() > 2);
        strong.or_else(|| response.header("last-modified")).map(|version| Self(version.to_owned()))
    }
}

/// Reads ranges of one object.
pub(crate) struct RangeSource {
    client: Arc<Client>,
    request: Request,
    len: u64,
    version: ObjectVersion,
    read: Arc<AtomicU64>,
    state: Mutex<RangeState>,
}

#[derive(Default)]
struct RangeState {
    cache: RangeCache,
    /// The end of the last read. A read that starts here is sequential.
    next: u64,
    /// Bytes of the last read ahead. They double with each sequential read.
    read_ahead: u64,
    error: Option<Error>,
}

impl RangeSource {
    /// Continues after a first answer with the bytes from 0 to `first.len()`.
    pub(crate) fn new(
        client: Arc<Client>,
        request: Request,
        len: u64,
        version: ObjectVersion,
        first: &[u8],
        read: Arc<AtomicU64>,
    ) -> Self {
        let mut state = RangeState::default();
        state.cache.insert(0, first);
        state.next = first.len() as u64;
        Self { client, request, len, version, read, state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, RangeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches `at..end` into the cache. After one failure all reads fail at once, because a server that stalls does so each
    /// time.
    fn fetch(&self, at: u64, end: u64) -> Result<(), Error> {
        if let Some(error) = &self.state().error {
            return Err(error.clone());
        }
        match self.request_range(at, end) {
            Ok(bytes) => {
                self.state().cache.insert(at, &bytes);
                Ok(())
            }
            Err(error) => {
                self.state().error.get_or_insert_with(|| error.clone());
                Err(error)
            }
        }
    }

    fn request_range(&self, at: u64, end: u64) -> Result<Vec<u8>, Error> {
        self.client.budget.take_bytes(end - at)?;
        let range = format!("bytes={at}-{}", end - 1);
        let headers = [("range", range.as_str()), ("if-range", self.version.0.as_str())];
        let response = self.client.get(&self.request, &headers)?;
        match response.status {
            206 => {}
            200 | 412 | 416 => return Err(Error::Changed),
            status => return Err(Error::Status(status)),
        }
        if ObjectVersion::from_response(&response).as_ref() != Some(&self.version) {
            return Err(Error::Changed);
        }
        if content_range(&response)? != (at, end, self.len) {
            return Err(Error::Server(ServerFault::OtherRange));
        }
        read_body(response, end - at, &self.read)
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
                let cached = state.cache.read(at, to);
                if cached > 0 {
                    done += cached;
                    continue;
                }
                let read_ahead = if at == state.next {
                    (state.read_ahead * 2).clamp(FIRST_RANGE_BYTES, MAX_READ_AHEAD_BYTES)
                } else {
                    FIRST_RANGE_BYTES
                };
                let needed = (to.len() as u64).max(read_ahead).min(MAX_RANGE_BYTES);
                let end = state.cache.gap_end(at, at.saturating_add(needed).min(self.len));
                (state.next, state.read_ahead) = (end, read_ahead);
                // A reader of the tail goes backwards, so the last bytes are fetched together.
                let tail = self.len.saturating_sub(FIRST_RANGE_BYTES);
                let start = if end == self.len && at > tail { state.cache.gap_start(tail, at) } else { at };
                (start, end)
            };
            self.fetch(start, end)?;
        }
        Ok(count)
    }

    fn prefetch(&self, ranges: &mut dyn Iterator<Item = (u64, u64)>) {
        let missing = self.missing(ranges);
        if missing.len() < 2 {
            return;
        }
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some((at, end)) = missing.get(next.fetch_add(1, Relaxed)) {
                // A later read returns the error.
                if self.fetch(*at, *end).is_err() {
                    break;
                }
            }
        };
        let connections =
            missing.len().div_ceil(RANGES_PER_CONNECTION).max(MIN_PREFETCH_CONNECTIONS).min(missing.len());
        let threads = self.client.budget.acquire_threads(connections - 1);
        thread::scope(|scope| {
            for _ in 0..threads.count {
                // If a thread cannot be started, the others do its work.
                _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
    }
}

impl RangeSource {
    /// The parts of some ranges that are not cached: sorted, close ones merged, and no more than the cache can hold.
    fn missing(&self, ranges: &mut dyn Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
        let state = self.state();
        let bounded = |(at, len): (u64, u64)| (at, at.saturating_add(len).min(self.len));
        let mut missing: Vec<(u64, u64)> =
            ranges.map(bounded).filter(|(at, end)| at < end && !state.cache.contains(*at, *end)).collect();
        missing.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        let mut bytes = 0;
        for (at, end) in missing {
            match merged.last_mut() {
                Some(last)
                    if at <= last.1.saturating_add(MAX_MERGE_GAP_BYTES)
                        && end.saturating_sub(last.0) <= MAX_RANGE_BYTES =>
                {
                    bytes += end.saturating_sub(last.1);
                    last.1 = last.1.max(end);
                }
                _ => {
                    bytes += end - at;
                    merged.push((at, end));
                }
            }
            if bytes > MAX_CACHED_BYTES as u64 / 2 || end - at > MAX_RANGE_BYTES {
                merged.pop();
                break;
            }
        }
        merged
    }
}

impl VerifiedSource for RangeSource {
    fn integrity_error(&self) -> Option<String> {
        self.state().error.as_ref().map(Error::to_string)
    }

    /// A server may give each reader other bytes.
    fn is_stable(&self) -> bool {
        false
    }
}

/// The `Content-Range` of a 206: start, end (exclusive) and length of the object, in bytes.
pub(crate) fn content_range(response: &Response<'_>) -> Result<(u64, u64, u64), Error> {
    response.check_encoding()?;
    let range = response.header("content-range").and_then(parse_content_range);
    let (start, end, len) = range.ok_or(Error::Server(ServerFault::NoContentRange))?;
    if start > end || end >= len {
        return Err(Error::Server(ServerFault::ImpossibleRange));
    }
    Ok((start, end + 1, len))
}

/// Parses `bytes START-END/LENGTH` (RFC 9110, section 14.4), where END is inclusive and LENGTH is known.
fn parse_content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, len) = text.strip_prefix("bytes ")?.trim_start().split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some((number(start)?, number(end)?, number(len)?))
}

/// Reads a body of exactly `len` bytes into memory.
pub(crate) fn read_body(response: Response<'_>, len: u64, read: &AtomicU64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let (reader, _permit) = response.into_reader();
    let result = reader.take(len.saturating_add(1)).read_to_end(&mut bytes);
    read.fetch_add(bytes.len() as u64, Relaxed);
    match (result, bytes.len() as u64) {
        (Err(error), _) => Err(body_error(&error)),
        (Ok(_), count) if count == len => Ok(bytes),
        (Ok(_), count) if count < len => Err(Error::Server(ServerFault::TooShort)),
        (Ok(_), _) => Err(Error::Server(ServerFault::TooLong)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_strictly() {
        assert_eq!(parse_content_range("bytes 0-9/100"), Some((0, 9, 100)));
        for text in [
            "bytes 0-9/*",
            "bytes */100",
            "bytes 0-9",
            "0-9/100",
            "bytes -9/100",
            "bytes +0-9/100",
            "bytes 0-99999999999999999999/1",
        ] {
            assert_eq!(parse_content_range(text), None, "{text}");
        }
    }
}
