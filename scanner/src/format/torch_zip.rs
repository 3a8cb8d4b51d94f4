//! torch's zip checkpoints: one folder, a `data.pkl` in it, and a record of raw numbers for each storage.
//!
//! torch finds the folder by the first entry of the central directory and ignores case in names. The size that
//! `data.pkl` states for each storage is compared with its record: another size corrupts the loader's memory
//! (CVE-2026-24747). Layout: `caffe2/serialize/inline_container.h`.

use super::pickle::FIRST_READING;
use super::zip::add_members;
use super::{Format, Head, Recognition};
use crate::archive::ArchiveEntry;
use crate::archive::zip::{ZipArchive, ZipEntry};
use crate::fact::{Deviation, Fact, Unread};
use crate::io::artifact::{Artifact, Role};
use crate::io::bounds::format::MAX_DATA_PKL_IN_MEMORY_BYTES;
use crate::io::source::{BlockCache, read_if_small, read_vec};
use crate::observe::format_info::{FormatInfo, Library, TensorStore};
use crate::observe::layout::{self, Layout};
use crate::observe::observations::{Observations, PickleStream};
use crate::pickle::value::Value;
use crate::pickle::{self, Trace};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// torch zip.
pub struct TorchZip;

/// torch's zip checkpoints.
pub static INFO: FormatInfo = FormatInfo {
    id: "torch-zip",
    name: "torch checkpoint, TorchScript archive (zip)",
    extensions: &["pt", "pth", "bin", "ckpt"],
    refines: Some(&super::zip::INFO),
    can_run_code: true,
    library: Library::Torch,
    tensors: Some(TensorStore::TorchZip),
    doc_read: "every entry; of tensor records the first bytes",
    doc_judged: "imports and calls of every pickle, sizes of storages, where readers of the zip disagree",
    doc_converted: "yes",
    ..FormatInfo::DATA
};

impl Format for TorchZip {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        if !head.start.starts_with(b"PK\x03\x04") {
            return Recognition::No;
        }
        // torch writes data.pkl first; otherwise the directory at the end names it.
        let source = head.artifact.source.as_ref();
        let tail = || read_vec(source, source.len().saturating_sub(1 << 16), 1 << 16).unwrap_or_default();
        let named = |bytes: &[u8]| bytes.windows(9).any(|window| window.eq_ignore_ascii_case(b"/data.pkl"));
        if named(head.start) || named(&tail()) { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let mut archive = ZipArchive::read(&artifact.source, &artifact.budget);
        let root = archive.entries.first().map_or("", |entry| folder(&entry.name)).to_owned();
        let name = format!("{root}/data.pkl");
        if let Some(entry) = archive.entries.iter_mut().find(|entry| entry.name.eq_ignore_ascii_case(&name)) {
            // What is followed for the sizes of the records is judged when its turn comes.
            entry.load(MAX_DATA_PKL_IN_MEMORY_BYTES);
        }
        let (records, stream) = records(artifact, observations, &archive, &root);
        let script = programs(&archive.entries, &root, observations);
        let others: HashSet<&str> =
            archive.entries.iter().map(|entry| folder(&entry.name)).filter(|name| *name != root).collect();
        if !others.is_empty() {
            let what = format!("a torch archive has one folder, this one has {}", others.len() + 1);
            observations.fact(None, Fact::ArchiveMismatch { what, deviation: Deviation::Misleading });
        }
        let number = |index: usize| records.get(index).copied().unwrap_or(false);
        let role = |index| if number(index) { Role::TensorData } else { Role::Unknown };
        if let Some(other) = add_members(&mut archive, observations, &artifact.budget, role) {
            observations.fact(None, Fact::Polyglot { formats: vec![INFO.id, other.id] });
        }
        if let Some((name, stream)) = stream
            && let Some(member) = observations.members.iter_mut().find(|member| member.name == name)
        {
            member.stream = Some(stream);
        }
        observations.layout(|| Layout::TorchZip(layout::TorchZip::new(root, archive.entries, script)));
    }
}

fn folder(name: &str) -> &str {
    name.split_once('/').map_or("", |(folder, _)| folder)
}

/// The key of the storage whose record an entry is.
fn key<'a>(entry: &'a ZipEntry, root: &str) -> Option<&'a str> {
    entry.name.strip_prefix(root)?.strip_prefix("/data/")
}

/// Whether it is a TorchScript archive.
fn programs(entries: &[ZipEntry], root: &str, observations: &mut Observations) -> bool {
    let program = entries.iter().find(|entry| {
        let rest = entry.name.strip_prefix(root).unwrap_or(&entry.name);
        let known = ["/constants.pkl", "/bytecode.pkl", "/attributes.pkl", "/model.json"];
        known.iter().any(|name| rest.eq_ignore_ascii_case(name)) || rest.starts_with("/code/")
    });
    if let Some(entry) = program {
        let what = format!(
            "TorchScript ({}): a program that runs when the model is used, and torch before 2.6 loads it even with weights_only=True",
            entry.name
        );
        observations.fact(None, Fact::EmbeddedProgram { what });
    }
    program.is_some()
}

/// Which entries are records of storages with the size that `data.pkl` states; and the stream of `data.pkl` with its
/// name, where it was followed.
fn records(
    artifact: &Artifact,
    observations: &mut Observations,
    archive: &ZipArchive,
    root: &str,
) -> (Vec<bool>, Option<(String, PickleStream)>) {
    let entries = &archive.entries;
    // In a cut or unreadable archive, records after the cut are missing; the cut is stated already.
    let cut = archive.unread.iter().any(|(_, why)| matches!(why, Unread::Broken(_) | Unread::Io(_)));
    let name = format!("{root}/data.pkl");
    // Entries with the same key share a slot among the sizes: the last one counts.
    let mut slots: HashMap<&str, usize> = HashMap::with_capacity(entries.len());
    let mut sizes: Vec<(u64, bool)> = Vec::with_capacity(entries.len());
    let slot_of: Vec<Option<usize>> = entries
        .iter()
        .map(|entry| {
            let slot = *slots.entry(key(entry, root)?).or_insert(sizes.len());
            match sizes.get_mut(slot) {
                Some(size) => size.0 = entry.unpacked,
                None => sizes.push((entry.unpacked, false)),
            }
            Some(slot)
        })
        .collect();
    let mut judged = None;
    for entry in entries.iter().filter(|entry| entry.name.eq_ignore_ascii_case(&name)) {
        let stream = follow_data_pkl(artifact, observations, entry);
        let ids_only;
        let trace = match &stream {
            Some(stream) if has_all_ids(&stream.trace) => &stream.trace,
            _ => {
                let Some(trace) = follow_ids(artifact, entry) else { continue };
                ids_only = trace;
                &ids_only
            }
        };
        for id in &trace.persistent {
            let Some(storage) = storage_id(trace, *id) else { continue };
            let record = slots.get(storage.key.as_ref()).and_then(|slot| sizes.get_mut(*slot));
            match (record, storage.bytes) {
                (Some((record, _)), Some(bytes)) if *record != bytes => {
                    let what =
                        format!("storage {} is said to have {bytes} bytes, its record has {record}", storage.key);
                    observations.fact(None, Fact::StructureViolation { what, deviation: Deviation::Misleading });
                }
                (None, Some(1..)) if !storage.meta && !cut => {
                    let what = format!("storage {} has no record", storage.key);
                    observations.fact(None, Fact::StructureViolation { what, deviation: Deviation::Wrong });
                }
                (Some((_, matches_record)), _) => *matches_record = true,
                _ => {}
            }
        }
        judged = judged.or(stream.map(|stream| (entry.name.clone(), stream)));
    }
    let matches_record =
        |slot: &Option<usize>| slot.and_then(|slot| sizes.get(slot)).is_some_and(|(_, matches_record)| *matches_record);
    (slot_of.iter().map(matches_record).collect(), judged)
}

/// Follows a `data.pkl` that is in memory: one pass serves for its persistent ids and for judging.
fn follow_data_pkl(artifact: &Artifact, observations: &Observations, entry: &ZipEntry) -> Option<PickleStream> {
    let member = Artifact {
        member_path: artifact.member_path.member(&entry.name),
        name: entry.name.clone(),
        source: entry.loaded()?,
        depth: artifact.depth + 1,
        role: Role::Unknown,
        budget: artifact.budget.clone(),
    };
    Some(observations.follow(&member, 0, &FIRST_READING))
}

/// Follows a `data.pkl` for its persistent ids only.
fn follow_ids(artifact: &Artifact, entry: &ZipEntry) -> Option<Trace> {
    let source = read_if_small(entry.open(&artifact.budget).source?, MAX_DATA_PKL_IN_MEMORY_BYTES).ok()?;
    let source = if source.in_memory(0, 1).is_some() { source } else { Arc::new(BlockCache::new(source)) };
    Some(pickle::persistent_ids(&source, &artifact.budget))
}

/// Whether the persistent ids are complete: torch knows no arrays between opcodes, and a full heap drops ids.
fn has_all_ids(trace: &Trace) -> bool {
    !trace.heap.overflowed() && trace.arrays.is_empty() && trace.nested.is_empty()
}

/// A storage as a persistent id names it.
pub struct StorageId<'a> {
    /// Its key.
    pub key: Cow<'a, str>,
    /// Its size, where the class is one of torch's.
    pub bytes: Option<u64>,
    /// Whether it is on the `meta` device and has no data.
    pub meta: bool,
}

/// Reads a persistent id as torch writes it.
pub fn storage_id(trace: &Trace, id: Value) -> Option<StorageId<'_>> {
    let items = trace.tuple(id)?;
    let [kind, class, key, location, count] = items.kept.get(..5)?.try_into().ok()?;
    if trace.short_text(kind, 16).as_deref() != Some("storage") {
        return None;
    }
    let Value::Global(class) = class else { return None };
    // The end of `module.name`; computed names are not torch's.
    let class = trace.callables.get(class as usize).and_then(|callable| callable.name.as_deref()).unwrap_or("?");
    let key = trace.short_text(key, 256)?;
    let Value::Int(count @ 0..) = count else { return None };
    let bytes = item_size(class.rsplit('.').next()?).and_then(|size| count.unsigned_abs().checked_mul(size));
    Some(StorageId { key, bytes, meta: trace.short_text(location, 16).as_deref() == Some("meta") })
}

/// Bytes of what a storage class counts.
pub fn item_size(class: &str) -> Option<u64> {
    Some(match class {
        "ComplexDoubleStorage" => 16,
        "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => 8,
        "FloatStorage" | "IntStorage" | "QInt32Storage" => 4,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "CharStorage" | "ByteStorage" | "BoolStorage" | "QInt8Storage" | "QUInt8Storage" | "UntypedStorage" => 1,
        // Packed numbers: torch counts their bytes.
        "QUInt4x2Storage" | "QUInt2x4Storage" => 1,
        _ => return None,
    })
}
