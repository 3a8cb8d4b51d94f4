//! torch's tar of before 0.1.10: `storages`, `tensors` and `pickle` beside each other.
//!
//! The first two are small pickles with raw numbers between them, so plain pickle readers break on them. torch still
//! reads them, by full unpickling only, and some servers fall back to it when the safe loader refuses. Every pickle in
//! them is judged, and numbers are skipped by the counts that torch uses. Layout: `torch/serialization.py`,
//! `legacy_load`.

use super::pickle::{stream, streams};
use super::torch_zip::item_size;
use super::{Format, Head, Recognition};
use crate::archive::tar::{TarArchive, recognize};
use crate::fact::{Deviation, Fact, Unread};
use crate::io::artifact::{Artifact, Role};
use crate::io::bounds::format::MAX_TORCH_DIMENSIONS;
use crate::io::source::read_vec;
use crate::observe::format_info::{FormatInfo, Library, TensorStore};
use crate::observe::layout::{ByteRange, Layout, TarStorage, TarTensor, TarView};
use crate::observe::observations::Observations;
use crate::pickle::trace::{StreamEnd, Trace};
use crate::pickle::value::Value;
use std::collections::HashMap;

/// The tar itself.
pub struct TorchTar;
/// Its `storages` and `tensors`.
pub struct TorchTarPart;

/// torch's tar of before 0.1.10.
pub static INFO: FormatInfo = FormatInfo {
    id: "torch-tar",
    name: "torch checkpoint before 0.1.10 (tar)",
    extensions: &["pt", "pth"],
    refines: Some(&super::tar::INFO),
    can_run_code: true,
    library: Library::Torch,
    tensors: Some(TensorStore::TorchTar),
    doc_read: "every entry; of tensors the sizes",
    doc_judged: "imports and calls of every pickle, sizes of storages",
    doc_converted: "yes",
    ..FormatInfo::DATA
};

impl Format for TorchTar {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        if recognize(head.start) != Some(true) {
            return Recognition::No;
        }
        let archive = TarArchive::read(&head.artifact.source, &head.artifact.budget);
        let has = |name: &str| archive.entries.iter().any(|entry| without_dot(&entry.name) == name);
        if has("storages") && has("tensors") && has("pickle") { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        super::tar::examine(artifact, observations, |name| match without_dot(name) {
            "storages" => Role::TarStorages,
            "tensors" => Role::TarTensors,
            _ => Role::Unknown,
        });
    }
}

fn without_dot(name: &str) -> &str {
    name.strip_prefix("./").unwrap_or(name)
}

/// The `storages` and `tensors` of torch's tar.
pub static PART: FormatInfo = FormatInfo {
    id: "torch-tar-part",
    name: "storages or tensors of a torch tar",
    can_run_code: true,
    library: Library::Torch,
    doc_read: "all of it but the numbers of tensors",
    doc_judged: "imports and calls of every pickle",
    doc_converted: "with its tar",
    ..FormatInfo::DATA
};

impl Format for TorchTarPart {
    fn info(&self) -> &'static FormatInfo {
        &PART
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        let part = matches!(head.artifact.role, Role::TarStorages | Role::TarTensors);
        if part { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let mut walk = PartWalk { artifact, observations, at: 0 };
        let outcome = match artifact.role {
            Role::TarStorages => walk.storages(),
            _ => walk.tensors(),
        };
        let at = walk.at;
        match outcome {
            Some(layout) if at < artifact.source.len() => {
                observations.layout(|| layout);
                streams(artifact, observations, at);
            }
            Some(layout) => observations.layout(|| layout),
            // What torch would read next is unknown; it may be a pickle.
            None => {
                observations.unread(at, Unread::Broken("it is not laid out as torch reads it".to_owned()));
                if at < artifact.source.len() {
                    streams(artifact, observations, at);
                }
            }
        }
    }
}

struct PartWalk<'a> {
    artifact: &'a Artifact,
    observations: &'a mut Observations,
    at: u64,
}

impl PartWalk<'_> {
    /// Judges the next pickle and asks something of it.
    fn next<T>(&mut self, ask: impl FnOnce(&Trace) -> Option<T>) -> Option<T> {
        let index = self.observations.pickles.len();
        if index >= self.artifact.budget.limits.streams {
            return None;
        }
        self.at = stream(self.artifact, self.observations, self.at);
        let trace = &self.observations.pickles.get(index)?.trace;
        if trace.end == StreamEnd::Stop { ask(trace) } else { None }
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = read_vec(self.artifact.source.as_ref(), self.at, N).ok()?;
        let bytes = <[u8; N]>::try_from(bytes).ok()?;
        self.at = self.at.checked_add(N as u64)?;
        Some(bytes)
    }

    /// A number that torch reads as a signed one and that none of its writers made negative.
    fn number(&mut self) -> Option<u64> {
        u64::try_from(i64::from_le_bytes(self.bytes()?)).ok()
    }

    /// So many numbers; there are few.
    fn numbers(&mut self, count: u64) -> Option<Vec<u64>> {
        (0..count).map(|_| self.number()).collect()
    }

    fn count(&mut self) -> Option<u64> {
        self.next(|trace| match trace.root? {
            Value::Int(count) => u64::try_from(count).ok(),
            _ => None,
        })
    }

    fn storages(&mut self) -> Option<Layout> {
        let mut storages = HashMap::new();
        for _ in 0..self.count()? {
            let (key, class) = self.next(|trace| {
                let [key, _, class] = trace.tuple(trace.root?)?.as_array()?;
                let Value::Global(class) = class else { return None };
                Some((text(trace, key)?, trace.callable_name(class)))
            })?;
            let size = item_size(class.rsplit('.').next()?)?;
            let len = self.number()?.checked_mul(size)?;
            let range = ByteRange { at: self.at, len };
            let end = self.at.checked_add(len).filter(|end| *end <= self.artifact.source.len());
            if end.is_none() {
                self.observations.unread(self.at, Unread::Broken(format!("storage {key} is cut off")));
                return None;
            }
            self.at = end?;
            self.once(&key, storages.contains_key(&key));
            storages.insert(key, TarStorage { range, class });
        }
        let views = self.next(|trace| {
            let (_, items) = trace.container(trace.root?)?;
            let views = items.kept.iter().map(|view| {
                let [key, root, Value::Int(offset), Value::Int(len)] = trace.tuple(*view)?.as_array()? else {
                    return None;
                };
                let view =
                    TarView { root: text(trace, root)?, offset: offset.try_into().ok()?, len: len.try_into().ok()? };
                Some((text(trace, key)?, view))
            });
            if items.complete() { views.collect::<Option<HashMap<_, _>>>() } else { None }
        })?;
        Some(Layout::TarStorages { source: self.artifact.source.clone(), storages, views })
    }

    fn tensors(&mut self) -> Option<Layout> {
        let mut tensors = HashMap::new();
        for _ in 0..self.count()? {
            let (key, storage) = self.next(|trace| {
                let [key, storage, _] = trace.tuple(trace.root?)?.as_array()?;
                Some((text(trace, key)?, text(trace, storage)?))
            })?;
            let dimensions =
                u64::try_from(i32::from_le_bytes(self.bytes()?)).ok().filter(|n| *n <= MAX_TORCH_DIMENSIONS)?;
            self.bytes::<4>()?;
            let (shape, stride) = (self.numbers(dimensions)?, self.numbers(dimensions)?);
            let offset = self.number()?;
            self.once(&key, tensors.contains_key(&key));
            tensors.insert(key, TarTensor { storage, shape, stride, offset });
        }
        Some(Layout::TarTensors(tensors))
    }

    fn once(&mut self, key: &str, there: bool) {
        if there {
            let what = format!("{key} is there twice");
            self.observations.fact(self.at, Fact::StructureViolation { what, deviation: Deviation::Misleading });
        }
    }
}

/// A key: a whole number, or one as text.
fn text(trace: &Trace, key: Value) -> Option<String> {
    match key {
        Value::Int(key) => Some(key.to_string()),
        key => trace.text(key, 256),
    }
}
