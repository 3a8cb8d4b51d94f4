//! torch's distributed checkpoint files: complete torch zips in a row, found by the offsets in `.metadata`.
//!
//! Read as one zip, such a file is full of contradictions (many end records, every name many times). It is walked from
//! its end: an end record gives the start of its own zip, and the zip before it ends there.

use super::{Format, Head, Recognition};
use crate::fact::{Deviation, Fact};
use crate::io::artifact::{Artifact, Role};
use crate::io::bounds::format::MAX_DISTCP_ZIPS;
use crate::io::source::{Source, Window, read_vec};
use crate::observe::format_info::{FormatInfo, Library, TensorStore};
use crate::observe::observations::Observations;
use std::sync::Arc;

const END_RECORD: u64 = 22;

/// Zips in a row.
pub struct TorchDistcp;

/// A file of a distributed checkpoint.
pub static INFO: FormatInfo = FormatInfo {
    id: "torch-distcp",
    name: "file of a torch distributed checkpoint: zips in a row",
    extensions: &["distcp"],
    refines: Some(&super::torch_zip::INFO),
    can_run_code: true,
    library: Library::Torch,
    tensors: Some(TensorStore::TorchDistcp),
    doc_read: "each zip in it",
    doc_judged: "each zip as a torch checkpoint",
    doc_converted: "with its folder",
    ..FormatInfo::DATA
};

impl Format for TorchDistcp {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        let source = head.artifact.source.as_ref();
        // The last zip of several does not start where the file does.
        let several =
            head.start.starts_with(b"PK\x03\x04") && start_of(source, source.len()).is_some_and(|start| start > 0);
        if several && zips(source).is_some() { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let what =
            "zips in a row, as a distributed checkpoint is: readers of one zip see the first or the last".to_owned();
        observations.fact(None, Fact::ArchiveMismatch { what, deviation: Deviation::Unusual });
        for (start, end) in zips(artifact.source.as_ref()).unwrap_or_default() {
            let item = Window::new(artifact.source.clone(), start, end - start);
            observations.member(format!("(item at {start})"), Arc::new(item), Role::Unknown);
        }
    }
}

/// The zips that make up the file without a gap, in order; `None` where it is not made up of zips.
fn zips(source: &dyn Source) -> Option<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    let mut end = source.len();
    while end > 0 {
        let start = start_of(source, end)?;
        if found.len() >= MAX_DISTCP_ZIPS || read_vec(source, start, 4).ok()? != b"PK\x03\x04" {
            return None;
        }
        found.push((start, end));
        end = start;
    }
    found.reverse();
    Some(found)
}

/// Where the zip starts whose end record, without a comment, ends at `end`.
fn start_of(source: &dyn Source, end: u64) -> Option<u64> {
    let record_at = end.checked_sub(END_RECORD)?;
    let record = read_vec(source, record_at, END_RECORD as usize).ok()?;
    if !record.starts_with(b"PK\x05\x06") || record.get(20..22)? != [0, 0] {
        return None;
    }
    let number = |at: usize| Some(u64::from(u32::from_le_bytes(record.get(at..at + 4)?.try_into().ok()?)));
    let (size, offset) = (number(12)?, number(16)?);
    if offset == u64::from(u32::MAX) {
        return None;
    }
    // torch writes the 64-bit end record and its locator whether it needs them or not.
    let locator = read_vec(source, record_at.checked_sub(20)?, 4).ok()?;
    let long = if locator == b"PK\x06\x07" { 76 } else { 0 };
    let directory = record_at.checked_sub(size)?.checked_sub(long)?;
    let start = directory.checked_sub(offset)?;
    (start < end).then_some(start)
}
