//! The layout of tensors: where a format stores their data. Formats state it over the bytes judged.
//!
//! A scan does not ask for it. The loader does: it converts the bytes examined, and must not parse the
//! archive again, because a second parser could see another archive.

use crate::archive::zip::ZipEntry;
use crate::io::source::SharedSource;
use std::collections::{BTreeMap, HashMap};

/// Where the tensors of one artifact are stored.
pub enum Layout {
    /// torch's zip.
    TorchZip(TorchZip),
    /// torch's stream before 1.6: the storages are in the file itself.
    TorchLegacy {
        /// The file.
        source: SharedSource,
        /// The storages by their keys.
        storages: HashMap<String, ByteRange>,
    },
    /// The `storages` of torch's tar.
    TarStorages {
        /// The member.
        source: SharedSource,
        /// The storages by their keys.
        storages: HashMap<String, TarStorage>,
        /// Storages that are a part of another one.
        views: HashMap<String, TarView>,
    },
    /// The `tensors` of torch's tar, by their keys.
    TarTensors(HashMap<String, TarTensor>),
    /// An array in a `.npy` file.
    Npy(NpyArray),
    /// The tensors of a safetensors file.
    Safetensors {
        /// The file.
        source: SharedSource,
        /// The tensors, in the order of the header.
        tensors: Vec<StoredTensor>,
        /// The content of `__metadata__`; `None` where it exceeds the limit.
        metadata: Option<BTreeMap<String, String>>,
    },
}

/// A range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub at: u64,
    /// How many bytes.
    pub len: u64,
}

/// A torch zip.
pub struct TorchZip {
    /// The folder of all entries.
    pub root: String,
    entries: Vec<ZipEntry>,
    /// Whether it is a TorchScript archive: its classes are its own and not imports.
    pub script: bool,
}

impl TorchZip {
    /// From `entries`. Of equal names the first is kept: torch's reader finds that one.
    pub fn new(root: String, mut entries: Vec<ZipEntry>, script: bool) -> Self {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.dedup_by(|later, first| later.name == first.name);
        Self { root, entries, script }
    }

    /// The entry of that full name.
    pub fn entry(&self, name: &str) -> Option<&ZipEntry> {
        let index = self.entries.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()?;
        self.entries.get(index)
    }

    /// All entries, each name once.
    pub fn entries(&self) -> &[ZipEntry] {
        &self.entries
    }
}

/// A storage in torch's tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarStorage {
    /// Its data.
    pub range: ByteRange,
    /// Its class, as it is named there (`torch.FloatStorage`).
    pub class: String,
}

/// A storage in torch's tar that is a part of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarView {
    /// The key of the storage that it is a part of.
    pub root: String,
    /// Where it starts, in elements.
    pub offset: u64,
    /// How many elements it has.
    pub len: u64,
}

/// A tensor in torch's tar. Sizes in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarTensor {
    /// The key of its storage.
    pub storage: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its strides.
    pub stride: Vec<u64>,
    /// Its first element.
    pub offset: u64,
}

/// An array of numbers behind its header.
pub struct NpyArray {
    /// The file or member.
    pub source: SharedSource,
    /// The type as numpy writes it (`<f4`).
    pub descr: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Whether the first index runs fastest.
    pub fortran: bool,
    /// The data.
    pub range: ByteRange,
}

/// A tensor of a safetensors file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    /// Its name.
    pub name: String,
    /// Its type.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its bytes.
    pub range: ByteRange,
}
