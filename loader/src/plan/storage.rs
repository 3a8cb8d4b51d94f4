//! From what a pickle says of its numbers to the bytes they stand in: the persistent id of a storage, a literal, an array
//! between the opcodes. Every range is held against what is really there.

use crate::bounds::MAX_KEY_BYTES;
use crate::bytes::dtype::Dtype;
use crate::bytes::latin1_text;
use crate::bytes::record::Record;
use crate::bytes::strided::View;
use crate::bytes::tensor_source::TensorSource;
use crate::bytes::transform::Transform;
use crate::bytes::zip_record;
use crate::values::tensor::{MemoryOrder, StorageView, TensorData, TensorDescription};
use crate::values::trace_ext::{import, qualified_name, sequence};
use scanner::internal::format::torch_zip::{item_size, storage};
use scanner::internal::io::artifact::ScanBudget;
use scanner::internal::observe::layout::{Range, TarStorage, TarTensor, TarView, TorchZip};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::trace::Inlined;
use scanner::internal::pickle::value::{NodeId, Value};
use scanner::source::SharedSource;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Where the storages of a pickle are.
pub(crate) enum StorageLocation<'a> {
    /// Records of a torch zip.
    Zip {
        /// The zip.
        zip: &'a TorchZip,
        /// Whether its numbers are big-endian.
        big_endian: bool,
    },
    /// Ranges of the file behind the pickle.
    Legacy {
        /// The file.
        source: &'a SharedSource,
        /// By key.
        storages: &'a HashMap<String, Range>,
    },
    /// The other two members of torch's tar.
    Tar {
        /// The member `storages`.
        source: &'a SharedSource,
        /// By key.
        storages: &'a HashMap<String, TarStorage>,
        /// By key.
        views: &'a HashMap<String, TarView>,
        /// By key.
        tensors: &'a HashMap<String, TarTensor>,
        /// The path of the member.
        member: Arc<str>,
    },
    /// It is a pickle alone.
    PickleOnly,
}

/// Finds the numbers of one pickle.
pub(crate) struct StorageResolver<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) location: StorageLocation<'a>,
    /// The path of the pickle inside the file.
    pub(crate) member: Option<Arc<str>>,
    /// Whether the file is what the ranges of the outermost records are ranges of.
    pub(crate) is_outermost: bool,
    pub(crate) budget: ScanBudget,
    records: HashMap<Cow<'a, str>, Arc<Record>>,
    /// Keys that persistent ids of the stream do not agree on; found when the first one is asked for.
    ambiguous: Option<HashSet<Cow<'a, str>>>,
    /// The arrays between the opcodes; put in order when the first one is asked for.
    arrays: Option<HashMap<NodeId, &'a Inlined>>,
}

/// Part of a record that is a storage.
struct StorageRange {
    record: Arc<Record>,
    /// The first element, and the byte behind the last one.
    first_element: u64,
    limit: u64,
}

impl<'a> StorageResolver<'a> {
    /// For the storages of `trace`.
    pub(crate) fn new(
        trace: &'a Trace,
        place: StorageLocation<'a>,
        member: Option<&str>,
        outermost: bool,
        budget: &ScanBudget,
    ) -> Self {
        let member = member.map(Arc::from);
        Self {
            trace,
            location: place,
            member,
            is_outermost: outermost,
            budget: budget.clone(),
            records: HashMap::new(),
            ambiguous: None,
            arrays: None,
        }
    }

    /// The numbers of a tensor, its type and its shape in elements.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub(crate) fn resolve(&mut self, tensor: &TensorDescription) -> Result<(TensorSource, Dtype, Vec<u64>), String> {
        if let TensorData::TarKey(key) = &tensor.elements {
            return self.tar_tensor(key);
        }
        let shape = tensor.shape.clone().ok_or("its shape is not made of whole numbers")?;
        // What has no name as a number is bytes.
        let dtype = tensor.dtype.or_else(|| Dtype::from_name("U8")).ok_or("no type")?;
        let data = match &tensor.elements {
            TensorData::Storage(stored) => self.resolve_view(stored, dtype, &shape)?,
            TensorData::Literal { data, order } => {
                let record = Arc::new(self.literal(*data)?);
                dense_source(record, tensor, dtype, &shape, *order)?
            }
            TensorData::Inline { node, order } => {
                let record = Arc::new(self.inline(*node, byte_len(&shape, tensor.element_size)?)?);
                dense_source(record, tensor, dtype, &shape, *order)?
            }
            TensorData::Bytes(bytes) => {
                let record = Arc::new(Record::from_bytes(bytes.clone()));
                dense_source(record, tensor, dtype, &shape, MemoryOrder { fortran: false, big_endian: false })?
            }
            TensorData::Meta => return Err("it is on the meta device and has no numbers".to_owned()),
            TensorData::Invalid(why) => return Err((*why).to_owned()),
            TensorData::TarKey(_) => return Err("it has two keys".to_owned()),
        };
        Ok((data, dtype, shape))
    }

    fn resolve_view(&mut self, stored: &StorageView, dtype: Dtype, shape: &[u64]) -> Result<TensorSource, String> {
        let StorageRange { record, first_element: first, limit: room } = self.storage_range(stored.storage, dtype)?;
        let offset = first.checked_add(stored.offset).ok_or("its offset does not fit in 64 bits")?;
        let view = View::new(dtype.size(), offset, shape, &stored.stride, room).map_err(|why| why.to_string())?;
        let transform = Transform::new(dtype, record.big_endian, stored.conj, stored.neg)?;
        Ok(TensorSource::from_view(record, view, transform))
    }

    /// The bytes that hold numbers of which `per` share one. Only what is packed from the start in a row is bytes.
    pub(crate) fn resolve_packed(
        &mut self,
        stored: &StorageView,
        shape: &[u64],
        per: u64,
    ) -> Result<(TensorSource, Vec<u64>), String> {
        let dtype = Dtype::from_name("U8").ok_or("no type")?;
        let StorageRange { record, first_element: first, limit: room } = self.storage_range(stored.storage, dtype)?;
        let room = room.checked_mul(per).ok_or("its storage does not fit in 64 bits")?;
        let view = View::new(1, stored.offset, shape, &stored.stride, room).map_err(|why| why.to_string())?;
        if first != 0 || view.start() != 0 || !view.is_contiguous() {
            return Err("it is a view into packed numbers".to_owned());
        }
        let len = view.len().div_ceil(per);
        let view = View::dense(1, &[len], false, record.len()).map_err(|why| why.to_string())?;
        Ok((TensorSource::from_view(record, view, Transform::default()), vec![len]))
    }

    fn storage_range(&mut self, value: Value, dtype: Dtype) -> Result<StorageRange, String> {
        let id = self.trace.made(value).ok_or("its storage is not known")?.args;
        let named = storage(self.trace, id).ok_or("its storage is named in no way that torch knows")?;
        let bytes = named.bytes.ok_or("its storage is of a class that torch does not have")?;
        let items = self.trace.tuple(id).map_or(&[][..], |items| &items.kept);
        let (module, class) = items.get(1).and_then(|class| import(self.trace, *class)).unwrap_or_default();
        let counted = item_size(class.rsplit('.').next().unwrap_or_default());
        if module != "torch" && !module.starts_with("torch.") {
            return Err(format!("its storage is of the class {module}.{class}, which is none of torch"));
        }
        let view = items.get(5).copied().unwrap_or(Value::None);
        let trace = self.trace;
        let disputed = self.ambiguous.get_or_insert_with(|| ambiguous_keys(trace));
        let view_key = sequence(trace, view).and_then(|view| trace.shown(*view.first()?, MAX_KEY_BYTES));
        if let Some(key) =
            [Some(&named.key), view_key.as_ref()].into_iter().flatten().find(|key| disputed.contains(*key))
        {
            return Err(format!("storage {key} is named in two ways, of which torch takes the first"));
        }
        if named.meta && bytes > 0 {
            return Err("its storage is on the meta device and has no numbers".to_owned());
        }
        let record = self.record(named.key.clone(), bytes)?;
        if record.len() < bytes {
            let why = format!("storage {} is said to have {bytes} bytes and has {}", named.key, record.len());
            return Err(why);
        }
        // A view of a storage, as the legacy stream has them: key, first element, number of elements.
        if view == Value::None {
            return Ok(StorageRange { record, first_element: 0, limit: bytes });
        }
        let Some([_, Value::Int(first), Value::Int(count)]) = sequence(self.trace, view) else {
            return Err(format!("the view of storage {} is not made of whole numbers", named.key));
        };
        if counted != Some(dtype.size()) {
            return Err(format!("a view of storage {} counts in other elements than its tensor", named.key));
        }
        let part = || {
            let first = u64::try_from(*first).ok()?;
            let end = first.checked_add(u64::try_from(*count).ok()?)?.checked_mul(dtype.size())?;
            (end <= bytes).then_some((first, end))
        };
        let (first, room) = part().ok_or_else(|| format!("a view reaches out of storage {}", named.key))?;
        Ok(StorageRange { record, first_element: first, limit: room })
    }

    fn record(&mut self, key: Cow<'a, str>, bytes: u64) -> Result<Arc<Record>, String> {
        if let Some(record) = self.records.get(&key) {
            return Ok(record.clone());
        }
        let lacking = || format!("storage {key} is not there");
        let record = match &self.location {
            StorageLocation::Zip { zip, big_endian: big } => {
                let name = format!("{}/data/{key}", zip.root);
                match zip.entry(&name) {
                    Some(entry) => {
                        zip_record::open(entry, self.member.as_deref(), self.is_outermost, *big, &self.budget)?
                    }
                    // Records of no bytes may be left out.
                    None if bytes == 0 => Record::from_bytes(Arc::new([])),
                    None => return Err(format!("its record {name} is not there")),
                }
            }
            StorageLocation::Legacy { source, storages } => {
                let Range { at, len } = *storages.get(key.as_ref()).ok_or_else(lacking)?;
                let mut record = Record::new(SharedSource::clone(source), at, len).ok_or_else(lacking)?;
                record.member.clone_from(&self.member);
                record.file_offset = self.is_outermost.then_some(at);
                record
            }
            StorageLocation::Tar { .. } | StorageLocation::PickleOnly => {
                return Err("its numbers are in a file beside the pickle, by a name that only its program knows".into());
            }
        };
        let record = Arc::new(record);
        self.records.insert(key, record.clone());
        Ok(record)
    }

    fn tar_tensor(&mut self, key: &str) -> Result<(TensorSource, Dtype, Vec<u64>), String> {
        let StorageLocation::Tar { source, storages, views, tensors, member } = &self.location else {
            return Err(format!("its numbers are elsewhere, under the name {key}"));
        };
        let tensor = tensors.get(key).ok_or_else(|| format!("tensor {key} is not there"))?;
        let lacking = || format!("storage {} is not there", tensor.storage);
        let (root, view) = match views.get(&tensor.storage) {
            Some(view) => (&view.root, Some(view)),
            None => (&tensor.storage, None),
        };
        // torch puts views among the storages one after the other: of one of these the whole is not what it was.
        if view.is_some() && views.contains_key(root) {
            return Err(format!("storage {} is a view of a view", tensor.storage));
        }
        let storage = storages.get(root).ok_or_else(lacking)?;
        let dtype = storage
            .class
            .rsplit('.')
            .next()
            .and_then(Dtype::from_storage_class)
            .ok_or("an unknown class of storage")?;
        let Range { at, len } = storage.range;
        let outside = || format!("a view reaches out of storage {root}");
        let (first, room) = match view {
            Some(view) => {
                let end = view.offset.checked_add(view.len).and_then(|end| end.checked_mul(dtype.size()));
                (view.offset, end.filter(|end| *end <= len).ok_or_else(outside)?)
            }
            None => (0, len),
        };
        let mut record = Record::new(SharedSource::clone(source), at, len).ok_or_else(lacking)?;
        record.member = Some(member.clone());
        let offset = first.checked_add(tensor.offset).ok_or_else(outside)?;
        let view =
            View::new(dtype.size(), offset, &tensor.shape, &tensor.stride, room).map_err(|why| why.to_string())?;
        Ok((TensorSource::from_view(Arc::new(record), view, Transform::default()), dtype, tensor.shape.clone()))
    }

    /// Bytes, or what stands for bytes.
    fn literal(&self, data: Value) -> Result<Record, String> {
        let trace = self.trace;
        let source = &trace.source;
        let mut record = match data {
            Value::Bytes { len: u32::MAX, .. } | Value::Text { len: u32::MAX, .. } => {
                return Err("a literal of 4 GiB or more".to_owned());
            }
            Value::Bytes { len, at } => {
                let mut record = Record::new(source.clone(), at, len.into()).ok_or("its bytes are cut off")?;
                record.file_offset = self.is_outermost.then_some(at);
                record
            }
            Value::Text { encoding, len, at } => {
                let bytes = latin1_text::decode(source, at, len, encoding).map_err(|error| error.to_string())?;
                let len = bytes.len();
                let mut record = Record::new(bytes, 0, len).ok_or("its bytes are cut off")?;
                record.member_offset = at;
                record
            }
            _ => {
                let made = trace.made(data).ok_or("its bytes are not in the pickle")?;
                let function = qualified_name(trace, made.callee).unwrap_or_default();
                match (function.as_str(), sequence(trace, made.args)) {
                    ("_codecs.encode", Some([text @ Value::Text { .. }, codec])) => {
                        let codec = trace.text(*codec, 16).unwrap_or_default();
                        if !matches!(codec.as_str(), "latin1" | "latin-1" | "iso8859-1" | "iso-8859-1") {
                            return Err(format!("its bytes are a text in {codec}"));
                        }
                        return self.literal(*text);
                    }
                    ("builtins.bytes" | "__builtin__.bytes", Some([])) => Record::from_bytes(Arc::new([])),
                    _ => return Err(format!("its bytes are what {function} makes")),
                }
            }
        };
        record.member.clone_from(&self.member);
        Ok(record)
    }

    /// The array that the machine skipped behind a wrapper: in front of it stands only padding.
    fn inline(&mut self, node: NodeId, len: u64) -> Result<Record, String> {
        let trace = self.trace;
        let arrays = self.arrays.get_or_insert_with(|| trace.arrays.iter().map(|array| (array.node, array)).collect());
        let array = arrays.get(&node).ok_or("its array is not in the stream")?;
        let at = array.end.checked_sub(len).filter(|at| *at >= array.start).ok_or("its array has another length")?;
        let mut record = Record::new(self.trace.source.clone(), at, len).ok_or("its array is cut off")?;
        record.member.clone_from(&self.member);
        record.file_offset = self.is_outermost.then_some(at);
        Ok(record)
    }
}

/// How a storage is named: its class, the key of the whole it is a part of, and numbers.
type Declaration<'a> = (Option<(&'a str, &'a str)>, Option<Cow<'a, str>>, [Value; 3]);

/// Keys that are named in more than one way. torch makes a storage when it meets its key for the first time, and whoever
/// names that key later, by whatever class and size, gets that one.
fn ambiguous_keys(trace: &Trace) -> HashSet<Cow<'_, str>> {
    // Only where a key was named first is kept: there are as many keys as tensors.
    let mut first: HashMap<Cow<'_, str>, (Value, bool)> = HashMap::with_capacity(trace.persistent.len());
    let mut disputed = HashSet::new();
    for id in &trace.persistent {
        for part in [false, true] {
            let Some((key, named)) = declaration(trace, *id, part) else { continue };
            match first.entry(key) {
                Entry::Occupied(known) => {
                    let (id, part) = *known.get();
                    if self::declaration(trace, id, part).is_none_or(|(_, first)| first != named) {
                        disputed.insert(known.key().clone());
                    }
                }
                Entry::Vacant(place) => _ = place.insert((*id, part)),
            }
        }
    }
    disputed
}

/// The key that a persistent id names, and how: its storage, or the `part` of it that is a storage of its own.
fn declaration(trace: &Trace, id: Value, part: bool) -> Option<(Cow<'_, str>, Declaration<'_>)> {
    let [_, class, key, _, count, more @ ..] = trace.tuple(id)?.kept.as_slice() else { return None };
    let class = import(trace, *class);
    if part {
        let [view, offset, size] = sequence(trace, *more.first()?)? else { return None };
        return Some((
            trace.shown(*view, MAX_KEY_BYTES)?,
            (class, trace.shown(*key, MAX_KEY_BYTES), [*count, *offset, *size]),
        ));
    }
    // Empty storages of all types are one for some of its versions.
    let counts = *count != Value::Int(0);
    counts.then(|| Some((trace.shown(*key, MAX_KEY_BYTES)?, (class, None, [*count, Value::None, Value::None]))))?
}

fn byte_len(shape: &[u64], item: u64) -> Result<u64, String> {
    let length = shape.iter().try_fold(item, |length, size| length.checked_mul(*size));
    length.ok_or_else(|| "its size does not fit in 64 bits".to_owned())
}

/// An array that fills its record exactly.
fn dense_source(
    record: Arc<Record>,
    tensor: &TensorDescription,
    dtype: Dtype,
    shape: &[u64],
    order: MemoryOrder,
) -> Result<TensorSource, String> {
    let wanted = byte_len(shape, tensor.element_size)?;
    if record.len() != wanted {
        return Err(format!("its shape takes {wanted} bytes, {} are there", record.len()));
    }
    let view = View::dense(tensor.element_size, shape, order.fortran, wanted).map_err(|why| why.to_string())?;
    // Of what is no number that has a name, the bytes stay as they are.
    let transform = match tensor.dtype {
        Some(_) => Transform::new(dtype, order.big_endian, false, false)?,
        None => Transform::default(),
    };
    Ok(TensorSource::from_view(record, view, transform))
}
