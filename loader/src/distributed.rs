//! Distributed checkpoints: a folder whose `.metadata` says which part of which tensor stands where in which file. Each
//! part is a torch zip of one bare tensor. Layout: weights.md section 6.

use crate::chunks::{Chunk, Chunks};
use crate::data::Data;
use crate::draft::{Draft, Drafts};
use crate::dtype::Dtype;
use crate::error::Error;
use crate::open::{Loaded, Policy, admit};
use crate::reading::{call, field, name, shape};
use crate::sharded::is_plain;
use crate::source::Contents;
use crate::walk::walk;
use scanner::clearance::Examined;
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{ContainerKind, Items, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The name of the file that says where everything is.
pub(crate) const METADATA: &str = ".metadata";
/// Bytes of a name.
const NAME: usize = 4096;
const MODULE: &str = "torch.distributed.checkpoint.metadata";

/// Where a part stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    file: String,
    offset: u64,
    length: u64,
}

/// Offsets and sizes of a part.
type Part = (Vec<u64>, Vec<u64>);

/// What `.metadata` says.
#[derive(Default)]
struct Index {
    /// Tensors in order: name, shape, parts as offsets and sizes.
    tensors: Vec<(String, Vec<u64>, Vec<Part>)>,
    /// The types of those that say it. Readers make a tensor of that type, and cast what is in the parts.
    types: HashMap<String, Dtype>,
    /// Names of what is no tensor.
    others: Vec<String>,
    /// By name and offsets; what is no tensor has none.
    places: HashMap<(String, Option<Vec<u64>>), Place>,
}

/// Opens all files of a folder and puts its tensors together.
///
/// # Errors
/// When a file cannot be opened or is not cleared, or a tensor cannot be had.
pub(crate) fn open(folder: &Path, policy: &Policy) -> Result<Loaded, Error> {
    let limits = policy.roomy();
    let path = folder.join(METADATA);
    let wrong = |why: String| Error::Usage(format!("{}: {why}", path.display()));
    let (metadata, proven) = admit(&path, &limits, policy.allow_unproven)?;
    let index = {
        let contents = Contents::new(&metadata, &limits);
        Index::read(contents.trace().map_err(wrong)?).map_err(|why| wrong(why.to_owned()))?
    };
    let mut files: BTreeMap<&str, (Examined, bool)> = BTreeMap::new();
    for place in index.places.values() {
        if !is_plain(&place.file) {
            return Err(wrong(format!("it names {:?}, which does not stand beside it", place.file)));
        }
        if !files.contains_key(place.file.as_str()) {
            files.insert(&place.file, admit(&folder.join(&place.file), &limits, policy.allow_unproven)?);
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
                        drafts.leave_tensor(name.as_str(), "it stands outside of the part that is converted");
                        continue;
                    }
                }
            }
            match index.tensor(name, shape, parts, &contents, proven) {
                Ok(draft) => drafts.tensors.push(relative(draft, policy.root.as_deref())),
                Err(why) => drafts.refuse(name.as_str(), why),
            }
        }
        for other in &index.others {
            drafts.leave(other.as_str(), "a value that is no tensor");
        }
    }
    if let Some(root) = policy.root.as_ref().filter(|_| drafts.tensors.is_empty() && drafts.refused.is_empty()) {
        drafts.refuse(root.as_str(), "there is nothing under this path");
    }
    drafts.root.clone_from(&policy.root);
    let len = files.values().map(|(file, _)| file.report().size).sum();
    let mut examined = vec![metadata];
    examined.extend(files.into_values().map(|(file, _)| file));
    Loaded::new(folder, examined, drafts, len, policy)
}

fn relative(mut draft: Draft, root: Option<&str>) -> Draft {
    if let Some(rest) = root.and_then(|root| draft.name.strip_prefix(root)?.strip_prefix('.')) {
        draft.name = rest.to_owned();
    }
    draft
}

impl Index {
    fn read(trace: &Trace) -> Result<Self, &'static str> {
        let root = trace.root.ok_or("it has no value")?;
        let state = state(trace, root, "Metadata").ok_or("it is no metadata of a distributed checkpoint")?;
        let mut index = Self::default();
        let tensors = field(trace, state, "state_dict_metadata").ok_or("it names no tensors")?;
        for [key, value] in pairs(trace, tensors)? {
            let key = trace.text(key, NAME).ok_or("a tensor has no name that is a text")?;
            let Some(tensor) = self::state(trace, value, "TensorStorageMetadata") else {
                index.others.push(key);
                continue;
            };
            let properties =
                field(trace, tensor, "properties").and_then(|value| self::state(trace, value, "TensorProperties"));
            let said = properties.and_then(|state| name(trace, *crate::reading::row(trace, state)?.first()?));
            if let Some(dtype) = said.and_then(|said| Dtype::of_torch(said.strip_prefix("torch.")?)) {
                index.types.insert(key.clone(), dtype);
            }
            let size = field(trace, tensor, "size").and_then(|size| shape(trace, size));
            let chunks = field(trace, tensor, "chunks").and_then(|chunks| crate::reading::row(trace, chunks));
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
            let key = self::state(trace, key, "MetadataIndex").ok_or("a place has no index")?;
            let name = field(trace, key, "fqn").and_then(|name| trace.text(name, NAME)).ok_or("a place has no name")?;
            let offsets = match field(trace, key, "offset") {
                None | Some(Value::None) => None,
                Some(offset) => Some(shape(trace, offset).ok_or("the offset of a part is not made of whole numbers")?),
            };
            index.places.insert((name, offsets), place(trace, value)?);
        }
        Ok(index)
    }

    fn tensor(
        &self,
        name: &str,
        whole: &[u64],
        parts: &[Part],
        files: &BTreeMap<&str, (Contents<'_>, bool)>,
        proven: bool,
    ) -> Result<Draft, String> {
        let mut chunks = Vec::new();
        let mut dtype: Option<Dtype> = None;
        for (offsets, sizes) in parts {
            let empty = sizes.contains(&0);
            let key = |offsets: Option<Vec<u64>>| self.places.get(&(name.to_owned(), offsets));
            let any = || key(None).filter(|_| parts.len() == 1);
            let place = match key(Some(offsets.clone())).or_else(any) {
                Some(place) => place,
                None if empty && dtype.is_some() => continue,
                None => return Err(format!("its part at {offsets:?} has no place")),
            };
            let (contents, clean) = files.get(place.file.as_str()).ok_or("its file was not opened")?;
            let (data, found, shape) = item(contents, place, proven && *clean)?;
            if shape != *sizes {
                return Err(format!("its part at {offsets:?} has the shape {shape:?} and should have {sizes:?}"));
            }
            if dtype.is_some_and(|dtype| dtype != found) {
                return Err("its parts have different types".to_owned());
            }
            dtype = Some(found);
            chunks.push(Chunk { offsets: offsets.clone(), sizes: sizes.clone(), data });
        }
        let dtype = dtype.ok_or("it has no parts")?;
        if let Some(said) = self.types.get(name).filter(|said| **said != dtype) {
            return Err(format!("its parts are {dtype} and should be {said}"));
        }
        if dtype.held().is_none() {
            return Err(crate::side::refusal(dtype.word()));
        }
        let data = match <[Chunk; 1]>::try_from(chunks) {
            Ok([only]) if only.sizes == whole => only.data,
            Ok(only) => Data::joined(Chunks::new(whole.to_vec(), dtype.size(), only.into())?),
            Err(chunks) => Data::joined(Chunks::new(whole.to_vec(), dtype.size(), chunks)?),
        };
        let mut shape = whole.to_vec();
        if dtype.two_in_a_byte() {
            let last = shape.last_mut().ok_or("two numbers in a byte, and no dimension")?;
            *last = last.checked_mul(2).ok_or("its size does not fit in 64 bits")?;
        }
        Ok(Draft { name: name.to_owned(), dtype, shape, data })
    }
}

/// The one tensor of a torch zip that stands in a file.
fn item(contents: &Contents<'_>, place: &Place, proven: bool) -> Result<(Data, Dtype, Vec<u64>), String> {
    let mut storages = contents.item(place.offset, place.length)?;
    let mut tensors = Vec::new();
    walk(storages.trace, proven).named(None, |named| tensors.push(named)).map_err(|_| "its part is no tensor")?;
    match <[_; 1]>::try_from(tensors) {
        Ok([only]) if only.bare && only.special.is_none() && only.blocked.is_none() => storages.find(&only.tensor),
        _ => Err("its part is no plain tensor".to_owned()),
    }
}

/// The state that a class of this module is given.
fn state(trace: &Trace, value: Value, class: &str) -> Option<Value> {
    let made = call(trace, value)?;
    let found = name(trace, made.callee)?;
    let named = found.strip_prefix(MODULE).and_then(|rest| rest.strip_prefix('.')) == Some(class);
    made.states().last().copied().filter(|_| named)
}

fn pairs(trace: &Trace, dict: Value) -> Result<impl Iterator<Item = [Value; 2]>, &'static str> {
    let dict = trace.container(dict).filter(|(kind, _)| *kind == ContainerKind::Dict);
    let items: Option<&Items> = dict.map(|(_, items)| items).filter(|items| items.complete());
    let pairs = items.ok_or("a table of it is none, or has more entries than are kept")?.kept.chunks_exact(2);
    Ok(pairs.filter_map(|pair| <[Value; 2]>::try_from(pair).ok()))
}

fn part(trace: &Trace, chunk: Value) -> Option<Part> {
    let state = state(trace, chunk, "ChunkStorageMetadata")?;
    Some((shape(trace, field(trace, state, "offsets")?)?, shape(trace, field(trace, state, "sizes")?)?))
}

fn place(trace: &Trace, value: Value) -> Result<Place, &'static str> {
    let made = call(trace, value).ok_or("a place is none")?;
    let state = made.states().last().copied().ok_or("a place is none")?;
    // Encrypted or compressed parts are not what they seem.
    match field(trace, state, "transform_descriptors") {
        None | Some(Value::None) => {}
        Some(descriptors) if crate::reading::row(trace, descriptors).is_some_and(<[Value]>::is_empty) => {}
        Some(_) => return Err("its parts went through transforms (compression), which are not read"),
    }
    let number = |key| match field(trace, state, key) {
        Some(Value::Int(number)) => u64::try_from(number).ok(),
        _ => None,
    };
    let file = field(trace, state, "relative_path").and_then(|path| trace.text(path, NAME));
    match (file, number("offset"), number("length")) {
        (Some(file), Some(offset), Some(length)) => Ok(Place { file, offset, length }),
        _ => Err("a place has no file, offset or length"),
    }
}
