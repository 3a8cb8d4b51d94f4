//! `.metadata` of a distributed checkpoint: a pickled `torch.distributed.checkpoint.metadata.Metadata`. It gives the shape of
//! each tensor, the box of each of its parts, and the file, offset and length of each part.

use crate::bounds::MAX_METADATA_NAME_BYTES;
use crate::bytes::dtype::Dtype;
use crate::error::MetadataError;
use crate::values::trace_ext::{field, qualified_name, sequence, shape};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{ContainerKind, Items, Value};
use std::collections::HashMap;

const METADATA_MODULE: &str = "torch.distributed.checkpoint.metadata";

/// The range of a file that holds a part, as a torch zip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartLocation {
    /// The name of the file in the folder.
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// The box of a part in its tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartBox {
    /// The first index in each dimension.
    pub(crate) offsets: Vec<u64>,
    /// The length of each dimension.
    pub(crate) sizes: Vec<u64>,
}

/// A tensor and its parts.
pub(crate) struct PartedTensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) parts: Vec<PartBox>,
}

/// The contents of `.metadata`.
#[derive(Default)]
pub(crate) struct Metadata {
    /// The tensors in the order of the pickle.
    pub(crate) tensors: Vec<PartedTensor>,
    /// Element types by name, where they are given. Readers cast parts of other types to them.
    pub(crate) dtypes: HashMap<String, Dtype>,
    /// Names of values other than tensors.
    pub(crate) others: Vec<String>,
    /// Locations by name and offsets. Values other than tensors have no offsets.
    pub(crate) locations: HashMap<(String, Option<Vec<u64>>), PartLocation>,
}

impl Metadata {
    /// Reads the value of a pickle.
    ///
    /// # Errors
    /// When it is not the metadata of a distributed checkpoint, or the scan did not keep all of it.
    pub(crate) fn read(trace: &Trace) -> Result<Self, MetadataError> {
        let root = trace.root.ok_or(MetadataError::Empty)?;
        let state = object_state(trace, root, "Metadata").ok_or(MetadataError::NotMetadata)?;
        let mut metadata = Self::default();
        let tensors = field(trace, state, "state_dict_metadata").ok_or(MetadataError::NoTensors)?;
        for [key, value] in pairs(trace, tensors)? {
            let name = trace.text(key, MAX_METADATA_NAME_BYTES).ok_or(MetadataError::TensorName)?;
            match object_state(trace, value, "TensorStorageMetadata") {
                Some(tensor) => metadata.read_tensor(trace, name, tensor)?,
                None => metadata.others.push(name),
            }
        }
        let locations = field(trace, state, "storage_data").ok_or(MetadataError::NoLocations)?;
        for [key, value] in pairs(trace, locations)? {
            let key = object_state(trace, key, "MetadataIndex").ok_or(MetadataError::LocationIndex)?;
            let name = field(trace, key, "fqn").and_then(|name| trace.text(name, MAX_METADATA_NAME_BYTES));
            let name = name.ok_or(MetadataError::LocationName)?;
            let offsets = match field(trace, key, "offset") {
                None | Some(Value::None) => None,
                Some(offset) => Some(shape(trace, offset).ok_or(MetadataError::PartOffset)?),
            };
            metadata.locations.insert((name, offsets), location(trace, value)?);
        }
        Ok(metadata)
    }

    /// Reads the state of a `TensorStorageMetadata`.
    fn read_tensor(&mut self, trace: &Trace, name: String, tensor: Value) -> Result<(), MetadataError> {
        let properties =
            field(trace, tensor, "properties").and_then(|value| object_state(trace, value, "TensorProperties"));
        let dtype = properties.and_then(|state| qualified_name(trace, *sequence(trace, state)?.first()?));
        if let Some(dtype) = dtype.and_then(|dtype| Dtype::from_torch(dtype.strip_prefix("torch.")?)) {
            self.dtypes.insert(name.clone(), dtype);
        }
        let size = field(trace, tensor, "size").and_then(|size| shape(trace, size));
        let chunks = field(trace, tensor, "chunks").and_then(|chunks| sequence(trace, chunks));
        let parts = chunks.and_then(|chunks| chunks.iter().map(|chunk| part_box(trace, *chunk)).collect());
        let (Some(shape), Some(parts)) = (size, parts) else { return Err(MetadataError::Shape) };
        self.tensors.push(PartedTensor { name, shape, parts });
        Ok(())
    }
}

/// The state of an object of a class of `METADATA_MODULE`.
fn object_state(trace: &Trace, value: Value, class: &str) -> Option<Value> {
    let made = trace.made(value)?;
    let name = qualified_name(trace, made.callee)?;
    let is_class = name.strip_prefix(METADATA_MODULE).and_then(|rest| rest.strip_prefix('.')) == Some(class);
    made.states().last().copied().filter(|_| is_class)
}

fn pairs(trace: &Trace, dict: Value) -> Result<impl Iterator<Item = [Value; 2]>, MetadataError> {
    let dict = trace.container(dict).filter(|(kind, _)| *kind == ContainerKind::Dict);
    let items: Option<&Items> = dict.map(|(_, items)| items).filter(|items| items.complete());
    let pairs = items.ok_or(MetadataError::Table)?.kept.chunks_exact(2);
    Ok(pairs.filter_map(|pair| <[Value; 2]>::try_from(pair).ok()))
}

fn part_box(trace: &Trace, chunk: Value) -> Option<PartBox> {
    let state = object_state(trace, chunk, "ChunkStorageMetadata")?;
    let offsets = shape(trace, field(trace, state, "offsets")?)?;
    Some(PartBox { offsets, sizes: shape(trace, field(trace, state, "sizes")?)? })
}

fn location(trace: &Trace, value: Value) -> Result<PartLocation, MetadataError> {
    let made = trace.made(value).ok_or(MetadataError::Location)?;
    let state = made.states().last().copied().ok_or(MetadataError::Location)?;
    match field(trace, state, "transform_descriptors") {
        None | Some(Value::None) => {}
        Some(descriptors) if sequence(trace, descriptors).is_some_and(<[Value]>::is_empty) => {}
        Some(_) => return Err(MetadataError::Transforms),
    }
    let number = |key| match field(trace, state, key) {
        Some(Value::Int(number)) => u64::try_from(number).ok(),
        _ => None,
    };
    let file = field(trace, state, "relative_path").and_then(|path| trace.text(path, MAX_METADATA_NAME_BYTES));
    match (file, number("offset"), number("length")) {
        (Some(file), Some(offset), Some(length)) => Ok(PartLocation { file, offset, length }),
        _ => Err(MetadataError::LocationRange),
    }
}
