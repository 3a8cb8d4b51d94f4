//! Bounds of a scan: what is read of an artifact before a format looks at it.

/// Bytes from the start of an artifact that formats are recognized by. The longest signature (tar) ends at 512; JSON keys
/// are searched in the rest.
pub const MAX_HEAD_BYTES: usize = 4096;

/// Bytes from the start of raw tensor data that are looked at: enough for the signatures of all formats that act when they
/// are loaded. A checkpoint has thousands of such records, and one small read serves for header and start.
pub const MAX_TENSOR_HEAD_BYTES: usize = 32;

/// Artifacts up to this size are read into memory at once: formats read them several times.
pub const MAX_ARTIFACT_IN_MEMORY_BYTES: usize = 2 << 20;
