//! Bytes to opcodes and arguments, under both readings that CPython's unpicklers have of a frame.
//!
//! *Transparent*: frames do not exist (`loads`, and files with `peek`). *Lossy*: an argument that crosses the end of a
//! frame drops the rest of the frame and is taken from after it (the C unpickler before 3.13.15 and 3.14.7, from files
//! without `peek`; cpython gh-154848). Both agree on every stream that CPython's pickler writes. The exact rules,
//! measured: `tests/python/agreement/NOTES.md`.

use super::opcode::Argument;
use crate::io::source::Source;

/// Small enough to stay in the caches of a core, large enough that reading it costs more than asking for it.
const BUFFER_BYTES: usize = 64 << 10;

/// Which of the two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameReading {
    /// Frames do not exist.
    Transparent,
    /// What is left of a frame is dropped where an argument crosses its end.
    Lossy,
}

/// An argument, decoded. Ranges are offsets in the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DecodedArgument {
    /// None.
    None,
    /// A number.
    Int(i64),
    /// An unsigned number of eight bytes.
    Long(u64),
    /// A double.
    Float(f64),
    /// Bytes at an offset.
    Data {
        /// Offset of the first.
        at: u64,
        /// How many.
        len: u64,
    },
    /// Two lines, without their ends.
    Lines {
        /// Offset and length of the first.
        first: (u64, u64),
        /// Offset and length of the second.
        second: (u64, u64),
    },
}

/// Why decoding cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The stream ends inside an opcode or before STOP.
    End,
    /// A negative or impossible length.
    Length,
    /// The source could not be read.
    Io(String),
}

/// Reads one stream.
pub struct OpcodeReader<'a> {
    source: &'a dyn Source,
    end: u64,
    buffer: Vec<u8>,
    base: u64,
    /// The next byte to interpret.
    pub pos: u64,
    frame_end: u64,
    reading: FrameReading,
    /// Where an argument first crossed the end of a frame.
    pub straddled: Option<u64>,
}

impl<'a> OpcodeReader<'a> {
    /// Starts at `start`.
    pub fn new(source: &'a dyn Source, start: u64, reading: FrameReading) -> Self {
        let end = source.len();
        Self { source, end, buffer: Vec::new(), base: start, pos: start, frame_end: start, reading, straddled: None }
    }

    /// Length of the source.
    pub fn end(&self) -> u64 {
        self.end
    }

    fn fill(&mut self, at: u64, want: usize) -> Result<(), DecodeError> {
        let have = self.base + self.buffer.len() as u64;
        if at >= self.base && at + want as u64 <= have {
            return Ok(());
        }
        let rest = usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX);
        // A short first read: most pickles are small, and a probe of a large one should not read much of it.
        let size = if self.buffer.is_empty() { BUFFER_BYTES / 4 } else { BUFFER_BYTES };
        self.buffer.resize(size.max(want).min(rest), 0);
        let got = self.source.read_at(at, &mut self.buffer).map_err(|error| DecodeError::Io(error.to_string()))?;
        self.buffer.truncate(got);
        self.base = at;
        if got < want { Err(DecodeError::End) } else { Ok(()) }
    }

    /// The next opcode byte.
    #[inline]
    pub fn opcode(&mut self) -> Result<u8, DecodeError> {
        let index = self.pos.wrapping_sub(self.base) as usize;
        if let Some(byte) = self.buffer.get(index) {
            self.pos += 1;
            return Ok(*byte);
        }
        let at = self.pos;
        self.fill(at, 1)?;
        self.pos += 1;
        self.buffer.first().copied().ok_or(DecodeError::End)
    }

    /// Takes `n` bytes by the rule of the reading; returns their offset.
    #[inline]
    fn take(&mut self, n: u64) -> Result<u64, DecodeError> {
        let end = self.pos.checked_add(n).ok_or(DecodeError::Length)?;
        let mut at = self.pos;
        if n > 0 && self.pos < self.frame_end && end > self.frame_end {
            self.straddled.get_or_insert(self.pos);
            if self.reading == FrameReading::Lossy {
                at = self.frame_end;
            }
        }
        let end = at.checked_add(n).ok_or(DecodeError::Length)?;
        if end > self.end {
            return Err(DecodeError::End);
        }
        self.pos = end;
        self.frame_end = self.frame_end.max(end);
        Ok(at)
    }

    /// Takes the data of bytes, which no version since 3.8 drops at the end of a frame.
    fn take_bytes(&mut self, n: u64) -> Result<u64, DecodeError> {
        let at = self.pos;
        let end = at.checked_add(n).ok_or(DecodeError::Length)?;
        if end > self.end {
            return Err(DecodeError::End);
        }
        if at < self.frame_end && end > self.frame_end {
            self.straddled.get_or_insert(at);
        }
        self.pos = end;
        self.frame_end = self.frame_end.max(end);
        Ok(at)
    }

    #[inline]
    fn number(&mut self, n: u8) -> Result<u64, DecodeError> {
        // Mostly eight bytes are there, of which the first `n` count, and no frame ends between them.
        let index = self.pos.wrapping_sub(self.base) as usize;
        let end = self.pos.wrapping_add(u64::from(n));
        if let Some(bytes) = self.buffer.get(index..).and_then(|rest| rest.first_chunk())
            && (end <= self.frame_end || self.pos >= self.frame_end)
        {
            self.pos = end;
            self.frame_end = self.frame_end.max(end);
            return Ok(u64::from_le_bytes(*bytes) & (u64::MAX >> (64 - 8 * u32::from(n.clamp(1, 8)))));
        }
        self.number_across(n)
    }

    #[cold]
    fn number_across(&mut self, n: u8) -> Result<u64, DecodeError> {
        let at = self.take(u64::from(n))?;
        self.fill(at, usize::from(n))?;
        let index = (at - self.base) as usize;
        let mut value = [0; 8];
        for (to, from) in value.iter_mut().zip(self.buffer.get(index..index + usize::from(n)).unwrap_or_default()) {
            *to = *from;
        }
        Ok(u64::from_le_bytes(value))
    }

    /// Takes a line; returns its range without the end.
    fn line(&mut self) -> Result<(u64, u64), DecodeError> {
        let mut newline = self.find_newline(self.pos)?;
        let mut at = self.pos;
        if self.pos < self.frame_end && newline >= self.frame_end {
            self.straddled.get_or_insert(self.pos);
            if self.reading == FrameReading::Lossy {
                at = self.frame_end;
                newline = self.find_newline(at)?;
            }
        }
        self.pos = newline + 1;
        self.frame_end = self.frame_end.max(self.pos);
        Ok((at, newline - at))
    }

    fn find_newline(&mut self, from: u64) -> Result<u64, DecodeError> {
        let mut at = from;
        loop {
            self.fill(at, 1)?;
            let index = (at - self.base) as usize;
            let rest = self.buffer.get(index..).unwrap_or_default();
            if let Some(found) = rest.iter().position(|byte| *byte == b'\n') {
                return Ok(at + found as u64);
            }
            at += rest.len() as u64;
        }
    }

    /// The text of an opcode whose length is in the `n` bytes before it.
    #[inline]
    pub fn sized_text(&mut self, n: u8) -> Result<(u64, u64), DecodeError> {
        let len = self.number(n)?;
        Ok((self.take(len)?, len))
    }

    /// The argument of an opcode. `is_bytes` says that its data is bytes and not text.
    pub fn argument(&mut self, argument: Argument, is_bytes: bool) -> Result<DecodedArgument, DecodeError> {
        Ok(match argument {
            Argument::None => DecodedArgument::None,
            Argument::Unsigned(8) => DecodedArgument::Long(self.number(8)?),
            Argument::Unsigned(n) => DecodedArgument::Int(self.number(n)? as i64),
            Argument::Signed4 => DecodedArgument::Int(i64::from(self.number(4)? as u32 as i32)),
            Argument::Float8 => DecodedArgument::Float(f64::from_bits(self.number(8)?.swap_bytes())),
            Argument::Line => {
                let (at, len) = self.line()?;
                DecodedArgument::Data { at, len }
            }
            Argument::TwoLines => DecodedArgument::Lines { first: self.line()?, second: self.line()? },
            Argument::Sized(n) => {
                let len = self.number(n)?;
                let at = if is_bytes { self.take_bytes(len)? } else { self.take(len)? };
                DecodedArgument::Data { at, len }
            }
            Argument::SignedSized4 => {
                let len = self.number(4)? as u32 as i32;
                let len = u64::try_from(len).map_err(|_| DecodeError::Length)?;
                DecodedArgument::Data { at: self.take(len)?, len }
            }
        })
    }

    /// Enters a frame of `n` bytes. `Err` where the reading refuses it.
    pub fn frame(&mut self, n: u64) -> Result<FrameAnomaly, DecodeError> {
        let end = self.pos.checked_add(n).ok_or(DecodeError::Length)?;
        if n == 0 || end <= self.frame_end {
            return Ok(if n == 0 { FrameAnomaly::Fine } else { FrameAnomaly::Nested });
        }
        let inside = self.pos < self.frame_end;
        if inside {
            self.straddled.get_or_insert(self.pos);
        }
        if self.reading == FrameReading::Lossy {
            self.pos = self.pos.max(self.frame_end);
            self.frame_end = self.pos.checked_add(n).filter(|border| *border <= self.end).ok_or(DecodeError::End)?;
        } else {
            self.frame_end = end.min(self.end);
        }
        Ok(match (inside, end > self.end) {
            (_, true) => FrameAnomaly::PastTheEnd,
            (true, _) => FrameAnomaly::Nested,
            _ => FrameAnomaly::Fine,
        })
    }

    /// Up to `n` bytes at `at`.
    pub fn peek(&mut self, at: u64, n: usize) -> Result<&[u8], DecodeError> {
        self.fill(at, n)?;
        let index = (at - self.base) as usize;
        Ok(self.buffer.get(index..index + n).unwrap_or_default())
    }

    /// Those bytes, where they are in the buffer.
    pub fn buffered(&self, at: u64, len: usize) -> Option<&[u8]> {
        let index = usize::try_from(at.checked_sub(self.base)?).ok()?;
        self.buffer.get(index..index.checked_add(len)?)
    }

    /// Copies bytes of the source, at most `max` of them.
    pub fn bytes(&mut self, at: u64, len: u64, max: usize) -> Vec<u8> {
        let want = usize::try_from(len).unwrap_or(usize::MAX).min(max);
        if let Some(bytes) = self.buffered(at, want) {
            return bytes.to_vec();
        }
        crate::io::source::read_vec(self.source, at, want).unwrap_or_default()
    }
}

/// Anomalies of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameAnomaly {
    /// Nothing.
    Fine,
    /// It starts inside another frame.
    Nested,
    /// It is longer than the file.
    PastTheEnd,
}
