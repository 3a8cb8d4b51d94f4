//! Bytes that a pickle stores as text: protocols before 3 have no bytes and write `_codecs.encode('...', 'latin1')`.
//!
//! Texts reach gigabytes, so they are decoded while they are read. An index of block starts allows reads at any offset.

use crate::bounds::MAX_DECODED_TEXT_BYTES;
use scanner::internal::pickle::text;
use scanner::internal::pickle::value::TextEncoding;
use scanner::source::{Memory, SharedSource, Source, read_vec};
use std::io;
use std::sync::Arc;

/// Decoded bytes of a block: each read decodes whole blocks.
const BLOCK_BYTES: u64 = 16 << 10;

/// Why a text does not give bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextError {
    /// It has a character above U+00FF.
    NotLatin1,
    /// A text of protocol 0 that is too long to be decoded in memory.
    TooLong {
        /// Bytes of the text.
        len: u32,
    },
    /// It cannot be read; the message of the operating system.
    Unreadable(String),
}

impl std::fmt::Display for TextError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotLatin1 => f.write_str("a text that stands for bytes has other characters"),
            Self::TooLong { len } => {
                write!(f, "an array of {len} bytes in a text of protocol 0; save it with a newer protocol")
            }
            Self::Unreadable(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for TextError {}

impl From<io::Error> for TextError {
    fn from(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>());
        inner.cloned().unwrap_or_else(|| Self::Unreadable(error.to_string()))
    }
}

/// A source of the bytes that the text of `len` bytes at `at` stands for.
///
/// # Errors
/// When the text is not latin-1, too long or unreadable.
pub(crate) fn decode(
    source: &SharedSource,
    at: u64,
    len: u32,
    encoding: TextEncoding,
) -> Result<SharedSource, TextError> {
    match encoding {
        TextEncoding::Utf8 => Ok(Arc::new(Latin1Source::new(source.clone(), at, len.into())?)),
        TextEncoding::Native | TextEncoding::Quoted | TextEncoding::RawUnicodeEscape
            if len > MAX_DECODED_TEXT_BYTES =>
        {
            Err(TextError::TooLong { len })
        }
        TextEncoding::Native => Ok(Arc::new(Memory::new(read_vec(source.as_ref(), at, len as usize)?))),
        TextEncoding::Quoted => {
            let line = read_vec(source.as_ref(), at, len as usize)?;
            Ok(Arc::new(Memory::new(text::unquote(&line).ok_or(TextError::NotLatin1)?)))
        }
        TextEncoding::RawUnicodeEscape => {
            let line = read_vec(source.as_ref(), at, len as usize)?;
            let text = text::decode(encoding, &line).ok_or(TextError::NotLatin1)?;
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            Ok(Arc::new(Memory::new(bytes.ok_or(TextError::NotLatin1)?)))
        }
    }
}

/// UTF-8 text of characters up to U+00FF, read as one byte a character.
struct Latin1Source {
    inner: SharedSource,
    /// First byte of the text, and the byte behind its last one.
    start: u64,
    end: u64,
    /// Decoded bytes.
    len: u64,
    /// Offset of each block in the text.
    block_starts: Vec<u64>,
}

impl Latin1Source {
    fn new(inner: SharedSource, start: u64, text_len: u64) -> io::Result<Self> {
        let end = start.saturating_add(text_len).min(inner.len());
        let mut source = Self { inner, start, end, len: 0, block_starts: vec![start] };
        let mut from = start;
        while from < end {
            let (bytes, next) = source.decode(from, BLOCK_BYTES)?;
            source.len += bytes.len() as u64;
            from = next;
            source.block_starts.push(from);
        }
        Ok(source)
    }

    /// Decodes up to `count` bytes from offset `from` of the text on. Also returns the offset of the next character.
    fn decode(&self, from: u64, count: u64) -> io::Result<(Vec<u8>, u64)> {
        let not_latin1 = || io::Error::new(io::ErrorKind::InvalidData, TextError::NotLatin1);
        let max = usize::try_from((self.end - from).min(count * 2)).unwrap_or(0);
        let text = read_vec(self.inner.as_ref(), from, max)?;
        let (mut bytes, mut used) = (Vec::with_capacity(text.len()), 0);
        while (bytes.len() as u64) < count {
            match text.get(used..).unwrap_or_default() {
                [byte @ 0..0x80, ..] => {
                    bytes.push(*byte);
                    used += 1;
                }
                [first @ (0xc2 | 0xc3), second @ 0x80..0xc0, ..] => {
                    bytes.push((first & 3) << 6 | (second & 0x3f));
                    used += 2;
                }
                [] => break,
                // The rest of this character is behind the bytes that were read: it starts the next block.
                [0xc2 | 0xc3] if from + (text.len() as u64) < self.end => break,
                _ => return Err(not_latin1()),
            }
        }
        Ok((bytes, from + used as u64))
    }
}

impl Source for Latin1Source {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() && at + (done as u64) < self.len {
            let here = at + done as u64;
            let block = usize::try_from(here / BLOCK_BYTES).unwrap_or(usize::MAX);
            let (bytes, _) = self.decode(self.block_starts.get(block).copied().unwrap_or(self.start), BLOCK_BYTES)?;
            let skip = usize::try_from(here % BLOCK_BYTES).unwrap_or(0);
            let found = bytes.get(skip..).unwrap_or_default();
            let count = found.len().min(buf.len() - done);
            let (Some(to), Some(from)) = (buf.get_mut(done..done + count), found.get(..count)) else { break };
            if count == 0 {
                break;
            }
            to.copy_from_slice(from);
            done += count;
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> io::Result<Vec<u8>> {
        let padded = [b"pickle", text.as_bytes(), b"more"].concat();
        let source: SharedSource = Arc::new(Memory::new(padded));
        let len = u32::try_from(text.len()).expect("short");
        let bytes = decode(&source, 6, len, TextEncoding::Utf8).map_err(io::Error::other)?;
        read_vec(bytes.as_ref(), 0, usize::MAX)
    }

    #[test]
    fn a_text_is_decoded_to_its_bytes() {
        let bytes: Vec<u8> = (0..200_000u32).map(|index| (index * 7 % 256) as u8).collect();
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        assert!(decoded(&text).expect("it is latin-1") == bytes);
        assert_eq!(decoded("").expect("nothing is fine"), b"");
    }

    #[test]
    fn any_offset_can_be_read() {
        let bytes: Vec<u8> = (0..50_000u32).map(|index| (index * 11 % 256) as u8).collect();
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let source: SharedSource = Arc::new(Memory::new(text.into_bytes()));
        let decoded = super::decode(&source, 0, u32::try_from(source.len()).expect("short"), TextEncoding::Utf8);
        let decoded = decoded.expect("it is latin-1");
        for at in [0, 1, 16_383, 16_384, 30_000, 49_999] {
            let found = read_vec(decoded.as_ref(), at as u64, 20_000).expect("it reads");
            assert!(found == bytes[at..(at + 20_000).min(bytes.len())], "at {at}");
        }
    }

    #[test]
    fn other_characters_are_refused() {
        assert!(decoded("a\u{100}").is_err());
        assert!(decoded("\u{20ac}").is_err());
    }
}
