//! safetensors: a format that holds only numbers, where it is checked.
//!
//! A length, a JSON header, the bytes of the tensors. All checks of the reference are made, and further ones on points
//! where readers differ: duplicate keys, holes and tails that no tensor covers. With a sound header nothing in the file
//! can act.

use super::readers::safetensors_header::{HeaderEntry, SafetensorsHeader, read};
use super::{Format, Head, Recognition};
use crate::fact::{Deviation, Fact, Unread};
use crate::io::artifact::{Artifact, Role};
use crate::io::bounds::format::{MAX_SAFETENSORS_HEADER_BYTES, MAX_USUAL_SAFETENSORS_HEADER_BYTES};
use crate::io::source::{SharedSource, Window, read_vec};
use crate::observe::format_info::{FormatInfo, TensorStore};
use crate::observe::layout::{ByteRange, Layout, StoredTensor};
use crate::observe::observations::{Observations, Tensor};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

/// safetensors files.
pub struct Safetensors;

/// safetensors files.
pub static INFO: FormatInfo = FormatInfo {
    id: "safetensors",
    name: "safetensors",
    extensions: &["safetensors"],
    promised_as: Some("safetensors"),
    tensors: Some(TensorStore::Safetensors),
    doc_read: "the header; bytes that no tensor covers",
    doc_judged: "keys, types, shapes, that tensors cover the data exactly",
    doc_converted: "rewritten",
    ..FormatInfo::DATA
};

impl Format for Safetensors {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        let Some((length, text)) = head.start.split_first_chunk() else { return Recognition::No };
        let length = u64::from_le_bytes(*length);
        if !(2..=MAX_SAFETENSORS_HEADER_BYTES).contains(&length) {
            return Recognition::No;
        }
        let json = text.trim_ascii_start();
        let opens = json.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
        match opens {
            Some([b'"' | b'}', ..]) if json.len() == text.len() => Recognition::Certain,
            Some([b'"' | b'}', ..]) => Recognition::Possible,
            _ => Recognition::No,
        }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let source = &artifact.source;
        let start = read_vec(&**source, 0, 9).unwrap_or_default();
        let Some((length, first)) = start.split_first_chunk() else {
            return observations.unread(0, Unread::Broken("the length of the header is cut".into()));
        };
        let length = u64::from_le_bytes(*length);
        if length > source.len().saturating_sub(8) {
            return observations
                .unread(8, Unread::Broken(format!("a header of {length} bytes is announced and not there")));
        }
        if length > artifact.budget.limits.header_bytes.min(MAX_SAFETENSORS_HEADER_BYTES) {
            return observations.unread(8, Unread::Limit(format!("a header of {length} bytes")));
        }
        if length > MAX_USUAL_SAFETENSORS_HEADER_BYTES {
            violates(observations, 0, format!("the header has {length} bytes"), Deviation::Unusual);
        }
        if first != b"{" {
            violates(observations, 8, "the header does not start with a brace".into(), Deviation::Wrong);
        }
        let stream = HeaderStream { source: source.clone(), at: 8, end: length + 8 };
        let (header, outcome) = read(BufReader::with_capacity(64 << 10, stream), artifact.budget.limits.entries);
        report_keys(&header, observations);
        let data = length + 8;
        if let Err(why) = outcome {
            let why = header.limit_hit.map_or(Unread::Broken(format!("the header: {why}")), Unread::Limit);
            observations.unread(8, why);
            return add_range(source, "(data)", data, source.len(), observations);
        }
        check_tensors(header.entries, header.metadata, source, data, observations);
    }
}

fn violates(observations: &mut Observations, at: u64, what: String, deviation: Deviation) {
    observations.fact(at, Fact::StructureViolation { what, deviation });
}

/// States duplicate and unknown keys.
fn report_keys(header: &SafetensorsHeader, observations: &mut Observations) {
    for key in &header.duplicates {
        violates(
            observations,
            8,
            format!("{key} is given twice: readers differ on which counts"),
            Deviation::Misleading,
        );
    }
    for key in &header.unknown {
        violates(observations, 8, format!("{key} is no key of the format"), Deviation::Wrong);
    }
}

/// Checks sizes and that the tensors cover the data exactly.
fn check_tensors(
    mut entries: Vec<HeaderEntry>,
    metadata: Option<BTreeMap<String, String>>,
    source: &SharedSource,
    data: u64,
    observations: &mut Observations,
) {
    check_entries(&entries, observations);
    check_coverage(&entries, source, data, observations);
    observations.layout(|| {
        let placed = |entry: &HeaderEntry| {
            let HeaderEntry { name, dtype, shape, start, end } = entry.clone();
            let range = ByteRange { at: data.saturating_add(start), len: end.saturating_sub(start) };
            StoredTensor { name, dtype, shape, range }
        };
        Layout::Safetensors { source: source.clone(), tensors: entries.iter().map(placed).collect(), metadata }
    });
    let tensors = entries.drain(..).map(|HeaderEntry { name, dtype, shape, .. }| Tensor { name, dtype, shape });
    observations.tensors.extend(tensors);
}

/// Checks each tensor alone: its size and its name.
fn check_entries(entries: &[HeaderEntry], observations: &mut Observations) {
    for entry in entries {
        if let Some(what) = entry_violation(entry) {
            violates(observations, 8, format!("{:?}: {what}", entry.name), Deviation::Misleading);
        }
        if entry.name.chars().any(char::is_control) {
            violates(observations, 8, format!("the name {:?} holds control characters", entry.name), Deviation::Wrong);
        }
        if entry.name.starts_with('/') || entry.name.split('/').any(|part| part == "..") {
            violates(
                observations,
                8,
                format!("the name {:?} is a path that leaves its folder", entry.name),
                Deviation::Unusual,
            );
        }
    }
}

/// Checks that the tensors cover the data once and wholly.
fn check_coverage(entries: &[HeaderEntry], source: &SharedSource, data: u64, observations: &mut Observations) {
    let (length, mut covered) = (source.len().saturating_sub(data), 0);
    let mut order: Vec<(u64, u64, &str)> = entries.iter().map(|e| (e.start, e.end, e.name.as_str())).collect();
    order.sort_unstable();
    let mut holes = Vec::new();
    for (start, end, name) in order {
        if start < covered && start < end {
            violates(
                observations,
                data.saturating_add(start),
                format!("{name:?} overlaps another tensor"),
                Deviation::Misleading,
            );
        }
        if start > covered {
            holes.push((covered, start.min(length)));
        }
        covered = covered.max(end);
    }
    if covered > length {
        let why = format!("the tensors have {covered} bytes and {length} are there");
        observations.unread(data, Unread::Broken(why));
    }
    for (start, end) in holes.into_iter().filter(|(start, end)| start < end) {
        let at = data + start;
        violates(observations, at, format!("{} bytes belong to no tensor", end - start), Deviation::Wrong);
        add_range(source, &format!("(hole at {at})"), at, data + end, observations);
    }
    if covered < length {
        let what = "bytes behind the last tensor".to_owned();
        observations.fact(data + covered, Fact::TrailingData { length: length - covered, what });
        add_range(source, "(trailing)", data + covered, source.len(), observations);
    }
}

/// What is wrong with a tensor alone.
fn entry_violation(entry: &HeaderEntry) -> Option<String> {
    let Some(bits) = dtype_bits(&entry.dtype) else { return Some(format!("the type {:?} is unknown", entry.dtype)) };
    let total = entry.shape.iter().try_fold(bits, |product, length| product.checked_mul(*length));
    let stated = entry.end.checked_sub(entry.start).and_then(|bytes| bytes.checked_mul(8));
    match (stated, total) {
        (None, _) => Some("it ends before it starts".into()),
        (_, None) => Some("its shape has more than 2^64 bits".into()),
        (Some(stated), Some(total)) if stated != total => Some("its shape does not give its length".into()),
        _ => None,
    }
}

/// Bits of one number, of the types that the reference knows.
fn dtype_bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "C64" | "F64" | "I64" | "U64" => 64,
        _ => return None,
    })
}

fn add_range(source: &SharedSource, name: &str, from: u64, to: u64, observations: &mut Observations) {
    if from < to {
        observations.member(name, Arc::new(Window::new(source.clone(), from, to - from)), Role::Unknown);
    }
}

/// The header as a stream.
struct HeaderStream {
    source: SharedSource,
    at: u64,
    end: u64,
}

impl Read for HeaderStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let asked = rest.min(buf.len());
        let count = self.source.read_at(self.at, buf.get_mut(..asked).unwrap_or_default())?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
#[path = "safetensors_tests.rs"]
mod tests;
