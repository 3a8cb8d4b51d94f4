//! Bytes that stand in a pickle as a text: older protocols have no bytes, and write `_codecs.encode('...', 'latin1')`.
//!
//! A text of gigabytes is turned back as it is read: a mark for every block tells where in the text it starts.

use scanner::internal::pickle::text;
use scanner::internal::pickle::value::TextEncoding;
use scanner::source::{Memory, SharedSource, Source, read_vec};
use std::io;
use std::sync::Arc;

/// Texts of the encodings that are turned back in memory: only protocol 0 writes them.
const WHOLE: u32 = 32 << 20;
/// Bytes of a block.
const BLOCK: u64 = 16 << 10;

/// The bytes that a text stands for.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn bytes(source: &SharedSource, at: u64, len: u32, encoding: TextEncoding) -> io::Result<SharedSource> {
    let no_latin1 = || io::Error::new(io::ErrorKind::InvalidData, "a text that stands for bytes has other characters");
    match encoding {
        TextEncoding::Utf8 => Ok(Arc::new(Recoded::new(source.clone(), at, len.into())?)),
        _ if len > WHOLE => {
            let why = format!("an array of {len} bytes in a text of protocol 0; save it with a newer protocol");
            Err(io::Error::new(io::ErrorKind::InvalidData, why))
        }
        TextEncoding::Native => Ok(Arc::new(Memory::new(read_vec(source.as_ref(), at, len as usize)?))),
        TextEncoding::Quoted => {
            let line = read_vec(source.as_ref(), at, len as usize)?;
            Ok(Arc::new(Memory::new(text::unquote(&line).ok_or_else(no_latin1)?)))
        }
        TextEncoding::RawUnicodeEscape => {
            let line = read_vec(source.as_ref(), at, len as usize)?;
            let text = text::decode(encoding, &line).ok_or_else(no_latin1)?;
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            Ok(Arc::new(Memory::new(bytes.ok_or_else(no_latin1)?)))
        }
    }
}

/// UTF-8 of characters below 256, as these bytes.
struct Recoded {
    inner: SharedSource,
    at: u64,
    end: u64,
    len: u64,
    /// Where each block starts in the text.
    marks: Vec<u64>,
}

impl Recoded {
    fn new(inner: SharedSource, at: u64, text_len: u64) -> io::Result<Self> {
        let end = at.saturating_add(text_len).min(inner.len());
        let mut recoded = Self { inner, at, end, len: 0, marks: vec![at] };
        let mut from = at;
        while from < end {
            let (bytes, next) = recoded.decode(from, BLOCK)?;
            recoded.len += bytes.len() as u64;
            from = next;
            recoded.marks.push(from);
        }
        Ok(recoded)
    }

    /// Up to `count` bytes of the text that starts at `from`, and where the next one starts.
    fn decode(&self, from: u64, count: u64) -> io::Result<(Vec<u8>, u64)> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "a text that stands for bytes has other characters");
        let most = usize::try_from((self.end - from).min(count * 2)).unwrap_or(0);
        let text = read_vec(self.inner.as_ref(), from, most)?;
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
                // Half a character at the end of what was read stands whole in the next block.
                [0xc2 | 0xc3] if from + (text.len() as u64) < self.end => break,
                _ => return Err(broken()),
            }
        }
        Ok((bytes, from + used as u64))
    }
}

impl Source for Recoded {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() && at + (done as u64) < self.len {
            let here = at + done as u64;
            let block = usize::try_from(here / BLOCK).unwrap_or(usize::MAX);
            let (bytes, _) = self.decode(self.marks.get(block).copied().unwrap_or(self.at), BLOCK)?;
            let skip = usize::try_from(here % BLOCK).unwrap_or(0);
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

    fn recoded(text: &str) -> io::Result<Vec<u8>> {
        let padded = [b"pickle", text.as_bytes(), b"more"].concat();
        let source: SharedSource = Arc::new(Memory::new(padded));
        let bytes = bytes(&source, 6, u32::try_from(text.len()).expect("short"), TextEncoding::Utf8)?;
        read_vec(bytes.as_ref(), 0, usize::MAX)
    }

    #[test]
    fn a_text_is_turned_back_into_its_bytes() {
        let bytes: Vec<u8> = (0..200_000u32).map(|index| (index * 7 % 256) as u8).collect();
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        assert!(recoded(&text).expect("it is latin-1") == bytes);
        assert_eq!(recoded("").expect("nothing is fine"), b"");
    }

    #[test]
    fn any_place_can_be_read() {
        let bytes: Vec<u8> = (0..50_000u32).map(|index| (index * 11 % 256) as u8).collect();
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let source: SharedSource = Arc::new(Memory::new(text.into_bytes()));
        let recoded = super::bytes(&source, 0, u32::try_from(source.len()).expect("short"), TextEncoding::Utf8);
        let recoded = recoded.expect("it is latin-1");
        for at in [0, 1, 16_383, 16_384, 30_000, 49_999] {
            let found = read_vec(recoded.as_ref(), at as u64, 20_000).expect("it reads");
            assert!(found == bytes[at..(at + 20_000).min(bytes.len())], "at {at}");
        }
    }

    #[test]
    fn other_characters_are_refused() {
        assert!(recoded("a\u{100}").is_err());
        assert!(recoded("\u{20ac}").is_err());
    }
}
