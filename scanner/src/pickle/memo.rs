//! The memo: index to value, small enough for pickles of tens of millions of memoized texts.
//!
//! CPython's own pickler memoizes every text and container in order, so neighbouring entries lie close together in the
//! stream. Entries are kept in chunks of 64: a chunk holds 4 bytes an entry while the values fit (a text no longer than
//! 255 bytes within 64 KiB of its chunk's first one), and whole values otherwise. The index is only a key: a huge one
//! allocates one chunk, not an array (CPython grew an array, catalogue 1.5 row 20).

use super::value::{Encoding, Kind, Value};
use std::collections::HashMap;

const CHUNK: usize = 64;

enum Chunk {
    Narrow { base: u64, slots: [u32; CHUNK] },
    Wide(Box<[Option<Value>; CHUNK]>),
}

/// The memo of one stream.
#[derive(Default)]
pub struct Memo {
    chunks: HashMap<u64, Box<Chunk>, std::hash::BuildHasherDefault<Spread>>,
    entries: u64,
    bytes: usize,
    limit: usize,
}

/// Multiplicative hashing of chunk numbers: they are small and dense, and an attacker gains nothing by collisions
/// among at most a million of them.
#[derive(Default)]
pub struct Spread(u64);

impl std::hash::Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (value ^ (value >> 32))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(20);
    }
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
        let delta = u32::try_from(at.checked_sub(base)?)
            .ok()
            .filter(|delta| *delta < 1 << 16)?;
        (len < 1 << 8).then_some(tag | len << 4 | delta << 12)
    };
    match value {
        Value::Text {
            encoding: Encoding::Utf8,
            len,
            at,
        } => range(TEXT, at, len),
        Value::Text {
            encoding: Encoding::Native,
            len,
            at,
        } => range(NATIVE, at, len),
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
        TEXT => Value::Text {
            encoding: Encoding::Utf8,
            len,
            at,
        },
        NATIVE => Value::Text {
            encoding: Encoding::Native,
            len,
            at,
        },
        BYTES => Value::Bytes { len, at },
        NODE => Value::Node(number),
        OPAQUE => Value::Opaque(match number {
            0 => Kind::Tuple,
            1 => Kind::List,
            2 => Kind::Dict,
            3 => Kind::Set,
            _ => Kind::FrozenSet,
        }),
        GLOBAL => Value::Global(number),
        INSTANCE => Value::Instance(number),
        UNKNOWN => Value::Unknown,
        _ => return None,
    })
}

fn place(value: Value) -> Option<u64> {
    match value {
        Value::Text { at, .. } | Value::Bytes { at, .. } => Some(at),
        _ => None,
    }
}

impl Memo {
    /// An empty memo of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// How many entries there are: the index that MEMOIZE uses next.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// The value at an index.
    pub fn get(&self, index: u64) -> Option<Value> {
        let slot = (index % CHUNK as u64) as usize;
        match self.chunks.get(&(index / CHUNK as u64))?.as_ref() {
            Chunk::Narrow { base, slots } => unpack(*slots.get(slot)?, *base),
            Chunk::Wide(values) => *values.get(slot)?,
        }
    }

    /// Sets the value at an index. `Err` when the memo is full; `Ok(true)` when an entry was overwritten.
    pub fn put(&mut self, index: u64, value: Value) -> Result<bool, Full> {
        let key = index / CHUNK as u64;
        let slot = (index % CHUNK as u64) as usize;
        let chunk = match self.chunks.get_mut(&key) {
            Some(chunk) => chunk,
            None => {
                self.bytes += size_of::<Chunk>() + 32;
                if self.bytes > self.limit {
                    return Err(Full);
                }
                let slots = [0; CHUNK];
                self.chunks.entry(key).or_insert_with(|| {
                    Box::new(Chunk::Narrow {
                        base: u64::MAX,
                        slots,
                    })
                })
            }
        };
        if let Chunk::Narrow { base, slots } = chunk.as_mut() {
            // The first text of a chunk sets its base.
            if *base == u64::MAX {
                *base = place(value).unwrap_or(u64::MAX);
            }
            match (pack(value, *base), slots.get_mut(slot)) {
                (Some(packed), Some(to)) => {
                    let before = std::mem::replace(to, packed);
                    self.entries += u64::from(before == 0);
                    return Ok(before != 0);
                }
                _ => {
                    self.bytes += CHUNK * size_of::<Option<Value>>();
                    if self.bytes > self.limit {
                        return Err(Full);
                    }
                    let base = *base;
                    let mut values = [None; CHUNK];
                    for (to, from) in values.iter_mut().zip(slots.iter()) {
                        *to = unpack(*from, base);
                    }
                    **chunk = Chunk::Wide(Box::new(values));
                }
            }
        }
        let Chunk::Wide(values) = chunk.as_mut() else {
            return Ok(false);
        };
        let before = values.get_mut(slot).and_then(|to| to.replace(value));
        self.entries += u64::from(before.is_none());
        Ok(before.is_some())
    }
}

/// The memo is full.
#[derive(Debug)]
pub struct Full;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_went_in() {
        let mut memo = Memo::new(1 << 20);
        let values = [
            Value::Text {
                encoding: Encoding::Utf8,
                len: 5,
                at: 100,
            },
            Value::Text {
                encoding: Encoding::Native,
                len: 255,
                at: 70,
            },
            Value::Text {
                encoding: Encoding::Utf8,
                len: 300,
                at: 5_000_000,
            },
            Value::Opaque(Kind::Set),
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
        assert_eq!(memo.get(63), None);
        assert!(memo.put(0, Value::Unknown).expect("not full"));
        assert_eq!(memo.len(), values.len() as u64);
    }

    #[test]
    fn a_huge_index_takes_one_chunk() {
        let mut memo = Memo::new(4096);
        memo.put(u64::from(u32::MAX), Value::Unknown)
            .expect("not full");
        assert_eq!(memo.get(u64::from(u32::MAX)), Some(Value::Unknown));
        assert_eq!(memo.get(0), None);
    }

    #[test]
    fn a_full_memo_says_so() {
        let mut memo = Memo::new(10_000);
        let full = (0..100_000).find(|index| memo.put(index * 64, Value::Unknown).is_err());
        assert!(full.is_some());
    }
}
