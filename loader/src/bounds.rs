//! Bounds on what the loader accepts and keeps in memory. Hostile files reach them, real checkpoints do not.
//!
//! Sizes of buffers, which change speed and not results, are next to the code that uses them.

/// Values that are visited in one pickle. The largest checkpoints hold some 100,000 tensors of some 30 values each.
pub(crate) const MAX_VALUES: usize = 20_000_000;

/// Steps that are kept for the paths of one pickle, 64 bytes each: 128 MB.
pub(crate) const MAX_STEPS: usize = 2_000_000;

/// Tensors of one pickle.
pub(crate) const MAX_TENSORS: usize = 1_000_000;

/// Values other than tensors that are reported by name. Further ones are only counted.
pub(crate) const MAX_OTHER_VALUES: usize = 10_000;

/// Nesting of keys. Modules in modules reach some 30.
pub(crate) const MAX_DEPTH: u16 = 256;

/// Bytes of a key that is compared with a known name. Longer keys are equal only if they are the same literal.
pub(crate) const MAX_KEY_BYTES: usize = 1024;

/// Bytes of a key that becomes part of the name of a tensor.
pub(crate) const MAX_NAME_PART_BYTES: usize = 64 << 10;

/// Bytes of all names of one pickle together: shared containers can give one tensor millions of long names.
pub(crate) const MAX_NAMES_BYTES: usize = 64 << 20;

/// Bytes of a text of protocol 0 that stands for the bytes of an array: it is decoded in memory.
pub(crate) const MAX_DECODED_TEXT_BYTES: u32 = 32 << 20;

/// Parts of one tensor of a distributed checkpoint. Each is compared with each other, so time grows with the square.
pub(crate) const MAX_TENSOR_CHUNKS: usize = 4096;

/// Bytes of a name or file name in the metadata of a distributed checkpoint.
pub(crate) const MAX_METADATA_NAME_BYTES: usize = 4096;

/// Bytes of the JSON index of a sharded checkpoint.
pub(crate) const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Bytes of the JSON header of a safetensors file: `MAX_HEADER_SIZE` of the safetensors crate, which refuses longer ones.
pub(crate) const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Items of one container: the least that `Limits::items` is raised to. The largest state dicts have some 100,000.
pub(crate) const MIN_LIMIT_ITEMS: usize = 1_000_000;

/// Bytes of the values of one pickle: the least that `Limits::heap_bytes` is raised to. A tensor of a state dict takes some 500.
pub(crate) const MIN_LIMIT_HEAP_BYTES: usize = 128 << 20;

/// Events of one pickle: the least that `Limits::events` is raised to. Each storage is a persistent id, which is an event.
pub(crate) const MIN_LIMIT_EVENTS: usize = 4_000_000;
