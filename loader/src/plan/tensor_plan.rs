//! The plan of a result: every tensor with its offset in a safetensors file. A plan without gaps, overlaps and duplicate
//! names is the only one that can be built.

use crate::bytes::cast::Cast;
use crate::bytes::dtype::Dtype;
use crate::bytes::tensor_source::{Identity, TensorSource};
use crate::plan::draft::{DraftTensor, Drafts, Refused};
use crate::plan::reason::Reason;
use scanner::Limits;
use std::collections::{BTreeMap, HashMap};

/// Alignment in bytes of the data section, and of all tensors whose length is a multiple of it.
pub(crate) const ALIGNMENT_BYTES: u64 = 64;

/// The key in `__metadata__` that describes tensors written as parts, as JSON.
pub(crate) const METADATA_PARTS: &str = "modelscan.parts";
/// The key in `__metadata__` of the SHA-256 of the source.
pub(crate) const METADATA_SOURCE_SHA256: &str = "modelscan.source_sha256";
/// Prefix of the names of tensors that fill gaps: see `output::reflink`.
pub(crate) const FILLER_PREFIX: &str = "modelscan.filler.";
const METADATA_FORMAT: &str = "format";

/// How tensors are planned.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Cast floats of 16, 32 and 64 bits to this type.
    pub dtype: Option<Dtype>,
    /// Write tied tensors once for each of their names, instead of once.
    pub expand_tied: bool,
}

/// A tensor of the result.
#[derive(Clone)]
pub struct PlannedTensor {
    /// The name.
    pub name: String,
    /// The element type in the result.
    pub dtype: Dtype,
    /// The length of each dimension, as safetensors counts elements. Empty for a scalar.
    pub shape: Vec<u64>,
    /// Offset of the first byte in the data section of the result.
    pub data_offset: u64,
    pub(crate) source: TensorSource,
}

impl PlannedTensor {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.source.len()
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Offset and length in bytes of the range of the source file that equals the tensor. `None` where the bytes are changed
    /// on reading: unpacked, gathered, byte-swapped or cast.
    pub fn file_range(&self) -> Option<(u64, u64)> {
        self.source.file_range()
    }

    /// The path of the member of the source file that holds the tensor; `None` for the file itself and for tensors in memory.
    pub fn member(&self) -> Option<&str> {
        self.source.record_and_offset().0.and_then(|record| record.member.as_deref())
    }

    /// Offset in bytes of the first element in that member.
    pub fn member_offset(&self) -> u64 {
        let (record, offset) = self.source.record_and_offset();
        record.map_or(0, |record| record.member_offset).saturating_add(offset)
    }
}

/// All tensors of one result.
pub struct TensorPlan {
    /// The tensors in the order of their offsets.
    pub tensors: Vec<PlannedTensor>,
    /// Tied tensors: each alias and the name of the tensor with the same elements.
    pub aliases: BTreeMap<String, String>,
    /// `__metadata__` of the result.
    pub metadata: BTreeMap<String, String>,
    /// Bytes of the data section.
    pub len: u64,
    /// Indices into `tensors`, sorted by name.
    by_name: Vec<usize>,
}

impl TensorPlan {
    /// Orders the drafts and assigns offsets. `source_len` is the length of the source in bytes.
    ///
    /// # Errors
    /// The tensors that cannot be written, each with the reason.
    pub(crate) fn new(
        mut drafts: Drafts,
        source_len: u64,
        limits: &Limits,
        options: &PlanOptions,
    ) -> Result<Self, Vec<Refused>> {
        let mut metadata = metadata(&mut drafts);
        let (tensors, tied) = tie_and_cast(drafts.tensors, options);
        let mut refused: Vec<Refused> = exceeds_ratio(&tensors, source_len, limits).into_iter().collect();
        let tensors = assign_offsets(tensors);
        let mut by_name: Vec<usize> = (0..tensors.len()).collect();
        let name = |index: &usize| tensors.get(*index).map_or("", |tensor| tensor.name.as_str());
        by_name.sort_by_key(name);
        let previous = std::iter::once(None).chain(by_name.iter().map(Some));
        for (index, previous) in by_name.iter().zip(previous) {
            let is_duplicate = previous.is_some_and(|previous| name(previous) == name(index));
            refused.extend(invalid_name(name(index), is_duplicate));
        }
        let mut aliases = BTreeMap::new();
        for (alias, name) in tied {
            let is_duplicate = find_by_name(&tensors, &by_name, &alias).is_some() || aliases.contains_key(&alias);
            refused.extend(invalid_name(&alias, is_duplicate));
            metadata.insert(alias.clone(), name.clone());
            aliases.insert(alias, name);
        }
        let len = tensors.last().map_or(0, |last| last.data_offset.saturating_add(last.len()));
        if refused.is_empty() { Ok(Self { tensors, aliases, metadata, len, by_name }) } else { Err(refused) }
    }

    /// A tensor by its name or an alias.
    pub fn get(&self, name: &str) -> Option<&PlannedTensor> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        find_by_name(&self.tensors, &self.by_name, name)
    }
}

/// `__metadata__` of the result, without aliases.
fn metadata(drafts: &mut Drafts) -> BTreeMap<String, String> {
    let mut metadata = std::mem::take(&mut drafts.metadata);
    // It was the hash of the source of the source.
    metadata.remove(METADATA_SOURCE_SHA256);
    metadata.entry(METADATA_FORMAT.to_owned()).or_insert_with(|| drafts.framework.to_owned());
    if !drafts.parts.is_empty() {
        let parts = serde_json::to_string(&drafts.parts).unwrap_or_default();
        metadata.insert(METADATA_PARTS.to_owned(), parts);
    }
    metadata
}

/// Separates tied tensors, each with the name of the first one, and sets casts.
fn tie_and_cast(drafts: Vec<DraftTensor>, options: &PlanOptions) -> (Vec<DraftTensor>, Vec<(String, String)>) {
    let mut first: HashMap<(Identity, &str, Vec<u64>), String> = HashMap::new();
    let (mut tensors, mut tied) = (Vec::with_capacity(drafts.len()), Vec::new());
    for mut draft in drafts {
        // An alias becomes a key of the metadata, where these names are taken.
        let is_reserved = draft.name == METADATA_FORMAT || draft.name.starts_with("modelscan.");
        if let Some(identity) = draft.source.identity().filter(|_| !options.expand_tied && !is_reserved) {
            let key = (identity, draft.dtype.name(), draft.shape.clone());
            if let Some(name) = first.get(&key) {
                tied.push((draft.name, name.clone()));
                continue;
            }
            first.insert(key, draft.name.clone());
        }
        if let Some(cast) = options.dtype.and_then(|to| Cast::new(draft.dtype, to)) {
            draft.source.cast = Some(cast);
            draft.dtype = options.dtype.unwrap_or(draft.dtype);
        }
        tensors.push(draft);
    }
    (tensors, tied)
}

/// The tensor of this name. `by_name` holds indices into `tensors`, sorted by name.
fn find_by_name<'a>(tensors: &'a [PlannedTensor], by_name: &[usize], name: &str) -> Option<&'a PlannedTensor> {
    let name_at = |index: &usize| tensors.get(*index).map_or("", |tensor| tensor.name.as_str());
    let found = by_name.binary_search_by(|index| name_at(index).cmp(name)).ok()?;
    tensors.get(*by_name.get(found)?)
}

fn invalid_name(name: &str, is_duplicate: bool) -> Option<Refused> {
    let why = if name == "__metadata__" {
        Reason::ReservedName
    } else if is_duplicate {
        Reason::DuplicateName
    } else {
        return None;
    };
    Some(Refused { name: name.to_owned(), why })
}

/// Refuses results that are far larger than the source: a view with stride 0 can repeat one element without end.
fn exceeds_ratio(drafts: &[DraftTensor], source_len: u64, limits: &Limits) -> Option<Refused> {
    let len = drafts.iter().try_fold(0u64, |total, draft| total.checked_add(draft.source.len()));
    let limit = source_len.saturating_mul(limits.ratio).max(limits.ratio_floor);
    let is_allowed = len.is_some_and(|len| len <= limit);
    let why = Reason::TooManyBytes { len, ratio: limits.ratio };
    (!is_allowed).then_some(Refused { name: String::new(), why })
}

/// Assigns offsets without gaps, since safetensors allows none. Alignment comes from the order. First come all tensors whose
/// length is a multiple of 64 bytes, in the order of the source. The others follow from the widest elements to the narrowest,
/// so each is aligned to its elements.
fn assign_offsets(mut drafts: Vec<DraftTensor>) -> Vec<PlannedTensor> {
    drafts.sort_by_key(|draft| {
        let is_odd = draft.source.len() % ALIGNMENT_BYTES != 0;
        let width = if is_odd { draft.source.element_size() } else { u64::MAX };
        (is_odd, std::cmp::Reverse(width), draft.source.read_position())
    });
    let mut data_offset = 0u64;
    let planned = drafts.into_iter().map(|draft| {
        let DraftTensor { name, dtype, shape, source } = draft;
        let planned = PlannedTensor { name, dtype, shape, data_offset, source };
        // `exceeds_ratio` refuses lengths that saturate.
        data_offset = data_offset.saturating_add(planned.len());
        planned
    });
    planned.collect()
}
