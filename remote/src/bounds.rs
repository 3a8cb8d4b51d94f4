//! All bounds of this crate, each with its unit and reason.

use std::time::Duration;

/// Bytes of an address. Signed addresses take some 2,000.
pub(crate) const MAX_ADDRESS_BYTES: usize = 16 << 10;

/// Redirects of one request. Model hubs redirect once or twice.
pub(crate) const MAX_REDIRECTS: usize = 5;
/// Bytes of the body of a redirect that are read so that the connection can be used again.
pub(crate) const MAX_REDIRECT_BODY_BYTES: u64 = 16 << 10;
/// Time to resolve a name, and time to open a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before the one retry of a request that an overloaded server refused.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// Concurrent requests of all files together. The header of each record of a checkpoint is a round trip, and there are
/// checkpoints of thousands of records; other formats use a tenth of that.
pub(crate) const MAX_CONCURRENT_REQUESTS: usize = 256;

/// Bytes of the first range, and the least that is read ahead: the head of a file, or the tail with the directory of a zip.
pub(crate) const FIRST_RANGE_BYTES: u64 = 64 << 10;
/// Bytes that are read ahead of a sequential reader at most.
pub(crate) const MAX_READ_AHEAD_BYTES: u64 = 4 << 20;
/// Bytes of one range. The answer is kept in memory.
pub(crate) const MAX_RANGE_BYTES: u64 = 8 << 20;
/// Bytes between two announced ranges up to which both are fetched by one request.
pub(crate) const MAX_MERGE_GAP_BYTES: u64 = 16 << 10;
/// Announced ranges that one connection fetches in a row, where there are enough of them.
pub(crate) const RANGES_PER_CONNECTION: usize = 8;
/// Connections for announced ranges that are used in any case.
pub(crate) const MIN_PREFETCH_CONNECTIONS: usize = 16;
/// Bytes that are cached of one source.
pub(crate) const MAX_CACHED_BYTES: usize = 16 << 20;

/// Bytes of a download that are read, and taken from the budget, at a time.
pub(crate) const DOWNLOAD_BLOCK_BYTES: usize = 256 << 10;

/// Objects of one Git LFS batch request, as many as git-lfs asks for.
pub(crate) const MAX_BATCH_OBJECTS: usize = 100;
/// Bytes of a batch answer. A signed address takes some kilobytes.
pub(crate) const MAX_BATCH_ANSWER_BYTES: u64 = 4 << 20;
/// Bytes of a git configuration file that are read. They take a few kilobytes.
pub(crate) const MAX_GIT_CONFIG_BYTES: u64 = 1 << 20;

/// The deadline of a request where `--limit-time` is longer than the clock can tell.
pub(crate) const LONGEST_TIME: Duration = Duration::from_secs(1 << 30);
