//! The one door: a path and what is allowed go in, tensors of a file that was cleared come out.

use crate::draft::{Drafts, LeftOut, Refused, Wanted};
use crate::error::Error;
use crate::plan::{PlanOptions, Planned, TensorPlan};
use crate::source::Contents;
use scanner::Limits;
use scanner::clearance::{Clearance, Examined, clear, clear_opened};
use scanner::report::ArtifactReport;
use scanner::source::FileSource;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Items of one container: the largest state dicts have some hundred thousand.
const ITEMS: usize = 1_000_000;
/// Bytes of values: some 500 for each tensor of a state dict.
const HEAP: usize = 128 << 20;
/// Persistent ids of one pickle.
const STORAGES: usize = 4_000_000;

/// What is allowed, and what is wanted.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Bounds on what is read; those on the values of a pickle are raised, for a state dict has many.
    pub limits: Limits,
    /// Load what is unproven too, as far as every tensor is reached by inert constructors only. What is dangerous is never
    /// loaded.
    pub allow_unproven: bool,
    /// The part that is wanted, by its path of keys.
    pub root: Option<String>,
    /// Have what safetensors cannot hold as other tensors.
    pub lossless_parts: bool,
    /// How the plan is made.
    pub plan: PlanOptions,
}

impl Policy {
    /// The bounds, with room for all values of a state dict.
    #[must_use]
    pub fn roomy(&self) -> Limits {
        let mut limits = self.limits.clone();
        limits.items = limits.items.max(ITEMS);
        limits.heap_bytes = limits.heap_bytes.max(HEAP);
        limits.events = limits.events.max(STORAGES);
        limits
    }

    pub(crate) fn wanted(&self, proven: bool) -> Wanted<'_> {
        Wanted { root: self.root.as_deref(), lossless_parts: self.lossless_parts, proven }
    }
}

/// A file that was cleared, still open, with a plan of its tensors.
pub struct Loaded {
    pub(crate) path: PathBuf,
    pub(crate) examined: Vec<Examined>,
    pub(crate) plan: TensorPlan,
    /// The part of the value that was taken, where it is not all of it.
    pub root: Option<String>,
    /// What is not among the tensors.
    pub left_out: Vec<LeftOut>,
    /// Things left out that have no line of their own.
    pub left_out_more: u64,
    /// Whether the file holds a dict from names to tensors and nothing else: then these tensors by name are what it holds.
    pub flat: bool,
}

/// Opens a file once, has it cleared, and plans its tensors. No number is read yet.
///
/// # Errors
/// When it is not cleared, cannot be read, or holds a tensor that cannot be had.
pub fn open(path: &Path, policy: &Policy) -> Result<Loaded, Error> {
    let limits = policy.roomy();
    let admitted = admit(path, &limits, policy.allow_unproven)?;
    planned(path, admitted, &limits, policy)
}

/// As [`open`], of a file that is open already; `path` is what it is called.
///
/// # Errors
/// As [`open`].
pub fn open_file(file: File, path: &Path, policy: &Policy) -> Result<Loaded, Error> {
    let limits = policy.roomy();
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let standing = FileSource::new(file, Arc::default()).and_then(|file| Ok(clear_opened(file, &name, path, &limits)?));
    let admitted = let_in(standing.map_err(Error::io(path))?, policy.allow_unproven)?;
    planned(path, admitted, &limits, policy)
}

fn planned(
    path: &Path,
    (mut examined, proven): (Examined, bool),
    limits: &Limits,
    policy: &Policy,
) -> Result<Loaded, Error> {
    let contents = Contents::new(&examined, limits);
    let drafts = contents.drafts(path, &policy.wanted(proven));
    let len = contents.len();
    examined.forget();
    Loaded::new(path, vec![examined], drafts, len, policy)
}

/// Lets in what was cleared, and what is unproven where that is allowed. Also says whether it was cleared.
pub(crate) fn admit(path: &Path, limits: &Limits, allow_unproven: bool) -> Result<(Examined, bool), Error> {
    let standing = clear(path, limits).map_err(std::io::Error::from);
    let_in(standing.map_err(Error::io(path))?, allow_unproven)
}

fn let_in(standing: Clearance, allow_unproven: bool) -> Result<(Examined, bool), Error> {
    match standing {
        Clearance::Cleared(cleared) => Ok((cleared.into_inner(), true)),
        Clearance::Unproven(unproven) if allow_unproven => Ok((unproven.into_inner(), false)),
        Clearance::Unproven(unproven) => Err(Error::NotCleared(Box::new(unproven.report().clone()))),
        Clearance::Refused(report) => Err(Error::NotCleared(report)),
    }
}

impl Loaded {
    pub(crate) fn new(
        path: &Path,
        examined: Vec<Examined>,
        mut drafts: Drafts,
        len: u64,
        policy: &Policy,
    ) -> Result<Self, Error> {
        let mut refused = std::mem::take(&mut drafts.refused);
        // Of an empty dict an empty file is made; what merely holds none is more likely the wrong file.
        if drafts.tensors.is_empty() && drafts.parts.is_empty() && !drafts.flat && refused.is_empty() {
            let why = "it holds no tensors".to_owned();
            refused.push(Refused { name: String::new(), why });
        }
        if !refused.is_empty() {
            return Err(if drafts.unknown { Error::Unknown(refused) } else { Error::NotConvertible(refused) });
        }
        let (root, left_out) = (drafts.root.take(), std::mem::take(&mut drafts.left_out));
        let (left_out_more, flat) = (drafts.left_out_more, drafts.flat && left_out.is_empty() && root.is_none());
        let plan = TensorPlan::new(drafts, len, &policy.limits, &policy.plan).map_err(Error::NotConvertible)?;
        Ok(Self { path: path.to_owned(), examined, plan, root, left_out, left_out_more, flat })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the scanner says of each file that the tensors are in.
    pub fn reports(&self) -> impl Iterator<Item = &ArtifactReport> {
        self.examined.iter().map(Examined::report)
    }

    /// Whether all files are still those that were cleared, as far as their lengths and times tell.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn unchanged(&self) -> io::Result<bool> {
        self.examined.iter().try_fold(true, |all, examined| Ok(all && examined.unchanged()?))
    }

    /// All tensors, each with its place in a safetensors file of them.
    pub fn plan(&self) -> &TensorPlan {
        &self.plan
    }

    /// A tensor by its name, or by that of one that is tied to it.
    pub fn get(&self, name: &str) -> Option<&Planned> {
        self.plan.get(name)
    }

    /// Reads the numbers of a tensor: little-endian, the last index fastest.
    ///
    /// # Errors
    /// When reading fails, the file got shorter, or there is not enough memory.
    pub fn read(&self, tensor: &Planned) -> io::Result<Vec<u8>> {
        let len = usize::try_from(tensor.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(io::Error::other)?;
        bytes.resize(len, 0);
        self.read_into(tensor, &mut bytes)?;
        Ok(bytes)
    }

    /// As [`Self::read`], into bytes that are there.
    ///
    /// # Errors
    /// As [`Self::read`], and when `bytes` is not as long as the tensor.
    pub fn read_into(&self, tensor: &Planned, bytes: &mut [u8]) -> io::Result<()> {
        if bytes.len() as u64 != tensor.len() {
            let why = format!("{} bytes for a tensor of {}", bytes.len(), tensor.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut flow = tensor.data.flow();
        let mut done = 0;
        while done < bytes.len() {
            match flow.fill(bytes.get_mut(done..).unwrap_or_default())? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += count,
            }
        }
        Ok(())
    }
}
