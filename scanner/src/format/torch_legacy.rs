//! torch's stream before 1.6: five pickles in a row (magic number, protocol, system, object, keys) and then the raw
//! storages, each after its count of elements. Layout: `torch/serialization.py`, `_legacy_load`.

use super::pickle::stream;
use super::torch_zip::{StorageId, item_size, storage_id};
use super::{Format, Head, Recognition};
use crate::fact::{Deviation, Fact, Unread};
use crate::io::artifact::Artifact;
use crate::io::bounds::format::MAX_LEGACY_STORAGES;
use crate::io::budget::ScanBudget;
use crate::io::source::read_vec;
use crate::observe::format_info::{FormatInfo, Library, TensorStore};
use crate::observe::layout::{ByteRange, Layout};
use crate::observe::observations::Observations;
use crate::pickle::trace::StreamEnd;
use crate::pickle::value::Value;
use crate::pickle::{self, Options};
use std::collections::HashMap;
use std::sync::Arc;

const MAGIC: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

const DIGITS: &[u8] = b"L119547037146038801333356L\n";

/// torch legacy stream.
pub struct TorchLegacy;

/// torch's stream of before 1.6.
pub static INFO: FormatInfo = FormatInfo {
    id: "torch-legacy",
    name: "torch checkpoint before 1.6 (pickles in a row)",
    extensions: &["pt", "pth", "bin", "ckpt"],
    refines: Some(&super::pickle::INFO),
    can_run_code: true,
    library: Library::Torch,
    tensors: Some(TensorStore::TorchLegacy),
    doc_read: "all of it but the numbers of tensors",
    doc_judged: "imports and calls of every pickle, counts of storages",
    doc_converted: "yes",
    ..FormatInfo::DATA
};

impl Format for TorchLegacy {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        let start = head.start.get(..32.min(head.start.len())).unwrap_or_default();
        let binary = start.first() == Some(&0x80) && start.windows(MAGIC.len()).any(|window| window == MAGIC);
        // Protocols 0 and 1 write the number in digits.
        if binary || start.starts_with(DIGITS) { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let mut at = 0;
        let mut keys_at = 0;
        for _ in 0..5 {
            keys_at = at;
            at = stream(artifact, observations, at);
            if observations.pickles.last().is_none_or(|stream| stream.trace.end != StreamEnd::Stop) {
                return;
            }
        }
        let mut sizes: HashMap<String, (u64, u64)> = HashMap::new();
        for stream in &observations.pickles {
            for id in &stream.trace.persistent {
                if let Some(StorageId { key, bytes: Some(bytes), .. }) = storage_id(&stream.trace, *id) {
                    let item = class_size(&stream.trace, *id).unwrap_or(1);
                    sizes.insert(key.into_owned(), (bytes, item));
                }
            }
        }
        let mut storages = HashMap::new();
        let end = locate_storages(artifact, observations, storage_keys(artifact, keys_at), &sizes, at, &mut storages);
        observations.layout(|| Layout::TorchLegacy { source: artifact.source.clone(), storages });
        if let Some(end) = end
            && end < artifact.source.len()
        {
            super::pickle::streams(artifact, observations, end);
        }
    }
}

fn class_size(trace: &pickle::Trace, id: Value) -> Option<u64> {
    let (_, items) = trace.container(id)?;
    let Some(Value::Global(class)) = items.kept.get(1) else { return None };
    item_size(trace.callable_name(*class).rsplit('.').next()?)
}

/// The keys in the order of their storages: read again with room for all of them.
fn storage_keys(artifact: &Artifact, at: u64) -> Vec<String> {
    let mut limits = (*artifact.budget.limits).clone();
    limits.items = MAX_LEGACY_STORAGES;
    let budget = ScanBudget::start(Arc::new(limits));
    let options = Options::PLAIN;
    let trace = pickle::read(&artifact.source, at, &options, &budget, &mut |_, _| false);
    let Some((_, items)) = trace.root.and_then(|root| trace.container(root)) else { return Vec::new() };
    items.kept.iter().filter_map(|key| trace.text(*key, 256)).collect()
}

/// Locates the storages. Returns the offset after the last one.
fn locate_storages(
    artifact: &Artifact,
    observations: &mut Observations,
    keys: Vec<String>,
    sizes: &HashMap<String, (u64, u64)>,
    start: u64,
    storages: &mut HashMap<String, ByteRange>,
) -> Option<u64> {
    let mut at = start;
    for key in keys {
        let Some((bytes, item)) = sizes.get(&key) else {
            let what = format!("storage {key} is in the list of keys and in no tensor");
            observations.fact(at, Fact::StructureViolation { what, deviation: Deviation::Wrong });
            return None;
        };
        let count = read_vec(artifact.source.as_ref(), at, 8).ok().and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        let Some(count) = count.map(u64::from_le_bytes) else {
            observations.unread(at, Unread::Broken(format!("storage {key} is missing")));
            return None;
        };
        if count.checked_mul(*item) != Some(*bytes) {
            let what = format!("storage {key} is said to have {bytes} bytes, its count is {count} elements of {item}");
            observations.fact(at, Fact::StructureViolation { what, deviation: Deviation::Misleading });
            return None;
        }
        at = at.checked_add(8)?.checked_add(*bytes)?;
        if at > artifact.source.len() {
            observations.unread(at, Unread::Broken(format!("storage {key} is cut off")));
            return None;
        }
        storages.insert(key, ByteRange { at: at - bytes, len: *bytes });
    }
    Some(at)
}
