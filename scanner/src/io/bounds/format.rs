//! Bounds of formats: headers, names and what is kept of them.

/// A pickle stream of so many valid opcodes is a pickle, whatever comes after them.
pub const MAX_PROBED_OPCODES: u64 = (1 << 16) - 1;

/// Values kept of a stream while it is recognized.
pub const MAX_PROBED_HEAP_BYTES: usize = 1 << 20;

/// Memo entries kept of a stream while it is recognized.
pub const MAX_PROBED_MEMO_BYTES: usize = 1 << 20;

/// Places after a pickle at which another one is looked for. Each costs a probe.
pub const MAX_RESYNC_PROBES: usize = 1000;

/// Zeros and line ends after a pickle up to this size are padding: one page.
pub const MAX_PICKLE_PADDING_BYTES: usize = 4096;

/// First bytes in which a pickle may start late, behind a byte order mark or a line of text.
pub const MAX_LATE_START_BYTES: usize = 64;

/// A `data.pkl` up to this size is read into memory at once: those of a hundred thousand tensors.
pub const MAX_DATA_PKL_IN_MEMORY_BYTES: usize = 16 << 20;

/// Keys of storages in torch's legacy stream.
pub const MAX_LEGACY_STORAGES: usize = 1_000_000;

/// Dimensions of a tensor in torch's tar: torch has at most 64.
pub const MAX_TORCH_DIMENSIONS: u64 = 64;

/// Zips in a row in a file of a distributed checkpoint: one for each tensor and rank.
pub const MAX_DISTCP_ZIPS: usize = 100_000;

/// Skippable frames in front of a zstd or lz4 frame. Honest files have one or two.
pub const MAX_SKIPPABLE_FRAMES: usize = 64;

/// Header of a `.npy` file: some hundred bytes, some thousand for structured types with very many fields.
pub const MAX_NPY_HEADER_BYTES: u64 = 64 << 10;

/// Nesting of the literal in a `.npy` header; numpy's own stay under ten.
pub const MAX_NPY_DEPTH: usize = 64;

/// Length of a safetensors header that the reference accepts at most.
pub const MAX_SAFETENSORS_HEADER_BYTES: u64 = 100_000_000;

/// Longer safetensors headers are reported as unusual. The largest seen on hubs are under 2 MiB.
pub const MAX_USUAL_SAFETENSORS_HEADER_BYTES: u64 = 10 << 20;

/// Bytes of tensor names kept of one safetensors header, and of metadata keys.
pub const MAX_SAFETENSORS_KEY_BYTES: usize = 16 << 20;

/// Bytes of metadata kept of one safetensors header.
pub const MAX_SAFETENSORS_METADATA_BYTES: usize = 16 << 20;

/// Duplicate and unknown keys kept of one safetensors header, each.
pub const MAX_SAFETENSORS_ANOMALIES: usize = 100;

/// Dimensions of a tensor in a safetensors header; frameworks have at most 64.
pub const MAX_SAFETENSORS_DIMENSIONS: usize = 1000;

/// One text of a safetensors header. Metadata of training runs comes in texts of a few MiB.
pub const MAX_SAFETENSORS_TEXT_BYTES: usize = 8 << 20;

/// Bytes kept of one text of a JSON configuration: many times the longest name.
pub const MAX_JSON_TEXT_BYTES: usize = 1024;

/// Nesting of a JSON configuration. Keras builds objects by recursion, which Python ends at a thousand; a model of models
/// has some dozens.
pub const MAX_JSON_DEPTH: usize = 4_000;

/// Bytes of names kept of one Keras configuration.
pub const MAX_KERAS_NAME_BYTES: usize = 8 << 20;
