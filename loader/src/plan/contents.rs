//! The tensors of one examined file, format by format. Bytes and traces are those that the scanner judged: the loader does
//! not parse the file itself.

use crate::bytes::dtype::Dtype;
use crate::bytes::record::ByteRecord;
use crate::bytes::strided::StridedView;
use crate::bytes::tensor_source::TensorSource;
use crate::bytes::transform::Transform;
use crate::bytes::zip_record::{self, is_big_endian};
use crate::plan::draft::{DraftTensor, Drafts, TensorSelection};
use crate::plan::file_error::FileError;
use crate::plan::left_out::LeftOutReason;
use crate::plan::lossless_parts::{StandIn, stand_in};
use crate::plan::reason::Reason;
use crate::plan::storage::{StorageLocation, StorageResolver};
use scanner::Limits;
use scanner::clearance::Examined;
use scanner::formats::TensorStore;
use scanner::internal::examine::ExaminedArtifact;
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::observe::fact::{Deviation, Fact};
use scanner::internal::observe::layout::{Layout, NpyArray, StoredTensor};
use scanner::internal::pickle::{StreamEnd, Trace};
use scanner::source::SharedSource;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The artifacts of an examined file by their paths in it.
pub(crate) struct FormatPlanner<'a> {
    artifacts: &'a [ExaminedArtifact],
    by_path: HashMap<Option<&'a str>, &'a ExaminedArtifact>,
    source: SharedSource,
    budget: ScanBudget,
}

impl<'a> FormatPlanner<'a> {
    /// The artifacts of `examined`. `limits` apply to records that are unpacked, except for `Limits::time`.
    pub(crate) fn new(examined: &'a Examined, limits: &Limits) -> Self {
        let artifacts = examined.examination().artifacts.as_slice();
        // The time limit of the scan does not apply to a copy: callers stop it by `WriteOptions::stop`.
        let limits = Limits { time: Duration::MAX, ..limits.clone() };
        let by_path = artifacts.iter().rev().map(|examined| (examined.member_path.path(), examined)).collect();
        Self { artifacts, by_path, source: examined.source(), budget: ScanBudget::start(Arc::new(limits)) }
    }

    fn artifact(&self, path: Option<&str>) -> Option<&'a ExaminedArtifact> {
        self.by_path.get(&path).copied()
    }

    /// The tensors of the file. The file name of `path` names arrays without a name.
    pub(crate) fn drafts(&self, path: &Path, selection: &TensorSelection<'_>) -> Drafts {
        let mut drafts = Drafts { framework: "pt", ..Drafts::default() };
        let Some(root) = self.artifacts.first() else { return drafts };
        match root.tensor_store() {
            Some(TensorStore::TorchZip) => self.torch_zip(None, selection, &mut drafts),
            Some(TensorStore::TorchLegacy) => self.torch_legacy(root, selection, &mut drafts),
            Some(TensorStore::TorchTar) => self.torch_tar(selection, &mut drafts),
            Some(TensorStore::Pickle) => self.pickle(root, 0, selection, &mut drafts),
            Some(TensorStore::Npy) => {
                let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
                self.npy(root, name, selection, &mut drafts);
            }
            Some(TensorStore::Npz) => self.npz(selection, &mut drafts),
            Some(TensorStore::Safetensors) => self.safetensors(root, &mut drafts),
            Some(TensorStore::TorchDistcp) => {
                drafts.refuse("", FileError::DistributedPart);
            }
            Some(TensorStore::Compressed) => {
                self.compressed(path, selection, &mut drafts);
            }
            None => drafts.refuse("", FileError::Format(root.format)),
        }
        // In pickles, the walk selects the root.
        let named = matches!(root.tensor_store(), Some(TensorStore::Npy | TensorStore::Npz | TensorStore::Safetensors));
        if let Some(path) = selection.root.filter(|_| named) {
            drafts.select_root(path);
        }
        drafts
    }

    /// Adds the tensors of a torch zip: of the file itself, or of one of its members.
    pub(crate) fn torch_zip(&self, member: Option<&str>, selection: &TensorSelection<'_>, drafts: &mut Drafts) {
        match self.zip_storages(member) {
            Ok(mut storages) => {
                drafts.add_pickle(&mut storages, selection);
                self.leave_out_programs(member, drafts);
            }
            Err(error) => drafts.refuse("", error),
        }
    }

    /// The storages of the `data.pkl` of a torch zip.
    ///
    /// # Errors
    /// When the zip is not one of torch, is ambiguous, or its pickle was not read to its end.
    pub(crate) fn zip_storages(&self, member: Option<&str>) -> Result<StorageResolver<'a>, FileError> {
        let examined = self.artifact(member).ok_or(FileError::NotExamined)?;
        let Some(Layout::TorchZip(zip)) = &examined.layout else {
            return Err(FileError::NotTorch);
        };
        // `allow_unproven` accepts unknown classes, but not an archive in which other readers find other entries.
        if let Some(what) = examined.facts.iter().find_map(|(_, fact)| misleading_mismatch(fact)) {
            return Err(FileError::Misleading { what: what.to_owned() });
        }
        let name = &zip_record::find_entry(zip, "data.pkl")?.ok_or(FileError::NoPickle)?.name;
        let path = member.map_or_else(|| name.clone(), |member| format!("{member}::{name}"));
        let pickle = self.artifact(Some(&path)).ok_or(FileError::PickleNotExamined)?;
        let trace = complete_trace(pickle, 0)?;
        let location = StorageLocation::Zip { zip, big_endian: is_big_endian(zip, &self.budget)? };
        Ok(StorageResolver::new(trace, location, pickle.member_path.path(), member.is_none(), &self.budget))
    }

    /// The storages of the torch zip at this range of the file, in files of consecutive zips.
    ///
    /// # Errors
    /// As [`Self::zip_storages`], and when the file has no zip at this range.
    pub(crate) fn zip_at(&self, offset: u64, length: u64) -> Result<StorageResolver<'a>, FileError> {
        let path = format!("(item at {offset})");
        let path = match self.artifact(None) {
            Some(root) if root.tensor_store() == Some(TensorStore::TorchZip) && offset == 0 => None,
            _ => Some(path.as_str()),
        };
        if self.artifact(path).ok_or(FileError::NoZipAt { offset })?.size != length {
            return Err(FileError::ZipLength { offset, length });
        }
        self.zip_storages(path)
    }

    /// Leaves out the program of a TorchScript archive.
    fn leave_out_programs(&self, member: Option<&str>, drafts: &mut Drafts) {
        if let Some(Layout::TorchZip(zip)) = self.artifact(member).and_then(|examined| examined.layout.as_ref())
            && zip.script
        {
            drafts.leave_out(format!("{}/code", zip.root), LeftOutReason::Program);
        }
    }

    fn torch_legacy(&self, root: &'a ExaminedArtifact, selection: &TensorSelection<'_>, drafts: &mut Drafts) {
        // The first three pickles are magic number, protocol version and system information.
        let trace = match complete_trace(root, 3) {
            Ok(trace) => trace,
            Err(error) => return drafts.refuse("", error),
        };
        let Some(Layout::TorchLegacy { source, storages }) = &root.layout else {
            return drafts.refuse("", FileError::NoStorages);
        };
        let mut storages =
            StorageResolver::new(trace, StorageLocation::Legacy { source, storages }, None, true, &self.budget);
        drafts.add_pickle(&mut storages, selection);
    }

    fn torch_tar(&self, selection: &TensorSelection<'_>, drafts: &mut Drafts) {
        let find = |name: &str| self.artifact(Some(name)).or_else(|| self.artifact(Some(&format!("./{name}"))));
        let parts = [find("pickle"), find("storages"), find("tensors")];
        let [Some(pickle), Some(storage_member), Some(tensors)] = parts else {
            return drafts.refuse("", FileError::TarMembers);
        };
        let (Some(Layout::TarStorages { source, storages, views }), Some(Layout::TarTensors(tensors))) =
            (&storage_member.layout, &tensors.layout)
        else {
            return drafts.refuse("", FileError::NoStorages);
        };
        let trace = match complete_trace(pickle, 0) {
            Ok(trace) => trace,
            Err(error) => return drafts.refuse("", error),
        };
        let member = storage_member.member_path.path().unwrap_or_default().into();
        let location = StorageLocation::Tar { source, storages, views, tensors, member };
        let mut storages = StorageResolver::new(trace, location, pickle.member_path.path(), false, &self.budget);
        drafts.add_pickle(&mut storages, selection);
    }

    fn pickle(
        &self,
        examined: &'a ExaminedArtifact,
        index: usize,
        selection: &TensorSelection<'_>,
        drafts: &mut Drafts,
    ) {
        drafts.framework = "np";
        match complete_trace(examined, index) {
            Ok(trace) => {
                let path = examined.member_path.path();
                let mut storages =
                    StorageResolver::new(trace, StorageLocation::PickleOnly, path, path.is_none(), &self.budget);
                drafts.add_pickle(&mut storages, selection);
                let end = trace.start + trace.length;
                let count = examined.pickles.iter().filter(|stream| stream.trace.start >= end).count();
                if count > 0 {
                    drafts.leave_out(format!("(behind {end})"), LeftOutReason::MorePickles { count });
                }
            }
            Err(error) => drafts.refuse("", error),
        }
    }

    fn compressed(&self, path: &Path, selection: &TensorSelection<'_>, drafts: &mut Drafts) {
        let inner = self.artifacts.get(1).and_then(|examined| Some((examined, examined.tensor_store()?)));
        match inner {
            Some((examined, TensorStore::Pickle)) => self.pickle(examined, 0, selection, drafts),
            Some((examined, TensorStore::Npy)) => {
                let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
                self.npy(examined, name, selection, drafts);
            }
            _ => drafts.refuse("", FileError::CompressedContent),
        }
    }

    fn npz(&self, selection: &TensorSelection<'_>, drafts: &mut Drafts) {
        drafts.framework = "np";
        let members = self
            .artifacts
            .iter()
            .filter(|examined| examined.member_path.path().is_some_and(|path| !path.contains("::")));
        let mut any = false;
        for examined in members {
            let name = examined.member_path.path().unwrap_or_default();
            if examined.tensor_store() == Some(TensorStore::Npy) {
                any = true;
                self.npy(examined, name.strip_suffix(".npy").unwrap_or(name).to_owned(), selection, drafts);
            } else {
                drafts.leave_out(name, LeftOutReason::NotArray);
            }
        }
        if !any {
            drafts.refuse("", FileError::ZipContent);
        }
    }

    fn npy(&self, examined: &'a ExaminedArtifact, name: String, selection: &TensorSelection<'_>, drafts: &mut Drafts) {
        drafts.framework = "np";
        let Some(Layout::Npy(npy)) = &examined.layout else {
            return drafts.refuse(name, FileError::ObjectArray);
        };
        match array(npy, examined.member_path.path()) {
            Ok((Some(dtype), source)) if dtype.safetensors().is_some() => {
                drafts.tensors.push(DraftTensor { name, dtype, shape: npy.shape.clone(), source });
            }
            Ok((dtype, source)) => {
                let dtype_name: &str = dtype.map_or(npy.descr.as_str(), |dtype| dtype.name());
                let stand_in = stand_in(dtype_name, source.element_size(), npy.shape.clone());
                match stand_in.filter(|_| selection.lossless_parts) {
                    Some(StandIn { suffix, dtype, shape }) => {
                        let part = serde_json::json!({ "kind": dtype_name, "shape": npy.shape });
                        drafts.parts.insert(name.clone(), part);
                        drafts.tensors.push(DraftTensor { name: format!("{name}.{suffix}"), dtype, shape, source });
                    }
                    None => drafts.refuse(name, Reason::NotInSafetensors { kind: dtype_name.to_owned() }),
                }
            }
            Err(reason) => drafts.refuse(name, reason),
        }
    }

    fn safetensors(&self, root: &'a ExaminedArtifact, drafts: &mut Drafts) {
        let Some(Layout::Safetensors { source, tensors, metadata }) = &root.layout else {
            return drafts.refuse("", FileError::Header);
        };
        drafts.flat = true;
        match metadata {
            Some(metadata) => drafts.metadata.clone_from(metadata),
            None => drafts.leave_out("__metadata__", LeftOutReason::LongMetadata),
        }
        for StoredTensor { name, dtype, shape, range } in tensors {
            let record = ByteRecord::new(source.clone(), range.at, range.len);
            let (Some(dtype), Some(mut record)) = (Dtype::from_name(dtype), record) else {
                drafts.refuse(name.as_str(), FileError::Dtype { name: dtype.clone() });
                continue;
            };
            let count = shape.iter().try_fold(1u64, |count, size| count.checked_mul(*size));
            let per_byte = if dtype.is_two_per_byte() { 2 } else { 1 };
            if count.and_then(|count| count.checked_mul(dtype.size())) != range.len.checked_mul(per_byte) {
                drafts.refuse(name.as_str(), FileError::ShapeLength { len: range.len });
                continue;
            }
            record.file_offset = Some(range.at);
            // The view counts bytes, since some types have two elements in a byte.
            match StridedView::dense(dtype.size(), &[range.len / dtype.size().max(1)], false, range.len) {
                Ok(view) => {
                    let data = TensorSource::from_view(Arc::new(record), view, Transform::default());
                    drafts.tensors.push(DraftTensor { name: name.clone(), dtype, shape: shape.clone(), source: data });
                }
                Err(error) => drafts.refuse(name.as_str(), error),
            }
        }
    }

    /// The length of the file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.source.len()
    }

    /// The first pickle of the file.
    ///
    /// # Errors
    /// When the file has no pickle, or its pickle does not end with STOP.
    pub(crate) fn trace(&self) -> Result<&'a Trace, FileError> {
        complete_trace(self.artifacts.first().ok_or(FileError::Empty)?, 0)
    }
}

/// A fact of an archive in which readers find different entries, such as two entries of one name.
fn misleading_mismatch(fact: &Fact) -> Option<&str> {
    match fact {
        Fact::ArchiveMismatch { what, deviation: Deviation::Misleading } => Some(what),
        _ => None,
    }
}

/// The pickle of this index, which must end with STOP.
fn complete_trace(examined: &ExaminedArtifact, index: usize) -> Result<&Trace, FileError> {
    let trace = examined.pickles.get(index).map(|stream| &stream.trace).ok_or(FileError::NoTrace)?;
    match &trace.end {
        StreamEnd::Stop => Ok(trace),
        other => Err(FileError::TraceEnd { end: other.text() }),
    }
}

/// The elements of an `.npy` file. The type is `None` for text, dates and records.
fn array(npy: &NpyArray, member: Option<&str>) -> Result<(Option<Dtype>, TensorSource), Reason> {
    let mut record = ByteRecord::new(npy.source.clone(), npy.range.at, npy.range.len).ok_or(FileError::CutOff)?;
    record.member = member.map(Arc::from);
    record.file_offset = member.is_none().then_some(npy.range.at);
    let count = npy.shape.iter().try_fold(1u64, |count, size| count.checked_mul(*size)).unwrap_or(0);
    let known = Dtype::from_numpy(&npy.descr);
    let element_size = known.map_or_else(|| npy.range.len.checked_div(count).unwrap_or(1), |(dtype, _)| dtype.size());
    if count.checked_mul(element_size) != Some(npy.range.len) {
        return Err(FileError::ArrayLength { count, element_size, present: npy.range.len }.into());
    }
    let view = StridedView::dense(element_size, &npy.shape, npy.fortran, npy.range.len)?;
    let transform = match known {
        Some((dtype, big_endian)) => Transform::new(dtype, big_endian, false, false)?,
        None => Transform::default(),
    };
    Ok((known.map(|(dtype, _)| dtype), TensorSource::from_view(Arc::new(record), view, transform)))
}
