//! Distributed checkpoints: a folder with `.metadata` and files of consecutive torch zips, each with one part of a tensor.

use crate::bytes::chunks::{Chunk, ChunkError, ChunkedTensor};
use crate::bytes::dtype::Dtype;
use crate::bytes::tensor_source::TensorSource;
use crate::checkpoint::metadata::{Metadata, PartBox, PartLocation, PartedTensor};
use crate::checkpoint::sharded::is_file_name;
use crate::error::{Error, MetadataError, UsageError};
use crate::open::{Checkpoint, LoadOptions, OpenedFile, open_with_clearance, with_loader_limits};
use crate::plan::contents::FormatPlanner;
use crate::plan::draft::{DraftTensor, Drafts};
use crate::plan::file_error::PartError;
use crate::plan::left_out::LeftOutReason;
use crate::plan::reason::Reason;
use crate::plan::storage::ResolvedTensor;
use crate::values::walk::walk;
use std::collections::BTreeMap;
use std::path::Path;

/// The name of the file with the metadata.
pub(crate) const METADATA_FILE: &str = ".metadata";

/// Opens all files of a distributed checkpoint and plans its tensors.
///
/// # Errors
/// When the metadata is not valid, a file is not cleared or cannot be read, or a tensor cannot be converted.
pub(crate) fn open(folder: &Path, options: &LoadOptions) -> Result<Checkpoint, Error> {
    let limits = with_loader_limits(&options.limits);
    let path = folder.join(METADATA_FILE);
    let invalid = |error| Error::usage(&path, UsageError::Metadata(error));
    let OpenedFile { examined, proven } = open_with_clearance(&path, &limits, options.allow_unproven)?;
    let metadata = {
        let contents = FormatPlanner::new(&examined, &limits);
        let trace = contents.trace().map_err(|error| invalid(MetadataError::File(error)))?;
        Metadata::read(trace).map_err(invalid)?
    };
    let mut files: BTreeMap<&str, OpenedFile> = BTreeMap::new();
    for location in metadata.locations.values() {
        if !is_file_name(&location.file) {
            return Err(invalid(MetadataError::OutsideFolder { file: location.file.clone() }));
        }
        if !files.contains_key(location.file.as_str()) {
            let file = open_with_clearance(&folder.join(&location.file), &limits, options.allow_unproven)?;
            files.insert(&location.file, file);
        }
    }
    let contents: Files<'_> =
        files.iter().map(|(name, file)| (*name, (FormatPlanner::new(&file.examined, &limits), file.proven))).collect();
    let drafts = drafts(&metadata, &contents, proven, options.root.as_deref());
    drop(contents);
    let len = files.values().map(|file| file.examined.report().size).sum();
    let mut examined = vec![examined];
    examined.extend(files.into_values().map(|file| file.examined));
    Checkpoint::new(folder, examined, drafts, len, options)
}

/// The contents of each file by name, and whether the scan proved its callables inert.
type Files<'a> = BTreeMap<&'a str, (FormatPlanner<'a>, bool)>;

fn drafts(metadata: &Metadata, files: &Files<'_>, proven: bool, root: Option<&str>) -> Drafts {
    let mut drafts = Drafts { framework: "pt", ..Drafts::default() };
    for tensor in &metadata.tensors {
        let Some(name) = relative_name(&tensor.name, root) else {
            drafts.leave_out_tensor(tensor.name.as_str(), LeftOutReason::OutsideRoot);
            continue;
        };
        match join_parts(metadata, tensor, files, proven) {
            Ok(draft) => drafts.tensors.push(DraftTensor { name: name.to_owned(), ..draft }),
            Err(reason) => drafts.refuse(tensor.name.as_str(), reason),
        }
    }
    for other in &metadata.others {
        drafts.leave_out(other.as_str(), LeftOutReason::NotTensor);
    }
    if let Some(root) = root.filter(|_| drafts.tensors.is_empty() && drafts.refused.is_empty()) {
        drafts.refuse(root, Reason::NoSuchRoot { present: None });
    }
    drafts.root = root.map(str::to_owned);
    drafts
}

/// The name of a tensor below the root; `None` outside of it. The root may be a tensor itself.
fn relative_name<'a>(name: &'a str, root: Option<&str>) -> Option<&'a str> {
    match root {
        Some(root) if root != name => name.strip_prefix(root)?.strip_prefix('.'),
        _ => Some(name),
    }
}

/// One tensor of the parts that the metadata gives.
fn join_parts(
    metadata: &Metadata,
    tensor: &PartedTensor,
    files: &Files<'_>,
    proven: bool,
) -> Result<DraftTensor, Reason> {
    let PartedTensor { name, shape, parts } = tensor;
    let mut sources = Vec::new();
    let mut dtype: Option<Dtype> = None;
    for part in parts {
        let find = |offsets: Option<Vec<u64>>| metadata.locations.get(&(name.clone(), offsets));
        // The only part of a tensor may be listed without offsets.
        let only = || find(None).filter(|_| parts.len() == 1);
        let location = match find(Some(part.offsets.clone())).or_else(only) {
            Some(location) => location,
            // Empty parts are not written.
            None if part.sizes.contains(&0) && dtype.is_some() => continue,
            None => return Err(PartError::NoLocation { offsets: part.offsets.clone() }.into()),
        };
        let (contents, file_proven) = files.get(location.file.as_str()).ok_or(PartError::FileNotOpened)?;
        let ResolvedTensor { source, dtype: found, shape } = resolve_part(contents, location, proven && *file_proven)?;
        if shape != part.sizes {
            let (offsets, expected) = (part.offsets.clone(), part.sizes.clone());
            return Err(PartError::Shape { offsets, found: shape, expected }.into());
        }
        if dtype.is_some_and(|dtype| dtype != found) {
            return Err(PartError::DifferentDtypes.into());
        }
        dtype = Some(found);
        sources.push((part, source));
    }
    let dtype = dtype.ok_or(PartError::NoParts)?;
    if let Some(expected) = metadata.dtypes.get(name).filter(|expected| **expected != dtype) {
        return Err(PartError::Dtype { found: dtype, expected: *expected }.into());
    }
    if dtype.safetensors().is_none() {
        return Err(Reason::NotInSafetensors { kind: dtype.name().to_owned() });
    }
    let source = match <[_; 1]>::try_from(sources) {
        Ok([(part, source)]) if part.sizes == *shape => source,
        Ok(only) => chunked(shape, dtype, only.into())?,
        Err(sources) => chunked(shape, dtype, sources)?,
    };
    let mut shape = shape.clone();
    if dtype.is_two_per_byte() {
        let last = shape.last_mut().ok_or(PartError::NoDimension)?;
        *last = last.checked_mul(2).ok_or(Reason::TooLarge)?;
    }
    Ok(DraftTensor { name: name.clone(), dtype, shape, source })
}

/// One tensor of the elements of its parts.
fn chunked(shape: &[u64], dtype: Dtype, parts: Vec<(&PartBox, TensorSource)>) -> Result<TensorSource, ChunkError> {
    let chunk = |(part, source): (&PartBox, TensorSource)| {
        let data = source.into_contiguous().ok_or(ChunkError::NotContiguous)?;
        Ok(Chunk { offsets: part.offsets.clone(), sizes: part.sizes.clone(), data })
    };
    let chunks: Result<Vec<Chunk>, ChunkError> = parts.into_iter().map(chunk).collect();
    Ok(TensorSource::from_chunks(ChunkedTensor::new(shape.to_vec(), dtype.size(), chunks?)?))
}

/// The tensor of the torch zip at a location: its only value.
fn resolve_part(contents: &FormatPlanner<'_>, location: &PartLocation, proven: bool) -> Result<ResolvedTensor, Reason> {
    let mut storages = contents.zip_at(location.offset, location.length)?;
    let mut tensors = Vec::new();
    let names = walk(storages.trace, proven).name_tensors(None, |named| tensors.push(named));
    names.map_err(|_| PartError::NotTensor)?;
    match <[_; 1]>::try_from(tensors) {
        Ok([only]) if only.is_root && only.composite.is_none() && only.excluded.is_none() => {
            storages.resolve(&only.tensor)
        }
        _ => Err(PartError::NotPlainTensor.into()),
    }
}
