//! Single compressed streams: the unpacked content is their one member.
//!
//! joblib writes pickles through all of these; model hubs and R use gzip. Readers ignore bytes after the stream, so
//! that is a place to hide something: the bytes are stated and examined.

use super::{Format, Head, Recognition};
use crate::archive::OpenedEntry;
use crate::archive::codec::Codec;
use crate::archive::decoded::decode;
use crate::fact::Fact;
use crate::io::artifact::{Artifact, Role};
use crate::io::bounds::format::MAX_SKIPPABLE_FRAMES;
use crate::io::source::{SharedSource, Window, read_vec};
use crate::observe::format_info::{Container, FormatInfo, Library, TensorStore};
use crate::observe::observations::Observations;
use std::io::Read;
use std::sync::Arc;

/// Gzip members in a row.
pub struct Gzip;
/// Bzip2 streams in a row.
pub struct Bzip2;
/// Xz streams in a row.
pub struct Xz;
/// The old `.lzma` files.
pub struct Lzma;
/// A bare zlib stream, as joblib writes it.
pub struct Zlib;
/// Zstandard frames in a row.
pub struct Zstd;
/// Lz4 frames in a row, legacy ones too.
pub struct Lz4;
/// The prefix `ZF` with a length, then zlib: what joblib wrote before 0.10 and still reads.
pub struct JoblibZf;

/// Unwraps one stream that starts at `at`.
fn add_content(artifact: &Artifact, at: u64, codec: Codec, name: &str, observations: &mut Observations) -> Option<u64> {
    let rest = artifact.source.len().saturating_sub(at);
    let packed: SharedSource = Arc::new(Window::new(artifact.source.clone(), at, rest));
    let decoding = decode(&packed, codec, &artifact.budget);
    let OpenedEntry { source, facts, unread } = decoding.opened;
    let is_complete = unread.is_none();
    observations.facts.extend(facts.into_iter().map(|fact| (None, fact)));
    observations.unread.extend(unread.map(|why| (Some(at), why)));
    if let Some(source) = source {
        observations.member(format!("({name})"), source, Role::Unknown);
    }
    let end = at.saturating_add(decoding.consumed);
    let length = artifact.source.len().saturating_sub(end);
    if is_complete && length > 0 {
        observations.fact(end, Fact::TrailingData { length, what: format!("bytes behind the {name} stream") });
        observations.member("(trailing)", Arc::new(Window::new(artifact.source.clone(), end, length)), Role::Unknown);
    }
    is_complete.then_some(decoding.length)
}

macro_rules! stream {
    ($type:ty, $info:ident, $codec:expr, $recognize:expr) => {
        impl Format for $type {
            fn info(&self) -> &'static FormatInfo {
                &$info
            }

            fn recognize(&self, head: &Head<'_>) -> Recognition {
                let recognize: fn(&Head<'_>) -> Recognition = $recognize;
                recognize(head)
            }

            fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
                add_content(artifact, 0, $codec, $info.id, observations);
            }
        }
    };
}

const fn stream_info(id: &'static str, name: &'static str, extensions: &'static [&'static str]) -> FormatInfo {
    FormatInfo {
        id,
        name,
        extensions,
        tensors: Some(TensorStore::Compressed),
        doc_read: "what is compressed, and bytes behind it",
        doc_judged: "what is compressed",
        doc_converted: "a pickle or .npy in it",
        ..FormatInfo::ARCHIVE
    }
}

static GZIP: FormatInfo = stream_info("gzip", "gzip stream", &["gz"]);
static BZIP2: FormatInfo = stream_info("bzip2", "bzip2 stream", &["bz2"]);
static XZ: FormatInfo = stream_info("xz", "xz stream", &["xz"]);
static LZMA: FormatInfo = stream_info("lzma", "lzma stream", &["lzma"]);
static ZLIB: FormatInfo = stream_info("zlib", "zlib stream", &["z"]);
static ZSTD: FormatInfo = stream_info("zstd", "Zstandard stream", &["zst"]);
static LZ4: FormatInfo = stream_info("lz4", "lz4 stream", &["lz4"]);
/// Only joblib reads it, and always as a pickle: that makes it no archive.
static JOBLIB_ZF: FormatInfo = FormatInfo {
    container: Container::No,
    library: Library::Pickle,
    ..stream_info("joblib-zf", "joblib before 0.10 (ZF, then zlib)", &["joblib", "pkl"])
};

fn certain(is: bool) -> Recognition {
    if is { Recognition::Certain } else { Recognition::No }
}

stream!(Gzip, GZIP, Codec::Gzip, |head| certain(head.start.starts_with(b"\x1f\x8b\x08")));
stream!(Bzip2, BZIP2, Codec::Bzip2, |head| certain(matches!(
    head.start,
    [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..]
)));
stream!(Xz, XZ, Codec::Xz, |head| certain(head.start.starts_with(b"\xfd7zXZ\0")));
stream!(Lzma, LZMA, Codec::LzmaAlone, recognize_lzma);
stream!(Zlib, ZLIB, Codec::Zlib, recognize_zlib);
stream!(Zstd, ZSTD, Codec::Zstd, |head| certain(starts_frame(head.start, b"\x28\xb5\x2f\xfd", head)));
stream!(Lz4, LZ4, Codec::Lz4, |head| certain(
    starts_frame(head.start, b"\x04\x22\x4d\x18", head) || head.start.starts_with(b"\x02\x21\x4c\x18")
));

/// Whether a frame with this magic number is at the start, or after skippable frames.
fn starts_frame(start: &[u8], magic: &[u8], head: &Head<'_>) -> bool {
    if start.starts_with(magic) {
        return true;
    }
    let mut at: u64 = 0;
    for _ in 0..MAX_SKIPPABLE_FRAMES {
        let Ok(frame) = read_vec(&*head.artifact.source, at, 8) else { return false };
        let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d] = *frame.as_slice() else { return frame.starts_with(magic) };
        at = at.saturating_add(8).saturating_add(u64::from(u32::from_le_bytes([a, b, c, d])));
    }
    false
}

/// The header has no magic number: properties, a dictionary of 2^n or 2^n + 2^(n-1) bytes, a length or none.
fn recognize_lzma(head: &Head<'_>) -> Recognition {
    let &[properties, d0, d1, d2, d3, l0, l1, l2, l3, l4, l5, l6, l7, first, ..] = head.start else {
        return Recognition::No;
    };
    let dictionary = u32::from_le_bytes([d0, d1, d2, d3]);
    let length = u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
    let usual = dictionary == u32::MAX || (dictionary >= 4096 && dictionary.count_ones() <= 2);
    // The range coder starts with a zero.
    let is = properties < 225 && usual && (length == u64::MAX || length < 1 << 48) && first == 0;
    match (is, properties) {
        (false, _) => Recognition::No,
        (true, 0x5d) if decodes(head, Codec::LzmaAlone) => Recognition::Certain,
        (true, _) if decodes(head, Codec::LzmaAlone) => Recognition::Possible,
        (true, _) => Recognition::No,
    }
}

/// Two bytes that are divisible by 31 are not a magic number, so the start has to unpack too.
fn recognize_zlib(head: &Head<'_>) -> Recognition {
    let &[method, flags, ..] = head.start else { return Recognition::No };
    let header = u16::from_be_bytes([method, flags]);
    let is = method & 0x0f == 8 && method >> 4 <= 7 && header.is_multiple_of(31) && flags & 0x20 == 0;
    match is && decodes(head, Codec::Zlib) {
        false => Recognition::No,
        true if method == 0x78 && matches!(flags, 1 | 0x5e | 0x9c | 0xda) => Recognition::Certain,
        true => Recognition::Possible,
    }
}

/// Whether something unpacks from the start.
fn decodes(head: &Head<'_>, codec: Codec) -> bool {
    let memory = head.artifact.budget.limits.decoder_memory;
    let mut reader = crate::archive::codec::reader(head.artifact.source.clone(), codec, memory);
    let mut some = [0; 64];
    // The end of an empty content is an end too.
    reader.read(&mut some).is_ok()
}

impl Format for JoblibZf {
    fn info(&self) -> &'static FormatInfo {
        &JOBLIB_ZF
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        certain(zf_start(head.start).is_some())
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let Some((at, stated)) = read_vec(&*artifact.source, 0, 22).ok().and_then(|start| zf_start(&start)) else {
            return;
        };
        let found = add_content(artifact, at, Codec::Zlib, "zlib", observations);
        if let Some(found) = found.filter(|found| *found != stated) {
            let what = format!("the header announces {stated} bytes and {found} are there");
            observations.fact(0, Fact::StructureViolation { what, deviation: crate::fact::Deviation::Wrong });
        }
    }
}

/// Where the zlib stream starts and how many bytes it should give: `ZF`, then 19 characters of hexadecimal length.
fn zf_start(start: &[u8]) -> Option<(u64, u64)> {
    let (head, rest) = start.split_at_checked(21)?;
    let digits = std::str::from_utf8(head.strip_prefix(b"ZF0x")?).ok()?;
    let length = u64::from_str_radix(digits.trim_end_matches([' ', 'L']), 16).ok()?;
    // Python 2 wrote one character more.
    Some((if rest.first() == Some(&b' ') { 22 } else { 21 }, length))
}

#[cfg(test)]
#[path = "compressed_tests.rs"]
mod tests;
