//! The memo: index to value, small enough for pickles of tens of millions of memoized texts.
//!
//! CPython's own pickler memoizes every text and container in order, so neighbouring entries lie close together in the
//! stream. Entries are kept in chunks of 256: a chunk holds 4 bytes an entry while the values fit (a text no longer than
//! 255 bytes within 64 KiB of its chunk's first one), and whole values otherwise. The index is only a key: a huge one
//! allocates one chunk, not an array (CPython grew an array, catalogue 1.5 row 20).

use super::value::{ContainerKind, TextEncoding, Value};
use std::collections::HashMap;

const CHUNK_ENTRIES: usize = 256;
/// Chunks below this number are in an array; CPython's pickler numbers entries without gaps.
const DENSE_CHUNKS: usize = 1 << 20;

#[expect(clippy::large_enum_variant, reason = "chunks stand in boxes, and nearly all are narrow")]
enum MemoChunk {
    Narrow { base: u64, slots: [u32; CHUNK_ENTRIES] },
    Wide(Box<[Option<Value>; CHUNK_ENTRIES]>),
}

/// The memo of one stream.
#[derive(Default)]
pub struct Memo {
    dense: Vec<Option<Box<MemoChunk>>>,
    sparse: HashMap<u64, Box<MemoChunk>>,
    entries: u64,
    bytes: usize,
    limit: usize,
}

// Tags of a narrow slot, in its low 4 bits; 0 is an empty slot.
const TEXT: u32 = 1;
const BYTES: u32 = 2;
const NODE: u32 = 3;
const OPAQUE: u32 = 4;
const GLOBAL: u32 = 5;
const INSTANCE: u32 = 6;
const UNKNOWN: u32 = 7;
const NATIVE: u32 = 8;

fn pack(value: Value, base: u64) -> Option<u32> {
    let small = |tag: u32, number: u32| (number < 1 << 28).then_some(tag | number << 4);
    let range = |tag: u32, at: u64, len: u32| {
        let delta = u32::try_from(at.checked_sub(base)?).ok().filter(|delta| *delta < 1 << 16)?;
        (len < 1 << 8).then_some(tag | len << 4 | delta << 12)
    };
    match value {
        Value::Text { encoding: TextEncoding::Utf8, len, at } => range(TEXT, at, len),
        Value::Text { encoding: TextEncoding::Native, len, at } => range(NATIVE, at, len),
        Value::Bytes { len, at } => range(BYTES, at, len),
        Value::Node(id) => small(NODE, id),
        Value::Opaque(kind) => small(OPAQUE, kind as u32),
        Value::Global(id) => small(GLOBAL, id),
        Value::Instance(id) => small(INSTANCE, id),
        Value::Unknown => Some(UNKNOWN),
        _ => None,
    }
}

fn unpack(slot: u32, base: u64) -> Option<Value> {
    let number = slot >> 4;
    let (len, at) = ((slot >> 4) & 0xff, base.wrapping_add(u64::from(slot >> 12)));
    Some(match slot & 0xf {
        TEXT => Value::Text { encoding: TextEncoding::Utf8, len, at },
        NATIVE => Value::Text { encoding: TextEncoding::Native, len, at },
        BYTES => Value::Bytes { len, at },
        NODE => Value::Node(number),
        OPAQUE => Value::Opaque(match number {
            0 => ContainerKind::Tuple,
            1 => ContainerKind::List,
            2 => ContainerKind::Dict,
            3 => ContainerKind::Set,
            _ => ContainerKind::FrozenSet,
        }),
        GLOBAL => Value::Global(number),
        INSTANCE => Value::Instance(number),
        UNKNOWN => Value::Unknown,
        _ => return None,
    })
}

fn source_offset(value: Value) -> Option<u64> {
    match value {
        Value::Text { at, .. } | Value::Bytes { at, .. } => Some(at),
        _ => None,
    }
}

impl Memo {
    /// An empty memo of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// How many entries there are: the index that MEMOIZE uses next.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// The value at an index.
    pub fn get(&self, index: u64) -> Option<Value> {
        let slot = (index % CHUNK_ENTRIES as u64) as usize;
        match self.chunk(index / CHUNK_ENTRIES as u64)? {
            MemoChunk::Narrow { base, slots } => unpack(*slots.get(slot)?, *base),
            MemoChunk::Wide(values) => *values.get(slot)?,
        }
    }

    fn chunk(&self, key: u64) -> Option<&MemoChunk> {
        match usize::try_from(key).ok().filter(|key| *key < DENSE_CHUNKS) {
            Some(key) => self.dense.get(key)?.as_deref(),
            None => self.sparse.get(&key).map(Box::as_ref),
        }
    }

    /// Makes room for a chunk.
    fn allocate(&mut self, key: u64) -> Result<(), MemoFull> {
        if self.chunk(key).is_some() {
            return Ok(());
        }
        self.bytes += size_of::<MemoChunk>() + 32;
        let dense = usize::try_from(key).ok().filter(|key| *key < DENSE_CHUNKS);
        if let Some(missing) = dense.map(|key| (key + 1).saturating_sub(self.dense.len())) {
            self.bytes += missing * size_of::<Option<Box<MemoChunk>>>();
        }
        if self.bytes > self.limit {
            return Err(MemoFull);
        }
        let chunk = Box::new(MemoChunk::Narrow { base: u64::MAX, slots: [0; CHUNK_ENTRIES] });
        if let Some(key) = dense {
            if key >= self.dense.len() {
                self.dense.resize_with(key + 1, || None);
            }
            if let Some(slot) = self.dense.get_mut(key) {
                *slot = Some(chunk);
            }
        } else {
            self.sparse.insert(key, chunk);
        }
        Ok(())
    }

    /// Sets the value at an index. `Err` when the memo is full; `Ok(true)` when an entry was overwritten.
    pub fn put(&mut self, index: u64, value: Value) -> Result<bool, MemoFull> {
        let key = index / CHUNK_ENTRIES as u64;
        let slot = (index % CHUNK_ENTRIES as u64) as usize;
        self.allocate(key)?;
        let chunk = match usize::try_from(key).ok().filter(|key| *key < DENSE_CHUNKS) {
            Some(key) => self.dense.get_mut(key).and_then(Option::as_mut),
            None => self.sparse.get_mut(&key),
        };
        let Some(chunk) = chunk else { return Err(MemoFull) };
        if let MemoChunk::Narrow { base, slots } = chunk.as_mut() {
            // The first text of a chunk sets its base.
            if *base == u64::MAX {
                *base = source_offset(value).unwrap_or(u64::MAX);
            }
            match (pack(value, *base), slots.get_mut(slot)) {
                (Some(packed), Some(to)) => {
                    let before = std::mem::replace(to, packed);
                    self.entries += u64::from(before == 0);
                    return Ok(before != 0);
                }
                _ => {
                    self.bytes += CHUNK_ENTRIES * size_of::<Option<Value>>();
                    if self.bytes > self.limit {
                        return Err(MemoFull);
                    }
                    let base = *base;
                    let mut values = [None; CHUNK_ENTRIES];
                    for (to, from) in values.iter_mut().zip(slots.iter()) {
                        *to = unpack(*from, base);
                    }
                    **chunk = MemoChunk::Wide(Box::new(values));
                }
            }
        }
        let MemoChunk::Wide(values) = chunk.as_mut() else {
            return Ok(false);
        };
        let before = values.get_mut(slot).and_then(|to| to.replace(value));
        self.entries += u64::from(before.is_none());
        Ok(before.is_some())
    }
}

/// The memo is full.
#[derive(Debug)]
pub struct MemoFull;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_went_in() {
        let mut memo = Memo::new(1 << 20);
        let values = [
            Value::Text { encoding: TextEncoding::Utf8, len: 5, at: 100 },
            Value::Text { encoding: TextEncoding::Native, len: 255, at: 70 },
            Value::Text { encoding: TextEncoding::Utf8, len: 300, at: 5_000_000 },
            Value::Opaque(ContainerKind::Set),
            Value::Global(7),
            Value::Node(9),
            Value::Float(1.5),
            Value::Bytes { len: 1, at: 60_000 },
        ];
        for (index, value) in values.iter().enumerate() {
            assert!(!memo.put(index as u64, *value).expect("not full"));
        }
        for (index, value) in values.iter().enumerate() {
            assert_eq!(memo.get(index as u64), Some(*value));
        }
        assert_eq!(memo.len(), values.len() as u64);
        assert_eq!(memo.get(200), None);
        assert!(memo.put(0, Value::Unknown).expect("not full"));
        assert_eq!(memo.len(), values.len() as u64);
    }

    #[test]
    fn a_huge_index_takes_one_chunk() {
        let mut memo = Memo::new(4096);
        memo.put(u64::from(u32::MAX), Value::Unknown).expect("not full");
        assert_eq!(memo.get(u64::from(u32::MAX)), Some(Value::Unknown));
        assert_eq!(memo.get(0), None);
    }

    #[test]
    fn a_full_memo_says_so() {
        let mut memo = Memo::new(10_000);
        let full = (0..100_000).find(|index| memo.put(index * CHUNK_ENTRIES as u64, Value::Unknown).is_err());
        assert!(full.is_some());
    }
}
