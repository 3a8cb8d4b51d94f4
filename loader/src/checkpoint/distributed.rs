//! Distributed checkpoints: a folder whose `.metadata` says which part of which tensor stands where in which file. Each
//! part is a torch zip of one bare tensor. Layout: weights.md section 6.

use crate::bounds::MAX_METADATA_NAME_BYTES;
use crate::bytes::chunks::{Chunk, ChunkedTensor};
use crate::bytes::dtype::Dtype;
use crate::bytes::tensor_source::TensorSource;
use crate::checkpoint::sharded::is_file_name;
use crate::error::Error;
use crate::open::{Checkpoint, LoadOptions, open_cleared};
use crate::plan::contents::Contents;
use crate::plan::draft::{DraftTensor, Drafts};
use crate::values::trace_ext::{field, qualified_name, shape};
use crate::values::walk::walk;
use scanner::clearance::Examined;
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Items, Kind, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The name of the file that says where everything is.
pub(crate) const METADATA_FILE: &str = ".metadata";
const METADATA_MODULE: &str = "torch.distributed.checkpoint.metadata";

/// Where a part stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PartLocation {
    file: String,
    offset: u64,
    length: u64,
}

/// Offsets and sizes of a part.
type Part = (Vec<u64>, Vec<u64>);

/// What `.metadata` says.
#[derive(Default)]
struct Metadata {
    /// Tensors in order: name, shape, parts as offsets and sizes.
    tensors: Vec<(String, Vec<u64>, Vec<Part>)>,
    /// The types of those that say it. Readers make a tensor of that type, and cast what is in the parts.
    dtypes: HashMap<String, Dtype>,
    /// Names of what is no tensor.
    others: Vec<String>,
    /// By name and offsets; what is no tensor has none.
    locations: HashMap<(String, Option<Vec<u64>>), PartLocation>,
}

/// Opens all files of a folder and puts its tensors together.
///
/// # Errors
/// When a file cannot be opened or is not cleared, or a tensor cannot be had.
pub(crate) fn open(folder: &Path, policy: &LoadOptions) -> Result<Checkpoint, Error> {
    let limits = policy.roomy();
    let path = folder.join(METADATA_FILE);
    let wrong = |why: String| Error::Usage(format!("{}: {why}", path.display()));
    let (metadata, proven) = open_cleared(&path, &limits, policy.allow_unproven)?;
    let index = {
        let contents = Contents::new(&metadata, &limits);
        Metadata::read(contents.trace().map_err(wrong)?).map_err(|why| wrong(why.to_owned()))?
    };
    let mut files: BTreeMap<&str, (Examined, bool)> = BTreeMap::new();
    for place in index.locations.values() {
        if !is_file_name(&place.file) {
            return Err(wrong(format!("it names {:?}, which does not stand beside it", place.file)));
        }
        if !files.contains_key(place.file.as_str()) {
            files.insert(&place.file, open_cleared(&folder.join(&place.file), &limits, policy.allow_unproven)?);
        }
    }
    let mut drafts = Drafts { framework: "pt", ..Drafts::default() };
    {
        let contents: BTreeMap<&str, (Contents<'_>, bool)> =
            files.iter().map(|(name, (file, clean))| (*name, (Contents::new(file, &limits), *clean))).collect();
        for (name, shape, parts) in &index.tensors {
            if policy.root.is_some() && policy.root.as_ref() != Some(name) {
                let root = policy.root.as_deref().unwrap_or_default();
                match name.strip_prefix(root).and_then(|rest| rest.strip_prefix('.')) {
                    Some(_) => {}
                    None => {
                        drafts.leave_out_tensor(name.as_str(), "it stands outside of the part that is converted");
                        continue;
                    }
                }
            }
            match index.join_parts(name, shape, parts, &contents, proven) {
                Ok(draft) => drafts.tensors.push(relative_to_root(draft, policy.root.as_deref())),
                Err(why) => drafts.refuse(name.as_str(), why),
            }
        }
        for other in &index.others {
            drafts.leave_out(other.as_str(), "a value that is no tensor");
        }
    }
    if let Some(root) = policy.root.as_ref().filter(|_| drafts.tensors.is_empty() && drafts.refused.is_empty()) {
        drafts.refuse(root.as_str(), "there is nothing under this path");
    }
    drafts.root.clone_from(&policy.root);
    let len = files.values().map(|(file, _)| file.report().size).sum();
    let mut examined = vec![metadata];
    examined.extend(files.into_values().map(|(file, _)| file));
    Checkpoint::new(folder, examined, drafts, len, policy)
}

fn relative_to_root(mut draft: DraftTensor, root: Option<&str>) -> DraftTensor {
    if let Some(rest) = root.and_then(|root| draft.name.strip_prefix(root)?.strip_prefix('.')) {
        draft.name = rest.to_owned();
    }
    draft
}

impl Metadata {
    fn read(trace: &Trace) -> Result<Self, &'static str> {
        let root = trace.root.ok_or("it has no value")?;
        let state = object_state(trace, root, "Metadata").ok_or("it is no metadata of a distributed checkpoint")?;
        let mut index = Self::default();
        let tensors = field(trace, state, "state_dict_metadata").ok_or("it names no tensors")?;
        for [key, value] in pairs(trace, tensors)? {
            let key = trace.text(key, MAX_METADATA_NAME_BYTES).ok_or("a tensor has no name that is a text")?;
            let Some(tensor) = self::object_state(trace, value, "TensorStorageMetadata") else {
                index.others.push(key);
                continue;
            };
            let properties = field(trace, tensor, "properties")
                .and_then(|value| self::object_state(trace, value, "TensorProperties"));
            let said = properties
                .and_then(|state| qualified_name(trace, *crate::values::trace_ext::sequence(trace, state)?.first()?));
            if let Some(dtype) = said.and_then(|said| Dtype::from_torch(said.strip_prefix("torch.")?)) {
                index.dtypes.insert(key.clone(), dtype);
            }
            let size = field(trace, tensor, "size").and_then(|size| shape(trace, size));
            let chunks =
                field(trace, tensor, "chunks").and_then(|chunks| crate::values::trace_ext::sequence(trace, chunks));
            let parts: Option<Vec<_>> = chunks.unwrap_or_default().iter().map(|chunk| part(trace, *chunk)).collect();
            let (size, _, parts) = size
                .zip(chunks)
                .zip(parts)
                .map(|((size, chunks), parts)| (size, chunks, parts))
                .ok_or("the shape of a tensor is not made of whole numbers")?;
            index.tensors.push((key, size, parts));
        }
        let places = field(trace, state, "storage_data").ok_or("it names no places")?;
        for [key, value] in pairs(trace, places)? {
            let key = self::object_state(trace, key, "MetadataIndex").ok_or("a place has no index")?;
            let name = field(trace, key, "fqn")
                .and_then(|name| trace.text(name, MAX_METADATA_NAME_BYTES))
                .ok_or("a place has no name")?;
            let offsets = match field(trace, key, "offset") {
                None | Some(Value::None) => None,
                Some(offset) => Some(shape(trace, offset).ok_or("the offset of a part is not made of whole numbers")?),
            };
            index.locations.insert((name, offsets), location(trace, value)?);
        }
        Ok(index)
    }

    fn join_parts(
        &self,
        name: &str,
        whole: &[u64],
        parts: &[Part],
        files: &BTreeMap<&str, (Contents<'_>, bool)>,
        proven: bool,
    ) -> Result<DraftTensor, String> {
        let mut chunks = Vec::new();
        let mut dtype: Option<Dtype> = None;
        for (offsets, sizes) in parts {
            let empty = sizes.contains(&0);
            let key = |offsets: Option<Vec<u64>>| self.locations.get(&(name.to_owned(), offsets));
            let any = || key(None).filter(|_| parts.len() == 1);
            let place = match key(Some(offsets.clone())).or_else(any) {
                Some(place) => place,
                None if empty && dtype.is_some() => continue,
                None => return Err(format!("its part at {offsets:?} has no place")),
            };
            let (contents, clean) = files.get(place.file.as_str()).ok_or("its file was not opened")?;
            let (data, found, shape) = part_source(contents, place, proven && *clean)?;
            if shape != *sizes {
                return Err(format!("its part at {offsets:?} has the shape {shape:?} and should have {sizes:?}"));
            }
            if dtype.is_some_and(|dtype| dtype != found) {
                return Err("its parts have different types".to_owned());
            }
            dtype = Some(found);
            chunks.push((offsets, sizes, data));
        }
        let dtype = dtype.ok_or("it has no parts")?;
        if let Some(said) = self.dtypes.get(name).filter(|said| **said != dtype) {
            return Err(format!("its parts are {dtype} and should be {said}"));
        }
        if dtype.safetensors().is_none() {
            return Err(crate::plan::lossless_parts::refusal(dtype.name()));
        }
        let data = match <[_; 1]>::try_from(chunks) {
            Ok([(_, sizes, data)]) if sizes == whole => data,
            Ok(only) => chunked(whole, dtype, only.into())?,
            Err(chunks) => chunked(whole, dtype, chunks)?,
        };
        let mut shape = whole.to_vec();
        if dtype.is_two_per_byte() {
            let last = shape.last_mut().ok_or("two numbers in a byte, and no dimension")?;
            *last = last.checked_mul(2).ok_or("its size does not fit in 64 bits")?;
        }
        Ok(DraftTensor { name: name.to_owned(), dtype, shape, source: data })
    }
}

/// One tensor of parts, each with its offsets, its shape and its elements.
fn chunked(
    whole: &[u64],
    dtype: Dtype,
    parts: Vec<(&Vec<u64>, &Vec<u64>, TensorSource)>,
) -> Result<TensorSource, String> {
    let chunk = |(offsets, sizes, data): (&Vec<u64>, &Vec<u64>, TensorSource)| {
        let data = data.into_contiguous().ok_or("a part of it is not stored in a row")?;
        Ok(Chunk { offsets: offsets.clone(), sizes: sizes.clone(), data })
    };
    let chunks: Result<Vec<Chunk>, &str> = parts.into_iter().map(chunk).collect();
    Ok(TensorSource::from_chunks(ChunkedTensor::new(whole.to_vec(), dtype.size(), chunks?)?))
}

/// The one tensor of a torch zip that stands in a file.
fn part_source(
    contents: &Contents<'_>,
    place: &PartLocation,
    proven: bool,
) -> Result<(TensorSource, Dtype, Vec<u64>), String> {
    let mut storages = contents.zip_at(place.offset, place.length)?;
    let mut tensors = Vec::new();
    walk(storages.trace, proven)
        .name_tensors(None, |named| tensors.push(named))
        .map_err(|_| "its part is no tensor")?;
    match <[_; 1]>::try_from(tensors) {
        Ok([only]) if only.is_root && only.composite.is_none() && only.excluded.is_none() => {
            storages.resolve(&only.tensor)
        }
        _ => Err("its part is no plain tensor".to_owned()),
    }
}

/// The state that a class of this module is given.
fn object_state(trace: &Trace, value: Value, class: &str) -> Option<Value> {
    let made = trace.made(value)?;
    let found = qualified_name(trace, made.callee)?;
    let named = found.strip_prefix(METADATA_MODULE).and_then(|rest| rest.strip_prefix('.')) == Some(class);
    made.states().last().copied().filter(|_| named)
}

fn pairs(trace: &Trace, dict: Value) -> Result<impl Iterator<Item = [Value; 2]>, &'static str> {
    let dict = trace.container(dict).filter(|(kind, _)| *kind == Kind::Dict);
    let items: Option<&Items> = dict.map(|(_, items)| items).filter(|items| items.complete());
    let pairs = items.ok_or("a table of it is none, or has more entries than are kept")?.kept.chunks_exact(2);
    Ok(pairs.filter_map(|pair| <[Value; 2]>::try_from(pair).ok()))
}

fn part(trace: &Trace, chunk: Value) -> Option<Part> {
    let state = object_state(trace, chunk, "ChunkStorageMetadata")?;
    Some((shape(trace, field(trace, state, "offsets")?)?, shape(trace, field(trace, state, "sizes")?)?))
}

fn location(trace: &Trace, value: Value) -> Result<PartLocation, &'static str> {
    let made = trace.made(value).ok_or("a place is none")?;
    let state = made.states().last().copied().ok_or("a place is none")?;
    // Encrypted or compressed parts are not what they seem.
    match field(trace, state, "transform_descriptors") {
        None | Some(Value::None) => {}
        Some(descriptors)
            if crate::values::trace_ext::sequence(trace, descriptors).is_some_and(<[Value]>::is_empty) => {}
        Some(_) => return Err("its parts went through transforms (compression), which are not read"),
    }
    let number = |key| match field(trace, state, key) {
        Some(Value::Int(number)) => u64::try_from(number).ok(),
        _ => None,
    };
    let file = field(trace, state, "relative_path").and_then(|path| trace.text(path, MAX_METADATA_NAME_BYTES));
    match (file, number("offset"), number("length")) {
        (Some(file), Some(offset), Some(length)) => Ok(PartLocation { file, offset, length }),
        _ => Err("a place has no file, offset or length"),
    }
}
