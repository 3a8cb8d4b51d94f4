//! Compression methods behind one kind of reader: packed bytes with random access in, unpacked bytes in order out.
//!
//! Every decoder stops where its stream stops, and its position in the packed bytes is then exact. After it comes the
//! next stream (gzip, bzip2, xz, zstd and lz4 files are streams in a row), or bytes that readers ignore. Decoders that
//! need more memory than the limit are refused before they allocate.

use crate::io::bounds::archive::MAX_STREAMS_IN_A_ROW;
use crate::io::source::{SharedSource, read_vec};
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A compression method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Raw deflate, as in zip.
    Deflate,
    /// Deflate64, as in zip.
    Deflate64,
    /// Deflate with the zlib header.
    Zlib,
    /// Gzip members in a row.
    Gzip,
    /// Bzip2 streams in a row.
    Bzip2,
    /// LZMA with the header of zip; the length is needed where the stream has no end mark.
    ZipLzma(Option<u64>),
    /// LZMA with the header of the old `.lzma` files.
    LzmaAlone,
    /// Xz streams in a row.
    Xz,
    /// Zstandard frames in a row.
    Zstd,
    /// Lz4 frames in a row, of the present or the legacy kind.
    Lz4,
}

impl Codec {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deflate => "deflate",
            Self::Deflate64 => "deflate64",
            Self::Zlib => "zlib",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::ZipLzma(_) | Self::LzmaAlone => "lzma",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }

    /// How many decoders of this kind may live side by side without weighing on memory.
    pub(super) fn max_decoders(self) -> usize {
        match self {
            Self::Deflate | Self::Deflate64 | Self::Zlib | Self::Gzip => 3,
            Self::Bzip2 | Self::ZipLzma(_) | Self::LzmaAlone | Self::Xz | Self::Zstd | Self::Lz4 => 1,
        }
    }

    /// Whether another stream of this kind starts with `head`; `None` for methods that have but one stream.
    fn is_next_stream(self, head: &[u8]) -> Option<bool> {
        match self {
            Self::Gzip => Some(head.starts_with(b"\x1f\x8b")),
            Self::Bzip2 => Some(head.starts_with(b"BZh")),
            Self::Xz => Some(head.starts_with(b"\xfd7zXZ\0")),
            Self::Zstd => Some(head.starts_with(b"\x28\xb5\x2f\xfd")),
            Self::Lz4 => Some(head.starts_with(b"\x04\x22\x4d\x18") || head.starts_with(b"\x02\x21\x4c\x18")),
            Self::Deflate | Self::Deflate64 | Self::Zlib | Self::ZipLzma(_) | Self::LzmaAlone => None,
        }
    }

    /// Whether frames of other data may be between the streams.
    fn has_skippable_frames(self) -> bool {
        matches!(self, Self::Zstd | Self::Lz4)
    }
}

/// The unpacked bytes in order; `memory` bounds dictionaries and windows.
pub fn reader(packed: SharedSource, codec: Codec, memory: u64) -> impl Read + Send {
    StreamDecoder::new(packed, codec, memory)
}

/// Unpacks one stream, or all the streams in a row.
pub(super) struct StreamDecoder {
    codec: Codec,
    packed: SharedSource,
    position: Arc<AtomicU64>,
    current: Option<Box<dyn SingleStream>>,
    streams: u64,
    /// Where the current stream started.
    started: u64,
    memory: u64,
}

impl StreamDecoder {
    /// Starts at the first packed byte; `memory` bounds dictionaries and windows.
    pub(super) fn new(packed: SharedSource, codec: Codec, memory: u64) -> Self {
        Self { codec, packed, position: Arc::default(), current: None, streams: 0, started: 0, memory }
    }

    /// How many of the packed bytes belong to what was unpacked so far.
    pub(super) fn consumed(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    fn open(&mut self) -> io::Result<Option<Box<dyn SingleStream>>> {
        if self.streams > 0 && !self.find_next()? {
            return Ok(None);
        }
        if self.streams == 0 && self.codec.has_skippable_frames() {
            self.skip_frames()?;
        }
        self.streams += 1;
        if self.streams > MAX_STREAMS_IN_A_ROW {
            return Err(io::Error::other(format!("more than {MAX_STREAMS_IN_A_ROW} streams in a row")));
        }
        self.started = self.consumed();
        let packed = PackedReader::new(self.packed.clone(), self.position.clone());
        open_stream(packed, self.codec, self.memory).map(Some)
    }

    fn find_next(&mut self) -> io::Result<bool> {
        if self.codec.has_skippable_frames() {
            self.skip_frames()?;
        }
        let start = self.consumed();
        let mut at = start;
        // Gzip and xz files may be padded with zeros between and behind the streams.
        if matches!(self.codec, Codec::Gzip | Codec::Xz) {
            loop {
                let block = read_vec(&*self.packed, at, 4096)?;
                let zeros = block.iter().take_while(|byte| **byte == 0).count();
                at += zeros as u64;
                if zeros < block.len() || block.is_empty() {
                    break;
                }
            }
        }
        let head = read_vec(&*self.packed, at, 6)?;
        let found = self.codec.is_next_stream(&head).unwrap_or(false);
        if found || (head.is_empty() && at > start) {
            self.position.store(at, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// The decoder of lz4 frames takes the end of the packed bytes for the end of the frame: looks for the end mark,
    /// which a legacy frame does not have.
    fn check_lz4_end(&self) -> io::Result<()> {
        let end = self.consumed();
        if self.codec != Codec::Lz4 || end < self.packed.len() {
            return Ok(());
        }
        let head = read_vec(&*self.packed, self.started, 5)?;
        let &[4, 0x22, 0x4d, 0x18, flags] = head.as_slice() else { return Ok(()) };
        let checksum = if flags & 4 == 0 { 0 } else { 4 };
        let mark = read_vec(&*self.packed, end.saturating_sub(4 + checksum), 4)?;
        if mark != [0; 4] || end < self.started + 11 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the frame does not end"));
        }
        Ok(())
    }

    /// Steps over frames `50..5F 2A 4D 18` with their length.
    fn skip_frames(&mut self) -> io::Result<()> {
        loop {
            let at = self.consumed();
            let head = read_vec(&*self.packed, at, 8)?;
            let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d] = head.as_slice() else {
                return Ok(());
            };
            let length = u64::from(u32::from_le_bytes([*a, *b, *c, *d])) + 8;
            if length > self.packed.len().saturating_sub(at) {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a skippable frame runs over the end"));
            }
            self.position.store(at + length, Ordering::Relaxed);
        }
    }
}

impl Read for StreamDecoder {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if self.current.is_none() {
                self.current = self.open()?;
            }
            let Some(current) = &mut self.current else {
                return Ok(0);
            };
            let count = current.read(buf)?;
            if count > 0 {
                return Ok(count);
            }
            if let Some(ended) = self.current.take() {
                self.position.fetch_sub(ended.unused(), Ordering::Relaxed);
                self.check_lz4_end()?;
            }
        }
    }
}

/// A decoder that can say how much it read ahead.
trait SingleStream: Read + Send {
    fn unused(self: Box<Self>) -> u64;
}

/// A decoder that reads nothing ahead.
struct WithoutReadAhead<R>(R);

impl<R: Read> Read for WithoutReadAhead<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R: Read + Send> SingleStream for WithoutReadAhead<R> {
    fn unused(self: Box<Self>) -> u64 {
        0
    }
}

impl SingleStream for lzma_rust2::LzmaReader<PackedReader> {
    fn unused(self: Box<Self>) -> u64 {
        self.into_parts().1.len() as u64
    }
}

fn open_stream(mut packed: PackedReader, codec: Codec, memory: u64) -> io::Result<Box<dyn SingleStream>> {
    let kibibytes = u32::try_from(memory >> 10).unwrap_or(u32::MAX);
    Ok(match codec {
        Codec::Deflate => Box::new(WithoutReadAhead(Inflate::new(packed, false))),
        Codec::Zlib => Box::new(WithoutReadAhead(Inflate::new(packed, true))),
        Codec::Deflate64 => Box::new(WithoutReadAhead(deflate64::Deflate64Decoder::with_buffer(packed))),
        Codec::Gzip => Box::new(WithoutReadAhead(flate2::bufread::GzDecoder::new(packed))),
        Codec::Bzip2 => Box::new(WithoutReadAhead(bzip2::bufread::BzDecoder::new(packed))),
        Codec::LzmaAlone => {
            let mut reader = lzma_rust2::LzmaReader::new_mem_limit(packed, kibibytes, None)?;
            reader.set_defer_errors(true);
            Box::new(reader)
        }
        Codec::ZipLzma(length) => {
            let mut head = [0; 9];
            packed.read_exact(&mut head)?;
            let [_, _, size_low, size_high, properties, a, b, c, d] = head;
            let dictionary = u32::from_le_bytes([a, b, c, d]);
            if u16::from_le_bytes([size_low, size_high]) != 5 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "lzma properties are not five bytes"));
            }
            if u64::from(dictionary) > memory {
                return Err(too_large("the lzma dictionary", u64::from(dictionary)));
            }
            let length = length.unwrap_or(u64::MAX);
            let mut reader = lzma_rust2::LzmaReader::new_with_props(packed, length, properties, dictionary, None)?;
            reader.set_defer_errors(true);
            Box::new(reader)
        }
        Codec::Xz => Box::new(WithoutReadAhead(lzma_rust2::XzReader::new_mem_limit(packed, false, kibibytes))),
        Codec::Zstd => Box::new(WithoutReadAhead(
            ruzstd::decoding::StreamingDecoder::new_with_max_window_size(packed, memory).map_err(|error| {
                let text = error.to_string();
                if text.to_ascii_lowercase().contains("window") {
                    too_large("the zstd window", 0)
                } else {
                    invalid(text)
                }
            })?,
        )),
        Codec::Lz4 => Box::new(WithoutReadAhead(lz4_flex::frame::FrameDecoder::new(packed))),
    })
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn too_large(what: &str, bytes: u64) -> io::Error {
    let text =
        if bytes == 0 { format!("{what} is too large") } else { format!("{what} of {bytes} bytes is too large") };
    io::Error::new(io::ErrorKind::OutOfMemory, text)
}

/// Deflate, raw or with the zlib header. Ends only where the stream ends: flate2's own readers take the end of the
/// packed bytes for it.
struct Inflate {
    packed: PackedReader,
    state: flate2::Decompress,
    ended: bool,
}

impl Inflate {
    fn new(packed: PackedReader, header: bool) -> Self {
        Self { packed, state: flate2::Decompress::new(header), ended: false }
    }
}

impl Read for Inflate {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !self.ended {
            let input = self.packed.fill_buf()?;
            let exhausted = input.is_empty();
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            let outcome = self.state.decompress(input, buf, flate2::FlushDecompress::None);
            let taken = self.state.total_in() - before_in;
            let count = usize::try_from(self.state.total_out() - before_out).unwrap_or(0);
            self.packed.consume(usize::try_from(taken).unwrap_or(0));
            self.ended = outcome.map_err(io::Error::from)? == flate2::Status::StreamEnd;
            if count > 0 {
                return Ok(count);
            }
            if !self.ended && (exhausted || taken == 0) {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream does not end"));
            }
        }
        Ok(0)
    }
}

/// The packed bytes as a buffered reader whose position is shared with the one who asks how far it got.
pub(super) struct PackedReader {
    source: SharedSource,
    position: Arc<AtomicU64>,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl PackedReader {
    const BLOCK: usize = 32 << 10;

    fn new(source: SharedSource, position: Arc<AtomicU64>) -> Self {
        Self { source, position, buffer: Vec::new(), from: 0, to: 0 }
    }
}

impl BufRead for PackedReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.from >= self.to {
            let at = self.position.load(Ordering::Relaxed);
            let rest = usize::try_from(self.source.len().saturating_sub(at)).unwrap_or(usize::MAX);
            self.buffer.resize(rest.min(Self::BLOCK), 0);
            self.from = 0;
            self.to = self.source.read_at(at, &mut self.buffer)?.min(self.buffer.len());
        }
        Ok(self.buffer.get(self.from..self.to).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.to.saturating_sub(self.from));
        self.from += count;
        self.position.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl Read for PackedReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}
