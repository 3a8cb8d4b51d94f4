//! Unpacking in bounded memory, whatever the stream unpacks to.
//!
//! One pass counts the bytes, checks ratio and size, and keeps small content in memory. Large content becomes a source
//! that unpacks again on each read, from the start when a reader steps back behind its window. Readers go forward
//! nearly always, and the number of restarts is limited.

use super::OpenedEntry;
use super::codec::{Codec, StreamDecoder};
use crate::fact::{Fact, Unread};
use crate::io::bounds::archive::{MAX_DECODER_RESTARTS, MAX_LOOKBACK_BYTES};
use crate::io::budget::ScanBudget;
use crate::io::source::{Memory, SharedSource, Source};
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

/// What one pass over a packed stream says.
pub struct DecodePass {
    /// The content as far as it unpacks, with bombs and breaks.
    pub opened: OpenedEntry,
    /// How many bytes it unpacks to, as far as was read.
    pub length: u64,
    /// CRC-32 over these.
    pub crc32: u32,
    /// How many of the packed bytes were used.
    pub consumed: u64,
}

/// Something that unpacks, from the start, as often as needed.
pub trait RestartableDecoder: Send + Sync {
    /// Starts at the first byte.
    fn start(&self) -> Box<dyn DecodeStream>;
    /// The name of the method in messages.
    fn name(&self) -> &'static str;
    /// How many of these may live side by side without weighing on memory.
    fn max_cursors(&self) -> usize;
}

/// Unpacked bytes in order.
pub trait DecodeStream: Read + Send {
    /// How many packed bytes it took so far.
    fn consumed(&self) -> u64;
}

impl DecodeStream for StreamDecoder {
    fn consumed(&self) -> u64 {
        Self::consumed(self)
    }
}

/// A packed stream of one codec.
struct CodecDecoder {
    source: SharedSource,
    codec: Codec,
    memory: u64,
}

impl RestartableDecoder for CodecDecoder {
    fn start(&self) -> Box<dyn DecodeStream> {
        Box::new(StreamDecoder::new(self.source.clone(), self.codec, self.memory))
    }

    fn name(&self) -> &'static str {
        self.codec.name()
    }

    fn max_cursors(&self) -> usize {
        self.codec.max_decoders()
    }
}

/// Bytes unpacked at once.
const BLOCK_BYTES: usize = 64 << 10;

/// Unpacks `packed` once, within the bounds of `budget`.
pub fn decode(packed: &SharedSource, codec: Codec, budget: &ScanBudget) -> DecodePass {
    let memory = budget.limits.decoder_memory;
    decode_with(Arc::new(CodecDecoder { source: packed.clone(), codec, memory }), budget)
}

/// Unpacks once, within the bounds of `budget`.
pub fn decode_with(packed: Arc<dyn RestartableDecoder>, budget: &ScanBudget) -> DecodePass {
    let limits = &budget.limits;
    let mut unpacker = packed.start();
    let mut kept = Some(Vec::new());
    let mut block = vec![0; BLOCK_BYTES];
    let mut crc32 = crc32fast::Hasher::new();
    let mut length: u64 = 0;
    let mut facts = Vec::new();
    let unread = loop {
        if budget.expired() {
            break Some(Unread::Limit(format!("time ran out while unpacking {}", packed.name())));
        }
        let count = match unpacker.read(&mut block) {
            Ok(0) => break None,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => break Some(unread_reason(packed.name(), &error)),
        };
        let bytes = block.get(..count).unwrap_or_default();
        crc32.update(bytes);
        length += count as u64;
        if length > limits.member_memory as u64 {
            kept = None;
        }
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(bytes);
        }
        let consumed = unpacker.consumed().max(1);
        if length > limits.ratio_floor && length / consumed > limits.ratio {
            let what = format!("{consumed} packed bytes give {length} bytes and more");
            facts.push(Fact::Bomb { what: what.clone() });
            break Some(Unread::Limit(what));
        }
        if length > limits.member_bytes {
            break Some(Unread::Limit(format!("more than {} bytes unpacked", limits.member_bytes)));
        }
    };
    let source: SharedSource = match kept {
        Some(bytes) => Arc::new(Memory::new(bytes)),
        None => Arc::new(DecodedSource::new(packed, length, budget.clone())),
    };
    let source = (length > 0 || unread.is_none()).then_some(source);
    let opened = OpenedEntry { source, facts, unread };
    DecodePass { opened, length, crc32: crc32.finalize(), consumed: unpacker.consumed() }
}

fn unread_reason(name: &str, error: &io::Error) -> Unread {
    let text = format!("{name}: {error}");
    match error.kind() {
        io::ErrorKind::OutOfMemory => Unread::Limit(text),
        io::ErrorKind::Unsupported => Unread::Unsupported(text),
        _ => Unread::Broken(text),
    }
}

/// Large content, unpacked on each read.
pub struct DecodedSource {
    packed: Arc<dyn RestartableDecoder>,
    len: u64,
    budget: ScanBudget,
    state: Mutex<CursorPool>,
}

#[derive(Default)]
struct CursorPool {
    cursors: Vec<DecoderCursor>,
    restarts: u32,
    clock: u64,
}

/// A decoder on its way through the content, and the last bytes it gave.
struct DecoderCursor {
    unpacker: Box<dyn DecodeStream>,
    /// The last bytes before `next`; at most twice [`MAX_LOOKBACK_BYTES`], so that it is cut only now and then.
    tail: Vec<u8>,
    next: u64,
    used: u64,
}

impl DecodedSource {
    fn new(packed: Arc<dyn RestartableDecoder>, len: u64, budget: ScanBudget) -> Self {
        Self { packed, len, budget, state: Mutex::default() }
    }

    /// The cursor that reaches `at` with the least work: the furthest of those that have not passed it.
    fn seek<'a>(&self, state: &'a mut CursorPool, at: u64) -> io::Result<&'a mut DecoderCursor> {
        state.clock += 1;
        let reach = |cursor: &DecoderCursor| (cursor.first() <= at).then_some(cursor.next);
        let best = (0..state.cursors.len()).filter_map(|id| reach(state.cursors.get(id)?).map(|next| (next, id))).max();
        let id = match best {
            Some((_, id)) => id,
            None => {
                if state.restarts >= MAX_DECODER_RESTARTS {
                    return Err(io::Error::other("unpacked again too often"));
                }
                state.restarts += 1;
                if state.cursors.len() >= self.packed.max_cursors() {
                    let oldest = (0..state.cursors.len()).min_by_key(|id| state.cursors.get(*id).map(|c| c.used));
                    state.cursors.swap_remove(oldest.unwrap_or(0));
                }
                let unpacker = self.packed.start();
                state.cursors.push(DecoderCursor { unpacker, tail: Vec::new(), next: 0, used: 0 });
                state.cursors.len() - 1
            }
        };
        let clock = state.clock;
        let cursor = state.cursors.get_mut(id).ok_or_else(|| io::Error::other("no decoder"))?;
        cursor.used = clock;
        Ok(cursor)
    }
}

impl DecoderCursor {
    fn first(&self) -> u64 {
        self.next - self.tail.len() as u64
    }

    /// Unpacks one more block; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let old = self.tail.len();
        if old > MAX_LOOKBACK_BYTES {
            self.tail.drain(..old - MAX_LOOKBACK_BYTES);
        }
        let old = self.tail.len();
        self.tail.resize(old + BLOCK_BYTES, 0);
        let outcome = loop {
            match self.unpacker.read(self.tail.get_mut(old..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        let count = *outcome.as_ref().unwrap_or(&0);
        self.tail.truncate(old + count);
        self.next += count as u64;
        outcome.map(|count| count > 0)
    }

    fn copy(&self, at: u64, buf: &mut [u8]) -> usize {
        let Some(start) = at.checked_sub(self.first()).and_then(|start| usize::try_from(start).ok()) else {
            return 0;
        };
        let known = self.tail.get(start..).unwrap_or_default();
        let count = known.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), known.get(..count)) {
            to.copy_from_slice(from);
        }
        count
    }
}

impl Source for DecodedSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let asked = rest.min(buf.len());
        let mut state = self.state.lock().map_err(|_| io::Error::other("a reader of the same bytes failed"))?;
        let mut done = 0;
        while done < asked {
            let cursor = self.seek(&mut state, at + done as u64)?;
            let count = cursor.copy(at + done as u64, buf.get_mut(done..asked).unwrap_or_default());
            done += count;
            if count > 0 {
                continue;
            }
            if self.budget.expired() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "time ran out while unpacking"));
            }
            if !cursor.advance()? {
                break;
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::limits::Limits;
    use crate::io::source::read_vec;
    use std::io::Write;

    fn budget() -> ScanBudget {
        ScanBudget::start(Arc::new(Limits::default()))
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut state: u32 = 1;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(len)
        .collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    }

    fn decode_gzip(bytes: Vec<u8>) -> DecodePass {
        let packed: SharedSource = Arc::new(Memory::new(bytes));
        decode(&packed, Codec::Gzip, &budget())
    }

    #[test]
    fn gzip_members_in_a_row_are_one_content_and_the_rest_is_not_consumed() {
        let mut bytes = gzip(b"one ");
        bytes.extend(gzip(b"two"));
        let packed_len = bytes.len() as u64;
        bytes.extend_from_slice(b"rest");
        let decoding = decode_gzip(bytes);
        assert_eq!(decoding.opened.unread, None);
        assert_eq!(decoding.consumed, packed_len);
        let source = decoding.opened.source.expect("it unpacks");
        assert_eq!(read_vec(&*source, 0, 100).expect("memory reads"), b"one two");
        assert_eq!(decoding.crc32, crc32fast::hash(b"one two"));
    }

    #[test]
    fn a_large_content_reads_the_same_from_any_side() {
        let content = noise(6 << 20);
        let decoding = decode_gzip(gzip(&content));
        let source = decoding.opened.source.expect("it unpacks");
        assert_eq!(source.len(), content.len() as u64);
        for at in [6_000_000, 0, 5_000_000, 4_900_000, 1, 6 << 20, (6 << 20) - 3, 3_000_000] {
            let read = read_vec(&*source, at, 70_000).expect("it unpacks");
            let start = usize::try_from(at).expect("small");
            let end = (start + 70_000).min(content.len());
            assert!(read == content[start..end], "at {at}");
        }
    }

    #[test]
    fn stepping_back_too_often_is_an_error_not_a_hang() {
        let decoding = decode_gzip(gzip(&noise(5 << 20)));
        let source = decoding.opened.source.expect("it unpacks");
        let outcome = (0..2000).try_for_each(|turn| {
            let at = (turn * 2_654_435_761_u64) % 5_000_000;
            read_vec(&*source, at, 1).map(|_| ())
        });
        assert!(outcome.is_err());
    }

    #[test]
    fn a_bomb_is_stopped_and_said() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; 40 << 20]).expect("memory takes it");
        let decoding = decode_gzip(encoder.finish().expect("memory takes it"));
        assert!(matches!(decoding.opened.facts.as_slice(), [Fact::Bomb { .. }]));
        assert!(matches!(decoding.opened.unread, Some(Unread::Limit(_))));
        assert!(decoding.length < 12 << 20);
    }

    #[test]
    fn a_cut_stream_keeps_what_came_before() {
        let content = noise(50_000);
        let packed = gzip(&content);
        for len in (0..packed.len()).step_by(997) {
            let decoding = decode_gzip(packed[..len].to_vec());
            assert!(matches!(decoding.opened.unread, Some(Unread::Broken(_))), "cut at {len}");
            let start = decoding.opened.source.map(|s| read_vec(&*s, 0, 1 << 20).expect("memory reads"));
            assert!(content.starts_with(&start.unwrap_or_default()));
        }
    }
}
