//! Resolves the tensors of a pickle to bytes: storages that persistent ids name, literals, and arrays between the opcodes.
//! Every range is checked against the bytes that are present.

use crate::bounds::MAX_KEY_BYTES;
use crate::bytes::dtype::Dtype;
use crate::bytes::latin1_text;
use crate::bytes::record::ByteRecord;
use crate::bytes::strided::StridedView;
use crate::bytes::tensor_source::TensorSource;
use crate::bytes::transform::Transform;
use crate::bytes::zip_record;
use crate::plan::reason::Reason;
use crate::plan::storage_error::{LiteralError, StorageError};
use crate::plan::storage_keys::ambiguous_keys;
use crate::values::tensor::{MemoryOrder, StorageView, TensorData, TensorDescription};
use crate::values::trace_ext::{import, qualified_name, sequence};
use scanner::internal::format::torch_zip::{item_size, storage_id};
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::observe::layout::{ByteRange, TarStorage, TarTensor, TarView, TorchZip};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::trace::InlineArray;
use scanner::internal::pickle::value::{NodeId, Value};
use scanner::source::SharedSource;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Where the storages of a pickle are.
pub(crate) enum StorageLocation<'a> {
    /// In records of a torch zip.
    Zip {
        /// The zip.
        zip: &'a TorchZip,
        /// Whether its records are big-endian.
        big_endian: bool,
    },
    /// Behind the pickle, in the legacy format of torch.
    Legacy {
        /// The file.
        source: &'a SharedSource,
        /// Ranges of the file by key.
        storages: &'a HashMap<String, ByteRange>,
    },
    /// In the other two members of a torch tar.
    Tar {
        /// The member `storages`.
        source: &'a SharedSource,
        /// Ranges of the member by key.
        storages: &'a HashMap<String, TarStorage>,
        /// Storages that are views of others, by key.
        views: &'a HashMap<String, TarView>,
        /// Tensors by key.
        tensors: &'a HashMap<String, TarTensor>,
        /// The path of the member in the file.
        member: Arc<str>,
    },
    /// Nowhere: a pickle without storages.
    PickleOnly,
}

/// Resolves the tensors of one pickle.
pub(crate) struct StorageResolver<'a> {
    pub(crate) trace: &'a Trace,
    location: StorageLocation<'a>,
    /// The path of the pickle in the file; `None` for the file itself.
    member: Option<Arc<str>>,
    /// Whether offsets in the archive or the pickle are offsets in the file.
    is_outermost: bool,
    budget: ScanBudget,
    records: HashMap<Cow<'a, str>, Arc<ByteRecord>>,
    /// Keys that the pickle declares in different ways; computed for the first storage.
    ambiguous: Option<HashSet<Cow<'a, str>>>,
    /// Arrays between the opcodes; indexed for the first array.
    arrays: Option<HashMap<NodeId, &'a InlineArray>>,
}

/// A tensor and its bytes.
pub(crate) struct ResolvedTensor {
    pub(crate) source: TensorSource,
    pub(crate) dtype: Dtype,
    /// The length of each dimension in elements of that type.
    pub(crate) shape: Vec<u64>,
}

/// A storage: a record, or a part of one.
struct StorageRange {
    record: Arc<ByteRecord>,
    /// Index of the first element in the record.
    first_element: u64,
    /// Offset of the byte behind the last element.
    limit: u64,
}

impl<'a> StorageResolver<'a> {
    /// A resolver for the tensors of `trace`. `member` is the path of its pickle in the file; `is_outermost` says whether
    /// offsets in the archive or the pickle are offsets in the file.
    pub(crate) fn new(
        trace: &'a Trace,
        location: StorageLocation<'a>,
        member: Option<&str>,
        is_outermost: bool,
        budget: &ScanBudget,
    ) -> Self {
        Self {
            trace,
            location,
            member: member.map(Arc::from),
            is_outermost,
            budget: budget.clone(),
            records: HashMap::new(),
            ambiguous: None,
            arrays: None,
        }
    }

    /// The bytes, type and shape of a tensor.
    ///
    /// # Errors
    /// When the description is not valid, or the bytes that it names are not present.
    pub(crate) fn resolve(&mut self, tensor: &TensorDescription) -> Result<ResolvedTensor, Reason> {
        let shape = || tensor.shape.clone().ok_or(Reason::UnknownShape);
        // Elements without a numeric type (text, dates, records) are bytes.
        let dtype = tensor.dtype.unwrap_or_else(Dtype::byte);
        let (source, shape) = match &tensor.elements {
            TensorData::TarKey(key) => return self.tar_tensor(key),
            TensorData::Storage(view) => {
                let shape = shape()?;
                (self.resolve_view(view, dtype, &shape)?, shape)
            }
            TensorData::Literal { data, order } => {
                let shape = shape()?;
                let record = Arc::new(self.literal(*data)?);
                (dense_source(record, tensor, dtype, &shape, *order)?, shape)
            }
            TensorData::Inline { node, order } => {
                let shape = shape()?;
                let record = Arc::new(self.inline(*node, byte_len(&shape, tensor.element_size)?)?);
                (dense_source(record, tensor, dtype, &shape, *order)?, shape)
            }
            TensorData::Bytes(bytes) => {
                let shape = shape()?;
                let record = Arc::new(ByteRecord::from_bytes(bytes.clone()));
                let order = MemoryOrder { fortran: false, big_endian: false };
                (dense_source(record, tensor, dtype, &shape, order)?, shape)
            }
            TensorData::Meta => return Err(Reason::Meta),
            TensorData::Invalid(reason) => return Err((*reason).into()),
        };
        Ok(ResolvedTensor { source, dtype, shape })
    }

    fn resolve_view(&mut self, stored: &StorageView, dtype: Dtype, shape: &[u64]) -> Result<TensorSource, Reason> {
        let StorageRange { record, first_element, limit } = self.storage_range(stored.storage, dtype)?;
        let offset = first_element.checked_add(stored.offset).ok_or(StorageError::OffsetTooLarge)?;
        let view = StridedView::new(dtype.size(), offset, shape, &stored.stride, limit)?;
        let transform = Transform::new(dtype, record.big_endian, stored.conj, stored.neg)?;
        Ok(TensorSource::from_view(record, view, transform))
    }

    /// The bytes of a tensor whose numbers share bytes, `per_byte` in each, and the number of bytes.
    ///
    /// # Errors
    /// As [`Self::resolve`], and for views other than a contiguous one from the first number on.
    pub(crate) fn resolve_packed(
        &mut self,
        stored: &StorageView,
        shape: &[u64],
        per_byte: u64,
    ) -> Result<(TensorSource, Vec<u64>), Reason> {
        let StorageRange { record, first_element, limit } = self.storage_range(stored.storage, Dtype::byte())?;
        let limit = limit.checked_mul(per_byte).ok_or(StorageError::PackedTooLarge)?;
        let view = StridedView::new(1, stored.offset, shape, &stored.stride, limit)?;
        if first_element != 0 || view.start() != 0 || !view.is_contiguous() {
            return Err(StorageError::PackedView.into());
        }
        let len = view.len().div_ceil(per_byte);
        let view = StridedView::dense(1, &[len], false, record.len())?;
        Ok((TensorSource::from_view(record, view, Transform::default()), vec![len]))
    }

    /// The storage of a persistent id: `("storage", class, key, location, count)`, and in the legacy format a view
    /// `(key, first element, count)` as sixth item.
    fn storage_range(&mut self, storage_value: Value, dtype: Dtype) -> Result<StorageRange, StorageError> {
        let trace = self.trace;
        let id = trace.made(storage_value).ok_or(StorageError::Undeclared)?.args;
        let declared = storage_id(trace, id).ok_or(StorageError::UnknownId)?;
        let bytes = declared.bytes.ok_or(StorageError::UnknownClass)?;
        let items = trace.tuple(id).map_or(&[][..], |items| &items.kept);
        let (module, class) = items.get(1).and_then(|class| import(trace, *class)).unwrap_or_default();
        if module != "torch" && !module.starts_with("torch.") {
            return Err(StorageError::ForeignClass { module: module.to_owned(), class: class.to_owned() });
        }
        let view = items.get(5).copied().unwrap_or(Value::None);
        let ambiguous = self.ambiguous.get_or_insert_with(|| ambiguous_keys(trace));
        let view_key = sequence(trace, view).and_then(|view| trace.short_text(*view.first()?, MAX_KEY_BYTES));
        let mut keys = [Some(&declared.key), view_key.as_ref()].into_iter().flatten();
        if let Some(key) = keys.find(|key| ambiguous.contains(*key)) {
            return Err(StorageError::Ambiguous { key: key.clone().into_owned() });
        }
        if declared.meta && bytes > 0 {
            return Err(StorageError::Meta);
        }
        let key = || declared.key.clone().into_owned();
        let record = self.record(declared.key.clone(), bytes)?;
        if record.len() < bytes {
            return Err(StorageError::Short { key: key(), declared: bytes, present: record.len() });
        }
        if view == Value::None {
            return Ok(StorageRange { record, first_element: 0, limit: bytes });
        }
        let Some([_, Value::Int(first), Value::Int(count)]) = sequence(trace, view) else {
            return Err(StorageError::ViewNumbers { key: key() });
        };
        if item_size(class.rsplit('.').next().unwrap_or_default()) != Some(dtype.size()) {
            return Err(StorageError::ViewElement { key: key() });
        }
        let range = || {
            let first = u64::try_from(*first).ok()?;
            let end = first.checked_add(u64::try_from(*count).ok()?)?.checked_mul(dtype.size())?;
            (end <= bytes).then_some((first, end))
        };
        let (first_element, limit) = range().ok_or_else(|| StorageError::ViewOutOfBounds { key: key() })?;
        Ok(StorageRange { record, first_element, limit })
    }

    /// The record of a storage that is declared with this number of bytes.
    fn record(&mut self, key: Cow<'a, str>, bytes: u64) -> Result<Arc<ByteRecord>, StorageError> {
        if let Some(record) = self.records.get(&key) {
            return Ok(record.clone());
        }
        let missing = || StorageError::Missing { key: key.clone().into_owned() };
        let record = match &self.location {
            StorageLocation::Zip { zip, big_endian } => {
                let name = format!("{}/data/{key}", zip.root);
                let pickle = self.member.as_deref();
                match zip.entry(&name) {
                    Some(entry) => zip_record::open(entry, pickle, self.is_outermost, *big_endian, &self.budget)?,
                    // torch writes no record for an empty storage.
                    None if bytes == 0 => ByteRecord::from_bytes(Arc::new([])),
                    None => return Err(StorageError::RecordMissing { name }),
                }
            }
            StorageLocation::Legacy { source, storages } => {
                let ByteRange { at, len } = *storages.get(key.as_ref()).ok_or_else(missing)?;
                let mut record = ByteRecord::new(SharedSource::clone(source), at, len).ok_or_else(missing)?;
                record.member.clone_from(&self.member);
                record.file_offset = self.is_outermost.then_some(at);
                record
            }
            StorageLocation::Tar { .. } | StorageLocation::PickleOnly => return Err(StorageError::External),
        };
        let record = Arc::new(record);
        self.records.insert(key, record.clone());
        Ok(record)
    }

    fn tar_tensor(&mut self, key: &str) -> Result<ResolvedTensor, Reason> {
        let StorageLocation::Tar { source, storages, views, tensors, member } = &self.location else {
            return Err(StorageError::NotInTar { key: key.to_owned() }.into());
        };
        let tensor = tensors.get(key).ok_or_else(|| StorageError::TensorMissing { key: key.to_owned() })?;
        let missing = || StorageError::Missing { key: tensor.storage.clone() };
        let (root, view) = match views.get(&tensor.storage) {
            Some(view) => (&view.root, Some(view)),
            None => (&tensor.storage, None),
        };
        // torch replaces storages by views one after the other, so the root of such a view is no longer a whole storage.
        if view.is_some() && views.contains_key(root) {
            return Err(StorageError::ViewOfView { key: tensor.storage.clone() }.into());
        }
        let storage = storages.get(root).ok_or_else(missing)?;
        let class = storage.class.rsplit('.').next();
        let dtype = class.and_then(Dtype::from_storage_class).ok_or(StorageError::UnknownTarClass)?;
        let ByteRange { at, len } = storage.range;
        let out_of_bounds = || StorageError::ViewOutOfBounds { key: root.clone() };
        let (first_element, limit) = match view {
            Some(view) => {
                let end = view.offset.checked_add(view.len).and_then(|end| end.checked_mul(dtype.size()));
                (view.offset, end.filter(|end| *end <= len).ok_or_else(out_of_bounds)?)
            }
            None => (0, len),
        };
        let mut record = ByteRecord::new(SharedSource::clone(source), at, len).ok_or_else(missing)?;
        record.member = Some(member.clone());
        let offset = first_element.checked_add(tensor.offset).ok_or_else(out_of_bounds)?;
        let view = StridedView::new(dtype.size(), offset, &tensor.shape, &tensor.stride, limit)?;
        let source = TensorSource::from_view(Arc::new(record), view, Transform::default());
        Ok(ResolvedTensor { source, dtype, shape: tensor.shape.clone() })
    }

    /// The record of bytes, or of a text that stands for bytes.
    fn literal(&self, data: Value) -> Result<ByteRecord, LiteralError> {
        let trace = self.trace;
        let source = &trace.source;
        let mut record = match data {
            Value::Bytes { len: u32::MAX, .. } | Value::Text { len: u32::MAX, .. } => {
                return Err(LiteralError::TooLarge);
            }
            Value::Bytes { len, at } => {
                let mut record = ByteRecord::new(source.clone(), at, len.into()).ok_or(LiteralError::CutOff)?;
                record.file_offset = self.is_outermost.then_some(at);
                record
            }
            Value::Text { encoding, len, at } => {
                let bytes = latin1_text::decode(source, at, len, encoding)?;
                let len = bytes.len();
                let mut record = ByteRecord::new(bytes, 0, len).ok_or(LiteralError::CutOff)?;
                record.member_offset = at;
                record
            }
            _ => {
                let made = trace.made(data).ok_or(LiteralError::NotLiteral)?;
                let function = qualified_name(trace, made.callee).unwrap_or_default();
                match (function.as_str(), sequence(trace, made.args)) {
                    ("_codecs.encode", Some([text @ Value::Text { .. }, codec])) => {
                        let codec = trace.text(*codec, 16).unwrap_or_default();
                        if !matches!(codec.as_str(), "latin1" | "latin-1" | "iso8859-1" | "iso-8859-1") {
                            return Err(LiteralError::Encoding { codec });
                        }
                        return self.literal(*text);
                    }
                    ("builtins.bytes" | "__builtin__.bytes", Some([])) => ByteRecord::from_bytes(Arc::new([])),
                    _ => return Err(LiteralError::Computed { function }),
                }
            }
        };
        record.member.clone_from(&self.member);
        Ok(record)
    }

    /// The record of an array that follows its wrapper, after padding of any length.
    fn inline(&mut self, node: NodeId, len: u64) -> Result<ByteRecord, LiteralError> {
        let trace = self.trace;
        let arrays = self.arrays.get_or_insert_with(|| trace.arrays.iter().map(|array| (array.node, array)).collect());
        let array = arrays.get(&node).ok_or(LiteralError::ArrayMissing)?;
        let start = array.end.checked_sub(len).filter(|start| *start >= array.start);
        let start = start.ok_or(LiteralError::ArrayLength)?;
        let mut record = ByteRecord::new(trace.source.clone(), start, len).ok_or(LiteralError::ArrayCutOff)?;
        record.member.clone_from(&self.member);
        record.file_offset = self.is_outermost.then_some(start);
        Ok(record)
    }
}

fn byte_len(shape: &[u64], element_size: u64) -> Result<u64, Reason> {
    let len = shape.iter().try_fold(element_size, |len, size| len.checked_mul(*size));
    len.ok_or(Reason::TooLarge)
}

/// An array without gaps that fills its record.
fn dense_source(
    record: Arc<ByteRecord>,
    tensor: &TensorDescription,
    dtype: Dtype,
    shape: &[u64],
    order: MemoryOrder,
) -> Result<TensorSource, Reason> {
    let expected = byte_len(shape, tensor.element_size)?;
    if record.len() != expected {
        return Err(LiteralError::Length { expected, present: record.len() }.into());
    }
    let view = StridedView::dense(tensor.element_size, shape, order.fortran, expected)?;
    // Elements without a numeric type keep their bytes.
    let transform = match tensor.dtype {
        Some(_) => Transform::new(dtype, order.big_endian, false, false)?,
        None => Transform::default(),
    };
    Ok(TensorSource::from_view(record, view, transform))
}
