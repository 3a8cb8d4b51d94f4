//! What will be written: every tensor with its place, in a file that the official reader takes. A plan cannot be built out
//! of bounds, with a hole or with two tensors of one name.

use crate::bytes::cast::Cast;
use crate::bytes::dtype::Dtype;
use crate::bytes::tensor_source::{Identity, TensorSource};
use crate::plan::draft::{DraftTensor, Drafts, Refused};
use scanner::Limits;
use std::collections::{BTreeMap, HashMap};

/// safetensors files start their numbers, and all tensors whose length allows it, at multiples of this.
pub(crate) const ALIGNMENT_BYTES: u64 = 64;

/// What a plan is told.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Cast floats to this type.
    pub dtype: Option<Dtype>,
    /// Write tied tensors as often as they have names.
    pub expand_tied: bool,
}

/// A tensor of the result.
#[derive(Clone)]
pub struct PlannedTensor {
    /// Its name.
    pub name: String,
    /// Its type in the result.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its first byte, from the start of the data.
    pub data_offset: u64,
    pub(crate) source: TensorSource,
}

impl PlannedTensor {
    /// Its bytes.
    pub fn len(&self) -> u64 {
        self.source.len()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The range of the file that holds exactly its bytes, where one does.
    pub fn file_range(&self) -> Option<(u64, u64)> {
        self.source.file_range()
    }

    /// The path inside the source file; `None` for the file itself or for what stands in no file.
    pub fn member(&self) -> Option<&str> {
        self.source.record_and_offset().0.and_then(|record| record.member.as_deref())
    }

    /// Where in that member its first element stands.
    pub fn member_offset(&self) -> u64 {
        let (record, at) = self.source.record_and_offset();
        record.map_or(0, |record| record.member_offset).saturating_add(at)
    }
}

/// All tensors of one result.
pub struct TensorPlan {
    /// In the order in which they are written.
    pub tensors: Vec<PlannedTensor>,
    /// Names that stand for a tensor of another name: the same bytes of the same storage.
    pub aliases: BTreeMap<String, String>,
    /// What stands in `__metadata__`.
    pub metadata: BTreeMap<String, String>,
    /// Bytes of all tensors.
    pub len: u64,
    /// Places in `tensors`, in the order of their names.
    by_name: Vec<usize>,
}

/// Names in `__metadata__` that are ours.
pub(crate) const METADATA_PARTS: &str = "modelscan.parts";
pub(crate) const METADATA_SOURCE_SHA256: &str = "modelscan.source_sha256";
/// Names of tensors that are bytes between tensors: see `reflink`.
pub(crate) const FILLER_PREFIX: &str = "modelscan.filler.";
const METADATA_FORMAT: &str = "format";

impl TensorPlan {
    /// Orders the drafts and gives each its place.
    ///
    /// # Errors
    /// The tensors that cannot be written, each with the reason.
    pub(crate) fn new(
        drafts: Drafts,
        source_len: u64,
        limits: &Limits,
        options: &PlanOptions,
    ) -> Result<Self, Vec<Refused>> {
        let mut metadata = drafts.metadata;
        // It was about another source.
        metadata.remove(METADATA_SOURCE_SHA256);
        metadata.entry(METADATA_FORMAT.to_owned()).or_insert_with(|| drafts.framework.to_owned());
        if !drafts.parts.is_empty() {
            let parts = serde_json::to_string(&drafts.parts).unwrap_or_default();
            metadata.insert(METADATA_PARTS.to_owned(), parts);
        }
        let mut first: HashMap<(Identity, &str, Vec<u64>), String> = HashMap::new();
        let (mut tensors, mut tied, mut refused) = (Vec::with_capacity(drafts.tensors.len()), Vec::new(), Vec::new());
        for mut draft in drafts.tensors {
            let ours = draft.name == METADATA_FORMAT || draft.name.starts_with("modelscan.");
            if let Some(identity) = draft.source.identity().filter(|_| !options.expand_tied && !ours) {
                let key = (identity, draft.dtype.name(), draft.shape.clone());
                if let Some(other) = first.get(&key) {
                    tied.push((draft.name, other.clone()));
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
        refused.extend(exceeds_ratio(&tensors, source_len, limits));
        let tensors = assign_offsets(tensors);
        let mut by_name: Vec<usize> = (0..tensors.len()).collect();
        let name = |place: &usize| tensors.get(*place).map_or("", |tensor| tensor.name.as_str());
        by_name.sort_by_key(name);
        for (place, before) in by_name.iter().zip(std::iter::once(None).chain(by_name.iter().map(Some))) {
            refused.extend(invalid_name(name(place), before.is_some_and(|before| name(before) == name(place))));
        }
        let mut aliases = BTreeMap::new();
        for (name, other) in tied {
            let twice = find_by_name(&tensors, &by_name, &name).is_some() || aliases.contains_key(&name);
            refused.extend(invalid_name(&name, twice));
            metadata.insert(name.clone(), other.clone());
            aliases.insert(name, other);
        }
        let len = tensors.last().map_or(0, |last| last.data_offset.saturating_add(last.len()));
        if refused.is_empty() { Ok(Self { tensors, aliases, metadata, len, by_name }) } else { Err(refused) }
    }

    /// A tensor by its name, or by that of one that is tied to it.
    pub fn get(&self, name: &str) -> Option<&PlannedTensor> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        find_by_name(&self.tensors, &self.by_name, name)
    }
}

/// The tensor of that name; `by_name` has their places in order.
fn find_by_name<'a>(tensors: &'a [PlannedTensor], by_name: &[usize], name: &str) -> Option<&'a PlannedTensor> {
    let named = |place: &usize| tensors.get(*place).map_or("", |tensor| tensor.name.as_str());
    let found = by_name.binary_search_by(|place| named(place).cmp(name)).ok()?;
    tensors.get(*by_name.get(found)?)
}

fn invalid_name(name: &str, twice: bool) -> Option<Refused> {
    let why = if name == "__metadata__" {
        "safetensors keeps this name for itself; convert the part that holds it with --root"
    } else if twice {
        "another tensor has the same name once keys are joined by dots; --root converts one part alone"
    } else {
        return None;
    };
    Some(Refused { name: name.to_owned(), why: why.to_owned() })
}

/// Views can name the same few numbers without end.
fn exceeds_ratio(drafts: &[DraftTensor], source_len: u64, limits: &Limits) -> Option<Refused> {
    let total = drafts.iter().try_fold(0u64, |total, draft| total.checked_add(draft.source.len()));
    let allowed = source_len.saturating_mul(limits.ratio).max(limits.ratio_floor);
    let data_len = match total {
        Some(len) if len <= allowed => return None,
        Some(len) => len.to_string(),
        None => "more than 2^64".to_owned(),
    };
    let why = format!(
        "all tensors together have {data_len} bytes, more than {} times the file: views that repeat a few numbers",
        limits.ratio
    );
    Some(Refused { name: String::new(), why })
}

/// Gives each tensor its place. Nothing may stand between tensors, so alignment comes from their order: first all whose
/// length keeps the next one aligned to 64 bytes, as they follow each other in the source, then the others from the
/// widest numbers to the narrowest, so that each is aligned to its own.
fn assign_offsets(mut drafts: Vec<DraftTensor>) -> Vec<PlannedTensor> {
    drafts.sort_by_key(|draft| {
        let odd = draft.source.len() % ALIGNMENT_BYTES != 0;
        let width = if odd { draft.source.element_size() } else { u64::MAX };
        (odd, std::cmp::Reverse(width), draft.source.read_position())
    });
    let mut at = 0;
    let planned = drafts.into_iter().map(|draft| {
        let planned = PlannedTensor {
            name: draft.name,
            dtype: draft.dtype,
            shape: draft.shape,
            data_offset: at,
            source: draft.source,
        };
        // What is too much is refused; until then it only must not overflow.
        at = planned.len().saturating_add(at);
        planned
    });
    planned.collect()
}
