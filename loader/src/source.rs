//! The tensors of one examined file, format by format. The bytes are those that were judged, and so are the traces: the
//! loader looks for nothing in a file that the scanner did not see.

use crate::data::Data;
use crate::draft::{Draft, Drafts, Wanted};
use crate::dtype::Dtype;
use crate::record::Record;
use crate::side;
use crate::storage::{Place, Storages};
use crate::strided::View;
use crate::transform::Transform;
use crate::zip_record::{self, big_endian};
use scanner::Limits;
use scanner::clearance::Examined;
use scanner::formats::TensorSource;
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

/// Everything in a file, by its path in it.
pub(crate) struct Contents<'a> {
    artifacts: &'a [ExaminedArtifact],
    by_path: HashMap<Option<&'a str>, &'a ExaminedArtifact>,
    source: SharedSource,
    budget: ScanBudget,
}

impl<'a> Contents<'a> {
    /// What was seen in a file.
    pub(crate) fn new(examined: &'a Examined, limits: &Limits) -> Self {
        let artifacts = examined.examination().artifacts.as_slice();
        // The clock of the scan has stopped: how long a copy takes is for the caller to say.
        let limits = Limits { time: Duration::MAX, ..limits.clone() };
        let by_path = artifacts.iter().rev().map(|examined| (examined.member_path.path(), examined)).collect();
        Self { artifacts, by_path, source: examined.source(), budget: ScanBudget::start(Arc::new(limits)) }
    }

    fn at(&self, path: Option<&str>) -> Option<&'a ExaminedArtifact> {
        self.by_path.get(&path).copied()
    }

    /// The tensors of the whole file; `path` names those that have no name of their own.
    pub(crate) fn drafts(&self, path: &Path, wanted: &Wanted<'_>) -> Drafts {
        let mut drafts = Drafts { framework: "pt", ..Drafts::default() };
        let Some(root) = self.artifacts.first() else { return drafts };
        match root.tensor_source() {
            Some(TensorSource::TorchZip) => self.torch_zip(None, wanted, &mut drafts),
            Some(TensorSource::TorchLegacy) => self.torch_legacy(root, wanted, &mut drafts),
            Some(TensorSource::TorchTar) => self.torch_tar(wanted, &mut drafts),
            Some(TensorSource::Pickle) => self.pickle(root, 0, wanted, &mut drafts),
            Some(TensorSource::Npy) => {
                let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
                self.npy(root, name, wanted, &mut drafts);
            }
            Some(TensorSource::Npz) => self.npz(wanted, &mut drafts),
            Some(TensorSource::Safetensors) => self.safetensors(root, &mut drafts),
            Some(TensorSource::TorchDistcp) => {
                drafts
                    .refuse("", "it is a part of a distributed checkpoint; convert the folder that holds `.metadata`");
            }
            Some(TensorSource::Compressed) => {
                self.compressed(path, wanted, &mut drafts);
            }
            None => {
                let format = root.format.unwrap_or("a format that is not known");
                drafts.refuse("", format!("{format} is no format whose tensors the loader reads"));
            }
        }
        // Pickles know their roots by the path of keys.
        let named =
            matches!(root.tensor_source(), Some(TensorSource::Npy | TensorSource::Npz | TensorSource::Safetensors));
        if let Some(path) = wanted.root.filter(|_| named) {
            drafts.keep_under(path);
        }
        drafts
    }

    /// The storages of the pickle in a zip: at the top of the file, or one of its items.
    pub(crate) fn torch_zip(&self, item: Option<&str>, wanted: &Wanted<'_>, drafts: &mut Drafts) {
        match self.zip_storages(item) {
            Ok(mut storages) => {
                drafts.pickle(&mut storages, wanted);
                self.programs(item, drafts);
            }
            Err(why) => drafts.refuse("", why),
        }
    }

    /// The storages that the `data.pkl` of a zip speaks of.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) fn zip_storages(&self, item: Option<&str>) -> Result<Storages<'a>, String> {
        let examined = self.at(item).ok_or("it is not there")?;
        let Some(Layout::TorchZip(zip)) = &examined.layout else {
            return Err("it is no checkpoint of torch".to_owned());
        };
        // Whoever takes what is unproven takes unknown classes, and not an archive in which others read something else.
        if let Some(what) = examined.facts.iter().find_map(|(_, fact)| differs(fact)) {
            return Err(format!("readers of its zip disagree: {what}"));
        }
        let name = &zip_record::find(zip, "data.pkl")?.ok_or("it has no data.pkl")?.name;
        let path = item.map_or_else(|| name.clone(), |item| format!("{item}::{name}"));
        let pickle = self.at(Some(&path)).ok_or("its data.pkl was not looked at")?;
        let trace = whole(pickle, 0)?;
        let place = Place::Zip { zip, big: big_endian(zip, &self.budget)? };
        Ok(Storages::new(trace, place, pickle.member_path.path(), item.is_none(), &self.budget))
    }

    /// The storages of the zip that stands in this range of a file of zips in a row, or of a file that is one.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn item(&self, offset: u64, length: u64) -> Result<Storages<'a>, String> {
        let path = format!("(item at {offset})");
        let path = match self.at(None) {
            Some(root) if root.tensor_source() == Some(TensorSource::TorchZip) && offset == 0 => None,
            _ => Some(path.as_str()),
        };
        let there = || format!("no part of it stands at {offset}");
        if self.at(path).ok_or_else(there)?.size != length {
            return Err(format!("its part at {offset} has another length than {length}"));
        }
        self.zip_storages(path)
    }

    /// What a TorchScript archive holds beside its parameters.
    fn programs(&self, item: Option<&str>, drafts: &mut Drafts) {
        if let Some(Layout::TorchZip(zip)) = self.at(item).and_then(|examined| examined.layout.as_ref())
            && zip.script
        {
            drafts.leave(format!("{}/code", zip.root), "the program of a TorchScript archive, and its constants");
        }
    }

    fn torch_legacy(&self, root: &'a ExaminedArtifact, wanted: &Wanted<'_>, drafts: &mut Drafts) {
        // Magic number, protocol, system; then the object.
        let trace = match whole(root, 3) {
            Ok(trace) => trace,
            Err(why) => return drafts.refuse("", why),
        };
        let Some(Layout::TorchLegacy { source, storages }) = &root.layout else {
            return drafts.refuse("", "its storages could not be found");
        };
        let mut storages = Storages::new(trace, Place::Legacy { source, storages }, None, true, &self.budget);
        drafts.pickle(&mut storages, wanted);
    }

    fn torch_tar(&self, wanted: &Wanted<'_>, drafts: &mut Drafts) {
        let find = |name: &str| self.at(Some(name)).or_else(|| self.at(Some(&format!("./{name}"))));
        let parts = [find("pickle"), find("storages"), find("tensors")];
        let [Some(pickle), Some(numbers), Some(tensors)] = parts else {
            return drafts.refuse("", "its three members were not all looked at");
        };
        let (Some(Layout::TarStorages { source, storages, views }), Some(Layout::TarTensors(tensors))) =
            (&numbers.layout, &tensors.layout)
        else {
            return drafts.refuse("", "its storages could not be found");
        };
        let trace = match whole(pickle, 0) {
            Ok(trace) => trace,
            Err(why) => return drafts.refuse("", why),
        };
        let member = numbers.member_path.path().unwrap_or_default().into();
        let place = Place::Tar { source, storages, views, tensors, member };
        let mut storages = Storages::new(trace, place, pickle.member_path.path(), false, &self.budget);
        drafts.pickle(&mut storages, wanted);
    }

    fn pickle(&self, examined: &'a ExaminedArtifact, index: usize, wanted: &Wanted<'_>, drafts: &mut Drafts) {
        drafts.framework = "np";
        match whole(examined, index) {
            Ok(trace) => {
                let path = examined.member_path.path();
                let mut storages = Storages::new(trace, Place::Nowhere, path, path.is_none(), &self.budget);
                drafts.pickle(&mut storages, wanted);
                let end = trace.start + trace.length;
                let more = examined.pickles.iter().filter(|stream| stream.trace.start >= end).count();
                if more > 0 {
                    drafts.leave(format!("(behind {end})"), format!("{more} more pickles behind the first one"));
                }
            }
            Err(why) => drafts.refuse("", why),
        }
    }

    fn compressed(&self, path: &Path, wanted: &Wanted<'_>, drafts: &mut Drafts) {
        let inner = self.artifacts.get(1).and_then(|examined| Some((examined, examined.tensor_source()?)));
        match inner {
            Some((examined, TensorSource::Pickle)) => self.pickle(examined, 0, wanted, drafts),
            Some((examined, TensorSource::Npy)) => {
                let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
                self.npy(examined, name, wanted, drafts);
            }
            _ => drafts.refuse("", "what is compressed in it is neither a pickle nor an array of numpy"),
        }
    }

    fn npz(&self, wanted: &Wanted<'_>, drafts: &mut Drafts) {
        drafts.framework = "np";
        let members = self
            .artifacts
            .iter()
            .filter(|examined| examined.member_path.path().is_some_and(|path| !path.contains("::")));
        let mut any = false;
        for examined in members {
            let name = examined.member_path.path().unwrap_or_default();
            if examined.tensor_source() == Some(TensorSource::Npy) {
                any = true;
                self.npy(examined, name.strip_suffix(".npy").unwrap_or(name).to_owned(), wanted, drafts);
            } else {
                drafts.leave(name, "a member that is no array of numpy");
            }
        }
        if !any {
            drafts.refuse("", "it is a zip, neither of torch nor with arrays of numpy in it");
        }
    }

    fn npy(&self, examined: &'a ExaminedArtifact, name: String, wanted: &Wanted<'_>, drafts: &mut Drafts) {
        drafts.framework = "np";
        let Some(Layout::Npy(npy)) = &examined.layout else {
            return drafts.refuse(name, "it is an array of objects");
        };
        match array(npy, examined.member_path.path()) {
            Ok((Some(dtype), data)) if dtype.held().is_some() => {
                drafts.tensors.push(Draft { name, dtype, shape: npy.shape.clone(), data });
            }
            Ok((dtype, data)) => {
                let word: &str = dtype.map_or(npy.descr.as_str(), |dtype| dtype.word());
                let stand_in = side::stand_in(word, data.item(), npy.shape.clone());
                match stand_in.filter(|_| wanted.lossless_parts) {
                    Some((part, dtype, shape)) => {
                        let kind = serde_json::json!({ "kind": word, "shape": npy.shape });
                        drafts.parts.insert(name.clone(), kind);
                        drafts.tensors.push(Draft { name: format!("{name}.{part}"), dtype, shape, data });
                    }
                    None => drafts.refuse(name, side::refusal(word)),
                }
            }
            Err(why) => drafts.refuse(name, why),
        }
    }

    fn safetensors(&self, root: &'a ExaminedArtifact, drafts: &mut Drafts) {
        let Some(Layout::Safetensors { source, tensors, metadata }) = &root.layout else {
            return drafts.refuse("", "its header could not be read");
        };
        drafts.flat = true;
        match metadata {
            Some(metadata) => drafts.metadata.clone_from(metadata),
            None => drafts.leave("__metadata__", "more than 16 MiB"),
        }
        for StoredTensor { name, dtype, shape, range } in tensors {
            let record = Record::new(source.clone(), range.at, range.len);
            let (Some(dtype), Some(mut record)) = (Dtype::named(dtype), record) else {
                drafts.refuse(name.as_str(), format!("its type {dtype} is not known here"));
                continue;
            };
            let count = shape.iter().try_fold(1u64, |count, size| count.checked_mul(*size));
            let per = if dtype.two_in_a_byte() { 2 } else { 1 };
            if count.and_then(|count| count.checked_mul(dtype.size())) != range.len.checked_mul(per) {
                drafts.refuse(
                    name.as_str(),
                    format!("its shape takes another number of bytes than the {} of its place", range.len),
                );
                continue;
            }
            record.in_file = Some(range.at);
            // Bytes and not elements: of some types two share one.
            match View::whole(dtype.size(), &[range.len / dtype.size().max(1)], false, range.len) {
                Ok(view) => {
                    let data = Data::new(Arc::new(record), view, Transform::default());
                    drafts.tensors.push(Draft { name: name.clone(), dtype, shape: shape.clone(), data });
                }
                Err(why) => drafts.refuse(name.as_str(), why.to_string()),
            }
        }
    }

    /// The bytes of the file.
    pub(crate) fn len(&self) -> u64 {
        self.source.len()
    }

    /// The pickle at the top of the file.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn trace(&self) -> Result<&'a Trace, String> {
        whole(self.artifacts.first().ok_or("it is empty")?, 0)
    }
}

/// What leads one reader of an archive elsewhere than another one: two entries of one name, or one over the other.
fn differs(fact: &Fact) -> Option<&str> {
    match fact {
        Fact::ArchiveMismatch { what, deviation: Deviation::Misleading } => Some(what),
        _ => None,
    }
}

/// The stream of that number, which must end as it should.
fn whole(examined: &ExaminedArtifact, index: usize) -> Result<&Trace, String> {
    let trace = examined.pickles.get(index).map(|stream| &stream.trace).ok_or("its pickle was not found")?;
    match &trace.end {
        StreamEnd::Stop => Ok(trace),
        other => Err(format!("its pickle cannot be followed to its end: {}", other.text())),
    }
}

/// An array behind a header; without a type where nothing has a name for its items.
fn array(npy: &NpyArray, member: Option<&str>) -> Result<(Option<Dtype>, Data), String> {
    let mut record = Record::new(npy.source.clone(), npy.range.at, npy.range.len).ok_or("its numbers are cut off")?;
    record.member = member.map(Arc::from);
    record.in_file = member.is_none().then_some(npy.range.at);
    let count = npy.shape.iter().try_fold(1u64, |count, size| count.checked_mul(*size)).unwrap_or(0);
    let known = Dtype::of_numpy(&npy.descr);
    let item = known.map_or_else(|| npy.range.len.checked_div(count).unwrap_or(1), |(dtype, _)| dtype.size());
    if count.checked_mul(item) != Some(npy.range.len) {
        return Err(format!("its shape takes {count} times {item} bytes, {} are there", npy.range.len));
    }
    let view = View::whole(item, &npy.shape, npy.fortran, npy.range.len).map_err(|why| why.to_string())?;
    let transform = match known {
        Some((dtype, big)) => Transform::new(dtype, big, false, false)?,
        None => Transform::default(),
    };
    Ok((known.map(|(dtype, _)| dtype), Data::new(Arc::new(record), view, transform)))
}
