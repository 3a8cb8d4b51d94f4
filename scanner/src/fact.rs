//! Facts: what formats and archives observe in an artifact, with the offset. A fact is not an opinion; rules judge it.

/// A way in which a structure differs from what its format says, or from what another reader would see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Two views of one archive entry disagree (local and central header, sizes, names, methods, checksums), or the
    /// archive hides bytes from one of its readers.
    ArchiveMismatch {
        /// What disagrees, as a sentence without a full stop.
        what: String,
        /// How much it matters.
        deviation: Deviation,
    },
    /// An entry or reference whose path leaves its folder, or is not a plain file name.
    PathEscapes {
        /// The path, unchanged.
        path: String,
        /// What it would do.
        what: String,
    },
    /// A reference to something outside the artifact.
    ExternalReference {
        /// What is referred to.
        target: String,
        /// Where from and what for.
        what: String,
    },
    /// The name says one format and the bytes are another.
    NameDisagrees {
        /// What the name promises.
        claimed: String,
        /// What the bytes are.
        found: String,
        /// Whether the found format acts when it is loaded.
        deviation: Deviation,
    },
    /// Several formats claim the same bytes, so that different programs would load different things.
    Polyglot {
        /// The formats.
        formats: Vec<&'static str>,
    },
    /// Machine code or a script as a member.
    Executable {
        /// The kind (`ELF`, `PE`, `Mach-O`, `script`).
        kind: &'static str,
    },
    /// A program in the format's own language that runs when the model is used (TorchScript).
    EmbeddedProgram {
        /// What it is.
        what: String,
    },
    /// A class or function that a configuration names: its loader looks it up and calls it.
    Configured {
        /// Its module, where the configuration gives one.
        module: Option<String>,
        /// Its name.
        name: String,
        /// The name under which it is looked up first, among what the loading program registered.
        registered: Option<String>,
    },
    /// A header that says something its format forbids or that the bytes do not bear out.
    StructureViolation {
        /// What is wrong.
        what: String,
        /// Whether a reader may be led to wrong or foreign bytes.
        deviation: Deviation,
    },
    /// Bytes behind the end of the format that no reader of it looks at.
    TrailingData {
        /// How many.
        length: u64,
        /// What they look like.
        what: String,
    },
    /// An array of objects: its items are a pickle.
    ObjectArray,
    /// More unpacked bytes than the packed ones can honestly hold.
    Bomb {
        /// What was measured.
        what: String,
    },
    /// A socket, FIFO or device among the files.
    SpecialFile {
        /// Which kind.
        kind: &'static str,
    },
}

/// How much a disagreement matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deviation {
    /// Found in honest files; worth knowing.
    Unusual,
    /// No honest writer does it, but no reader is led elsewhere.
    Wrong,
    /// Two readers see different content, or something acts when it is loaded.
    Misleading,
}

/// Why some bytes were not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// The structure breaks there.
    Broken(String),
    /// A limit of the scan was hit.
    Limit(String),
    /// Encrypted.
    Encrypted,
    /// A known compression method or format without a reader.
    Unsupported(String),
    /// The operating system refused.
    Io(String),
    /// A Git LFS pointer: the model is stored elsewhere.
    LfsPointer {
        /// Content hash of the object.
        oid: String,
        /// Its size in bytes.
        size: u64,
    },
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(what) => write!(f, "broken: {what}"),
            Self::Limit(what) => write!(f, "over a limit: {what}"),
            Self::Encrypted => f.write_str("encrypted"),
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
            Self::Io(what) => write!(f, "could not be read: {what}"),
            Self::LfsPointer { oid, size } => {
                write!(f, "a Git LFS pointer to {size} bytes (sha256 {oid}); fetch the object with `git lfs pull`")
            }
        }
    }
}
