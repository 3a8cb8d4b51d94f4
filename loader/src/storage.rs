//! From what a pickle says of its numbers to the bytes they stand in: the persistent id of a storage, a literal, an array
//! between the opcodes. Every range is held against what is really there.

use crate::data::Data;
use crate::dtype::Dtype;
use crate::reading::{call, import, name, row};
use crate::recode;
use crate::record::Record;
use crate::strided::View;
use crate::tensor::{Numbers, Order, Stored, Tensor};
use crate::transform::Transform;
use crate::walk::KEY;
use crate::zip_record;
use scanner::internal::format::torch_zip::{item_size, storage_id};
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::observe::layout::{ByteRange, TarStorage, TarTensor, TarView, TorchZip};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::trace::InlineArray;
use scanner::internal::pickle::value::{NodeId, Value};
use scanner::source::SharedSource;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Where the storages of a pickle are.
pub(crate) enum Place<'a> {
    /// Records of a torch zip.
    Zip {
        /// The zip.
        zip: &'a TorchZip,
        /// Whether its numbers are big-endian.
        big: bool,
    },
    /// Ranges of the file behind the pickle.
    Legacy {
        /// The file.
        source: &'a SharedSource,
        /// By key.
        storages: &'a HashMap<String, ByteRange>,
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
    Nowhere,
}

/// Finds the numbers of one pickle.
pub(crate) struct Storages<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) place: Place<'a>,
    /// The path of the pickle inside the file.
    pub(crate) member: Option<Arc<str>>,
    /// Whether the file is what the ranges of the outermost records are ranges of.
    pub(crate) outermost: bool,
    pub(crate) budget: ScanBudget,
    known: HashMap<Cow<'a, str>, Arc<Record>>,
    /// Keys that persistent ids of the stream do not agree on; found when the first one is asked for.
    disputed: Option<HashSet<Cow<'a, str>>>,
    /// The arrays between the opcodes; put in order when the first one is asked for.
    arrays: Option<HashMap<NodeId, &'a InlineArray>>,
}

/// Part of a record that is a storage.
struct Part {
    record: Arc<Record>,
    /// The first element, and the byte behind the last one.
    first: u64,
    room: u64,
}

impl<'a> Storages<'a> {
    /// For the storages of `trace`.
    pub(crate) fn new(
        trace: &'a Trace,
        place: Place<'a>,
        member: Option<&str>,
        outermost: bool,
        budget: &ScanBudget,
    ) -> Self {
        let member = member.map(Arc::from);
        Self {
            trace,
            place,
            member,
            outermost,
            budget: budget.clone(),
            known: HashMap::new(),
            disputed: None,
            arrays: None,
        }
    }

    /// The numbers of a tensor, its type and its shape in elements.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub(crate) fn find(&mut self, tensor: &Tensor) -> Result<(Data, Dtype, Vec<u64>), String> {
        if let Numbers::Keyed(key) = &tensor.numbers {
            return self.keyed(key);
        }
        let shape = tensor.shape.clone().ok_or("its shape is not made of whole numbers")?;
        // What has no name as a number is bytes.
        let dtype = tensor.dtype.or_else(|| Dtype::named("U8")).ok_or("no type")?;
        let data = match &tensor.numbers {
            Numbers::Stored(stored) => self.stored(stored, dtype, &shape)?,
            Numbers::Literal { data, order } => {
                let record = Arc::new(self.literal(*data)?);
                laid_out(record, tensor, dtype, &shape, *order)?
            }
            Numbers::Inline { node, order } => {
                let record = Arc::new(self.inline(*node, length(&shape, tensor.item)?)?);
                laid_out(record, tensor, dtype, &shape, *order)?
            }
            Numbers::Made(bytes) => {
                let record = Arc::new(Record::made(bytes.clone()));
                laid_out(record, tensor, dtype, &shape, Order { fortran: false, big: false })?
            }
            Numbers::Absent => return Err("it is on the meta device and has no numbers".to_owned()),
            Numbers::Wrong(why) => return Err((*why).to_owned()),
            Numbers::Keyed(_) => return Err("it has two keys".to_owned()),
        };
        Ok((data, dtype, shape))
    }

    fn stored(&mut self, stored: &Stored, dtype: Dtype, shape: &[u64]) -> Result<Data, String> {
        let Part { record, first, room } = self.part(stored.storage, dtype)?;
        let offset = first.checked_add(stored.offset).ok_or("its offset does not fit in 64 bits")?;
        let view = View::new(dtype.size(), offset, shape, &stored.stride, room).map_err(|why| why.to_string())?;
        let transform = Transform::new(dtype, record.big, stored.conj, stored.neg)?;
        Ok(Data::new(record, view, transform))
    }

    /// The bytes that hold numbers of which `per` share one. Only what is packed from the start in a row is bytes.
    pub(crate) fn packed(&mut self, stored: &Stored, shape: &[u64], per: u64) -> Result<(Data, Vec<u64>), String> {
        let dtype = Dtype::named("U8").ok_or("no type")?;
        let Part { record, first, room } = self.part(stored.storage, dtype)?;
        let room = room.checked_mul(per).ok_or("its storage does not fit in 64 bits")?;
        let view = View::new(1, stored.offset, shape, &stored.stride, room).map_err(|why| why.to_string())?;
        if first != 0 || view.start() != 0 || !view.contiguous() {
            return Err("it is a view into packed numbers".to_owned());
        }
        let len = view.len().div_ceil(per);
        let view = View::whole(1, &[len], false, record.len()).map_err(|why| why.to_string())?;
        Ok((Data::new(record, view, Transform::default()), vec![len]))
    }

    fn part(&mut self, value: Value, dtype: Dtype) -> Result<Part, String> {
        let id = call(self.trace, value).ok_or("its storage is not known")?.args;
        let named = storage_id(self.trace, id).ok_or("its storage is named in no way that torch knows")?;
        let bytes = named.bytes.ok_or("its storage is of a class that torch does not have")?;
        let items = self.trace.tuple(id).map_or(&[][..], |items| &items.kept);
        let (module, class) = items.get(1).and_then(|class| import(self.trace, *class)).unwrap_or_default();
        let counted = item_size(class.rsplit('.').next().unwrap_or_default());
        if module != "torch" && !module.starts_with("torch.") {
            return Err(format!("its storage is of the class {module}.{class}, which is none of torch"));
        }
        let view = items.get(5).copied().unwrap_or(Value::None);
        let trace = self.trace;
        let disputed = self.disputed.get_or_insert_with(|| disputed(trace));
        let view_key = row(trace, view).and_then(|view| trace.short_text(*view.first()?, KEY));
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
            return Ok(Part { record, first: 0, room: bytes });
        }
        let Some([_, Value::Int(first), Value::Int(count)]) = row(self.trace, view) else {
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
        Ok(Part { record, first, room })
    }

    fn record(&mut self, key: Cow<'a, str>, bytes: u64) -> Result<Arc<Record>, String> {
        if let Some(record) = self.known.get(&key) {
            return Ok(record.clone());
        }
        let lacking = || format!("storage {key} is not there");
        let record = match &self.place {
            Place::Zip { zip, big } => {
                let name = format!("{}/data/{key}", zip.root);
                match zip.entry(&name) {
                    Some(entry) => zip_record::open(entry, self.member.as_deref(), self.outermost, *big, &self.budget)?,
                    // Records of no bytes may be left out.
                    None if bytes == 0 => Record::made(Arc::new([])),
                    None => return Err(format!("its record {name} is not there")),
                }
            }
            Place::Legacy { source, storages } => {
                let ByteRange { at, len } = *storages.get(key.as_ref()).ok_or_else(lacking)?;
                let mut record = Record::new(SharedSource::clone(source), at, len).ok_or_else(lacking)?;
                record.member.clone_from(&self.member);
                record.in_file = self.outermost.then_some(at);
                record
            }
            Place::Tar { .. } | Place::Nowhere => {
                return Err("its numbers are in a file beside the pickle, by a name that only its program knows".into());
            }
        };
        let record = Arc::new(record);
        self.known.insert(key, record.clone());
        Ok(record)
    }

    fn keyed(&mut self, key: &str) -> Result<(Data, Dtype, Vec<u64>), String> {
        let Place::Tar { source, storages, views, tensors, member } = &self.place else {
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
        let dtype =
            storage.class.rsplit('.').next().and_then(Dtype::of_storage).ok_or("an unknown class of storage")?;
        let ByteRange { at, len } = storage.range;
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
        Ok((Data::new(Arc::new(record), view, Transform::default()), dtype, tensor.shape.clone()))
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
                record.in_file = self.outermost.then_some(at);
                record
            }
            Value::Text { encoding, len, at } => {
                let bytes = recode::bytes(source, at, len, encoding).map_err(|error| error.to_string())?;
                let len = bytes.len();
                let mut record = Record::new(bytes, 0, len).ok_or("its bytes are cut off")?;
                record.offset = at;
                record
            }
            _ => {
                let made = call(trace, data).ok_or("its bytes are not in the pickle")?;
                let function = name(trace, made.callee).unwrap_or_default();
                match (function.as_str(), row(trace, made.args)) {
                    ("_codecs.encode", Some([text @ Value::Text { .. }, codec])) => {
                        let codec = trace.text(*codec, 16).unwrap_or_default();
                        if !matches!(codec.as_str(), "latin1" | "latin-1" | "iso8859-1" | "iso-8859-1") {
                            return Err(format!("its bytes are a text in {codec}"));
                        }
                        return self.literal(*text);
                    }
                    ("builtins.bytes" | "__builtin__.bytes", Some([])) => Record::made(Arc::new([])),
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
        record.in_file = self.outermost.then_some(at);
        Ok(record)
    }
}

/// How a storage is named: its class, the key of the whole it is a part of, and numbers.
type Named<'a> = (Option<(&'a str, &'a str)>, Option<Cow<'a, str>>, [Value; 3]);

/// Keys that are named in more than one way. torch makes a storage when it meets its key for the first time, and whoever
/// names that key later, by whatever class and size, gets that one.
fn disputed(trace: &Trace) -> HashSet<Cow<'_, str>> {
    // Only where a key was named first is kept: there are as many keys as tensors.
    let mut first: HashMap<Cow<'_, str>, (Value, bool)> = HashMap::with_capacity(trace.persistent.len());
    let mut disputed = HashSet::new();
    for id in &trace.persistent {
        for part in [false, true] {
            let Some((key, named)) = named(trace, *id, part) else { continue };
            match first.entry(key) {
                Entry::Occupied(known) => {
                    let (id, part) = *known.get();
                    if self::named(trace, id, part).is_none_or(|(_, first)| first != named) {
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
fn named(trace: &Trace, id: Value, part: bool) -> Option<(Cow<'_, str>, Named<'_>)> {
    let [_, class, key, _, count, more @ ..] = trace.tuple(id)?.kept.as_slice() else { return None };
    let class = import(trace, *class);
    if part {
        let [view, offset, size] = row(trace, *more.first()?)? else { return None };
        return Some((trace.short_text(*view, KEY)?, (class, trace.short_text(*key, KEY), [*count, *offset, *size])));
    }
    // Empty storages of all types are one for some of its versions.
    let counts = *count != Value::Int(0);
    counts.then(|| Some((trace.short_text(*key, KEY)?, (class, None, [*count, Value::None, Value::None]))))?
}

fn length(shape: &[u64], item: u64) -> Result<u64, String> {
    let length = shape.iter().try_fold(item, |length, size| length.checked_mul(*size));
    length.ok_or_else(|| "its size does not fit in 64 bits".to_owned())
}

/// An array that fills its record exactly.
fn laid_out(record: Arc<Record>, tensor: &Tensor, dtype: Dtype, shape: &[u64], order: Order) -> Result<Data, String> {
    let wanted = length(shape, tensor.item)?;
    if record.len() != wanted {
        return Err(format!("its shape takes {wanted} bytes, {} are there", record.len()));
    }
    let view = View::whole(tensor.item, shape, order.fortran, wanted).map_err(|why| why.to_string())?;
    // Of what is no number that has a name, the bytes stay as they are.
    let transform = match tensor.dtype {
        Some(_) => Transform::new(dtype, order.big, false, false)?,
        None => Transform::default(),
    };
    Ok(Data::new(record, view, transform))
}
