//! Limits that a caller can set. A limit that is hit is a fact with its offset, and everything after it counts as not
//! read. Bounds with fixed values are in `io::bounds`.
//!
//! With the defaults every ordinary model is read (the largest checkpoints seen on hubs are some 50 GB in thousands of
//! members), and a scan stays under 150 MB of memory for any input. Nothing inside an artifact can change them.

use std::time::Duration;

/// Limits on reading, memory and unpacking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Opcodes of one pickle stream. Pickles of 200 MB of one-byte opcodes exist in tests; 4 G is about a minute.
    pub opcodes: u64,
    /// Values on the pickle stack kept apart; runs of plain values past that are only counted.
    pub stack: usize,
    /// Marks on the pickle stack. A mark is a nesting level: CPython's own pickler stops at some thousands.
    pub marks: usize,
    /// Bytes of the pickle memo. Some 2 to 8 bytes an entry.
    pub memo_bytes: usize,
    /// Bytes of the values kept of one pickle; past that, values are judged when met and not kept. A checkpoint takes
    /// some 760 a tensor: these are 50,000 of them.
    pub heap_bytes: usize,
    /// Items kept of one list, tuple, set or dict (pairs count as two).
    pub items: usize,
    /// Different names one pickle may import.
    pub names: usize,
    /// Longest name (module or attribute) that is kept in full.
    pub name_bytes: usize,
    /// Events (imports and calls) kept of one pickle with their place and arguments.
    pub events: usize,
    /// Pickle streams in a row in one file.
    pub streams: usize,
    /// Bytes after the last stream searched for another one.
    pub resync_bytes: u64,
    /// How deep artifacts may be nested (archives in archives, pickles in pickles).
    pub depth: usize,
    /// Entries of one archive.
    pub entries: usize,
    /// Nested artifacts of one file, all together.
    pub members: usize,
    /// Bytes unpacked from one member.
    pub member_bytes: u64,
    /// Bytes unpacked from one file, all together.
    pub unpacked_bytes: u64,
    /// Ratio of unpacked to packed bytes of one member past which it is a bomb, once over `ratio_floor`.
    pub ratio: u64,
    /// Unpacked bytes under which no ratio is a bomb.
    pub ratio_floor: u64,
    /// Unpacked members up to this size are kept in memory; larger ones are unpacked again where they are read.
    pub member_memory: usize,
    /// Dictionary or window a decoder may ask for.
    pub decoder_memory: u64,
    /// Length of a text header (safetensors JSON, npy header).
    pub header_bytes: u64,
    /// Findings of one rule in one artifact; the rest is counted.
    pub findings: usize,
    /// Wall-clock time for one file.
    pub time: Duration,
    /// Folder depth below a given path.
    pub folder_depth: usize,
    /// Files below the given paths.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            opcodes: 4_000_000_000,
            stack: 1_000_000,
            marks: 1_000_000,
            memo_bytes: 72 << 20,
            heap_bytes: 40 << 20,
            items: 512,
            names: 20_000,
            name_bytes: 4096,
            events: 50_000,
            streams: 10_000,
            resync_bytes: 64 << 20,
            depth: 8,
            entries: 200_000,
            members: 1_000_000,
            member_bytes: 32 << 30,
            unpacked_bytes: 64 << 30,
            ratio: 200,
            ratio_floor: 10 << 20,
            member_memory: 4 << 20,
            decoder_memory: 64 << 20,
            header_bytes: 100_000_000,
            findings: 1_000,
            time: Duration::from_secs(300),
            folder_depth: 64,
            files: 1_000_000,
        }
    }
}
