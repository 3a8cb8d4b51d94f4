//! Bounds of archives and decoders.

/// Compressed streams in a row in one file. Each costs a decoder's state; honest files have a handful.
pub const MAX_STREAMS_IN_A_ROW: u64 = 100_000;

/// How often large compressed content is unpacked again from its start, for readers that step back. Readers go forward
/// nearly always; without a bound a reader could make a scan quadratic.
pub const MAX_DECODER_RESTARTS: u32 = 256;

/// Unpacked bytes behind a decoder's position that stay in memory, for short steps back.
pub const MAX_LOOKBACK_BYTES: usize = 256 << 10;

/// Bytes of entry names kept of one archive: 80 for each of the 200,000 entries that the default limit allows.
pub const MAX_ARCHIVE_NAME_BYTES: usize = 16 << 20;

/// Stored zip entries up to this size have their checksum compared. Larger ones are tensors, and torch ignores checksums.
pub const MAX_ZIP_CHECKED_BYTES: u64 = 1 << 20;

/// Candidates for the end record of a zip. Each costs some small reads; readers take the last or the first.
pub const MAX_ZIP_END_RECORDS: usize = 64;

/// Facts of one deviation kept of a zip; further ones are counted.
pub const MAX_ZIP_FACTS: usize = 1000;

/// Local headers of zip entries read ahead; longer ones are read when they are needed.
pub const MAX_ZIP_HEADER_BYTES: usize = 4096;

/// Gaps between zip entries up to this size are padding for alignment.
pub const MAX_ZIP_PADDING_BYTES: u64 = 64;

/// Facts kept of a tar.
pub const MAX_TAR_FACTS: usize = 2000;

/// Extended records of one tar entry. They hold names, and no file system takes longer ones.
pub const MAX_TAR_RECORD_BYTES: u64 = 1 << 20;

/// Parts of one sparse file in a tar.
pub const MAX_TAR_SPARSE_PARTS: usize = 100_000;

/// Text of a sparse map in front of the data: 100,000 parts with two numbers of 20 digits each.
pub const MAX_TAR_SPARSE_MAP_BYTES: usize = 4 << 20;

/// Bytes of small files kept when a 7z archive is read: each block is then unpacked once for all of them.
pub const MAX_7Z_KEPT_BYTES: u64 = 16 << 20;

/// Larger files of a 7z archive are unpacked when they are read.
pub const MAX_7Z_KEPT_FILE_BYTES: u64 = 1 << 20;

/// Facts kept of a 7z archive.
pub const MAX_7Z_FACTS: usize = 1000;

/// Pieces of 64 KiB that the unpacking thread of a 7z archive is ahead of its reader.
pub const MAX_7Z_WAITING_PIECES: usize = 4;
