//! What is fixed about a format: its names, and what other parts of the program need to know before they read a file of it.

/// The description of a format. A format states it in its own file; nothing else in the program knows formats by their ids.
#[derive(Debug)]
pub struct FormatInfo {
    /// The name in reports (`torch-zip`, `pickle`). Never changes.
    pub id: &'static str,
    /// What it is, in a few words.
    pub name: &'static str,
    /// Usual extensions, in lower case and without the dot.
    pub extensions: &'static [&'static str],
    /// Set where the extensions belong to this format alone: what messages call a file with such a name. Other content
    /// under such a name is broken or misleading.
    pub promised_as: Option<&'static str>,
    /// The more general format that this one replaces where both claim the bytes.
    pub refines: Option<&'static FormatInfo>,
    /// Whether readers find it from the end of a file, so that anything may be in front of it.
    pub is_found_from_end: bool,
    /// Whether loading a file of this format may run what the file says. Two such formats over the same bytes are a
    /// polyglot.
    pub can_run_code: bool,
    /// Whether it holds other files.
    pub container: Container,
    /// Whether it only names a file stored elsewhere.
    pub is_pointer: bool,
    /// The library that files of this format are made for.
    pub library: Library,
    /// Where its tensors are read from; `None` where the loader reads none.
    pub tensors: Option<TensorStore>,
    /// For the table of formats: what is read.
    pub doc_read: &'static str,
    /// For the table of formats: what is judged.
    pub doc_judged: &'static str,
    /// For the table of formats: whether it is converted to safetensors.
    pub doc_converted: &'static str,
    /// Whether a file of this format can be proven clean.
    pub is_provable: bool,
}

impl FormatInfo {
    /// A file of data without tensors, all of it read: formats state where they differ.
    pub const DATA: Self = Self {
        id: "",
        name: "",
        extensions: &[],
        promised_as: None,
        refines: None,
        is_found_from_end: false,
        can_run_code: false,
        container: Container::No,
        is_pointer: false,
        library: Library::Other,
        tensors: None,
        doc_read: "all of it",
        doc_judged: "",
        doc_converted: "no",
        is_provable: true,
    };

    /// An archive or a compressed stream that any program may unpack.
    pub const ARCHIVE: Self = Self {
        container: Container::Generic,
        doc_read: "every entry",
        doc_judged: "each member, and where readers disagree",
        ..Self::DATA
    };
}

/// Whether a format holds other files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// It does not, or its members are what its loader reads.
    No,
    /// Any files: only the name of the file says what a loader does with them (`.npz`).
    Generic,
    /// A model with members that its loader reads and the scanner does not judge.
    Model,
}

/// The library that files of a format are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// Python's own `pickle`, and joblib.
    Pickle,
    /// torch.
    Torch,
    /// numpy.
    Numpy,
    /// Keras.
    Keras,
    /// None of these.
    Other,
}

/// Where the tensors of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorStore {
    /// Records of torch's zip.
    TorchZip,
    /// Behind the five pickles of torch's stream of before 1.6.
    TorchLegacy,
    /// In the `storages` of torch's tar.
    TorchTar,
    /// In zips in a row, found by the `.metadata` beside the file.
    TorchDistcp,
    /// In a pickle.
    Pickle,
    /// One array of numpy.
    Npy,
    /// Arrays of numpy in a zip.
    Npz,
    /// A safetensors file.
    Safetensors,
    /// In what is compressed: a pickle or an array of numpy.
    Compressed,
}
