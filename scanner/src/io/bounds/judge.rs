//! Bounds of `judge` and `api`.

use std::time::Duration;

/// Findings of one member that show the opcodes around them. Each excerpt decodes its pickle from the start, and people read
/// the first findings.
pub(crate) const MAX_EXCERPTS: usize = 8;

/// Opcodes that an excerpt shows before the one of the finding: a name and its arguments are mostly that near.
pub(crate) const MAX_OPCODES_BEFORE: usize = 3;

/// Opcodes that an excerpt shows after the one of the finding, so that it is not at the edge.
pub(crate) const MAX_OPCODES_AFTER: usize = 1;

/// Nodes of a value when its shared parts count as often as they occur. Honest checkpoints have some millions; a walk over 10^9
/// takes a minute and more.
pub(crate) const MAX_VALUE_NODES: u64 = 1_000_000_000;

/// Bytes of an attribute name in a state. Names that Python calls later are shorter than 40.
pub(crate) const MAX_ATTRIBUTE_BYTES: usize = 400;

/// Bytes of a text argument that is compared with a pattern. The longest that picklers write is the text of a large number.
pub(crate) const MAX_ARGUMENT_TEXT_BYTES: usize = 10_000;

/// Length of a bytes argument that is read as a text. Names of codecs, devices and dtypes are shorter.
pub(crate) const MAX_ARGUMENT_NAME_BYTES: u32 = 64;

/// Bytes of the name of a bit generator in numpy. The longest name has 9.
pub(crate) const MAX_GENERATOR_NAME_BYTES: usize = 16;

/// Bytes of a text that stands for array data, as protocol 2 writes it. Longer ones are not compared with the shape.
pub(crate) const MAX_ARRAY_TEXT_BYTES: usize = 1 << 20;

/// The most nodes of a tree that scikit-learn pickles: its counts are 32-bit.
pub(crate) const MAX_TREE_NODES: i64 = 1 << 31;

/// Names whose effect is looked up at once. A checkpoint asks for the same five or six names for each tensor; a linear search
/// of eight is faster than a hash.
pub(crate) const MAX_RECENT_NAMES: usize = 8;

/// Names whose effect each thread remembers. Pickles of scikit-learn use about a hundred.
pub(crate) const MAX_REMEMBERED_NAMES: usize = 1024;

/// Bytes of one file in the verdict cache. A report with a thousand findings of each rule takes some megabytes.
pub(crate) const MAX_CACHED_REPORT_BYTES: u64 = 32 << 20;

/// Bytes of a file that is read whole and hashed where a verdict cache is used: up to this size that takes less time than a
/// scan.
pub(crate) const MAX_HASHED_FILE_BYTES: u64 = 16 << 20;

/// Bytes up to which one thread scans a file before a second one would have started.
pub(crate) const MAX_ONE_THREAD_BYTES: u64 = 1 << 20;

/// Threads for one open file. The headers of one checkpoint are read no faster with more.
pub(crate) const MAX_OPEN_FILE_THREADS: usize = 4;

/// Clocks of file systems go in steps of up to two seconds (FAT): a file that was changed this recently can change again under
/// the same time.
pub(crate) const MAX_CLOCK_STEP: Duration = Duration::from_secs(2);
