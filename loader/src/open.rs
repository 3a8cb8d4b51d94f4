//! Opens a file: the scanner clears it, then its tensors are planned. All other entry points build on [`open`].

use crate::bounds::{MIN_LIMIT_EVENTS, MIN_LIMIT_HEAP_BYTES, MIN_LIMIT_ITEMS};
use crate::error::Error;
use crate::plan::contents::FormatPlanner;
use crate::plan::draft::{Drafts, Refused, TensorSelection};
use crate::plan::left_out::LeftOut;
use crate::plan::reason::Reason;
use crate::plan::tensor_plan::{PlanOptions, PlannedTensor, TensorPlan};
use scanner::Limits;
use scanner::clearance::{Clearance, Examined, clear, clear_opened};
use scanner::report::ArtifactReport;
use scanner::source::FileSource;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which files are loaded, and which tensors of them.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Limits of the scan. Those on the values of a pickle are raised as [`with_loader_limits`] does.
    pub limits: Limits,
    /// Also load unproven files, as long as no tensor reaches a callable that is not known to be inert. Dangerous files are
    /// never loaded.
    pub allow_unproven: bool,
    /// The path of keys (`model.encoder`) of the part to load; `None` for all tensors.
    pub root: Option<String>,
    /// Load tensors that safetensors does not have as several tensors from which they can be made again.
    pub lossless_parts: bool,
    /// How the tensors are planned.
    pub plan: PlanOptions,
}

/// These limits, with those on the values of a pickle raised to what the largest state dicts need.
#[must_use]
pub fn with_loader_limits(limits: &Limits) -> Limits {
    let mut limits = limits.clone();
    limits.items = limits.items.max(MIN_LIMIT_ITEMS);
    limits.heap_bytes = limits.heap_bytes.max(MIN_LIMIT_HEAP_BYTES);
    limits.events = limits.events.max(MIN_LIMIT_EVENTS);
    limits
}

/// A file or folder that was cleared and is still open, with a plan of its tensors. Bytes of tensors are read on request.
pub struct Checkpoint {
    pub(crate) path: PathBuf,
    pub(crate) examined: Vec<Examined>,
    pub(crate) plan: TensorPlan,
    /// The path of the loaded part; `None` for all of the file.
    pub root: Option<String>,
    /// Values and tensors that are not in the plan.
    pub left_out: Vec<LeftOut>,
    /// Number of values that are not in the plan beyond those in `left_out`.
    pub left_out_more: u64,
    /// Whether the file holds a dict from names to tensors and nothing else, so that the tensors are all of its contents.
    pub flat: bool,
}

/// Opens a file once, has the scanner clear it, and plans its tensors. Bytes of tensors are not read yet.
///
/// # Errors
/// When the file is not cleared, cannot be read, or holds a tensor that cannot be converted.
pub fn open(path: &Path, options: &LoadOptions) -> Result<Checkpoint, Error> {
    let limits = with_loader_limits(&options.limits);
    let admitted = open_with_clearance(path, &limits, options.allow_unproven)?;
    plan_tensors(path, admitted, &limits, options)
}

/// As [`open`], for an open file. `path` is its name in reports.
///
/// # Errors
/// As [`open`].
pub fn open_file(file: File, path: &Path, options: &LoadOptions) -> Result<Checkpoint, Error> {
    let limits = with_loader_limits(&options.limits);
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let clearance =
        FileSource::new(file, Arc::default()).and_then(|file| Ok(clear_opened(file, &name, path, &limits)?));
    let admitted = require_clearance(clearance.map_err(Error::io(path))?, options.allow_unproven)?;
    plan_tensors(path, admitted, &limits, options)
}

fn plan_tensors(
    path: &Path,
    OpenedFile { mut examined, proven }: OpenedFile,
    limits: &Limits,
    options: &LoadOptions,
) -> Result<Checkpoint, Error> {
    let contents = FormatPlanner::new(&examined, limits);
    let selection = TensorSelection { root: options.root.as_deref(), lossless_parts: options.lossless_parts, proven };
    let drafts = contents.drafts(path, &selection);
    let len = contents.len();
    examined.forget();
    Checkpoint::new(path, vec![examined], drafts, len, options)
}

/// An examined file that may be loaded.
pub(crate) struct OpenedFile {
    pub(crate) examined: Examined,
    /// Whether the scan proved that all its callables are inert.
    pub(crate) proven: bool,
}

/// Opens and scans a file.
///
/// # Errors
/// When it cannot be read, is dangerous, or is unproven and `allow_unproven` is not set.
pub(crate) fn open_with_clearance(path: &Path, limits: &Limits, allow_unproven: bool) -> Result<OpenedFile, Error> {
    let clearance = clear(path, limits).map_err(std::io::Error::from);
    require_clearance(clearance.map_err(Error::io(path))?, allow_unproven)
}

fn require_clearance(clearance: Clearance, allow_unproven: bool) -> Result<OpenedFile, Error> {
    match clearance {
        Clearance::Cleared(cleared) => Ok(OpenedFile { examined: cleared.into_inner(), proven: true }),
        Clearance::Unproven(unproven) if allow_unproven => {
            Ok(OpenedFile { examined: unproven.into_inner(), proven: false })
        }
        Clearance::Unproven(unproven) => Err(Error::NotCleared(Box::new(unproven.report().clone()))),
        Clearance::Refused(report) => Err(Error::NotCleared(report)),
    }
}

impl Checkpoint {
    /// Plans the drafts of the files in `examined`, whose length in bytes is `len`.
    pub(crate) fn new(
        path: &Path,
        examined: Vec<Examined>,
        mut drafts: Drafts,
        len: u64,
        options: &LoadOptions,
    ) -> Result<Self, Error> {
        let mut refused = std::mem::take(&mut drafts.refused);
        // An empty dict gives an empty result. A file with other values and no tensor is more likely the wrong file.
        if drafts.tensors.is_empty() && drafts.parts.is_empty() && !drafts.flat && refused.is_empty() {
            refused.push(Refused { name: String::new(), why: Reason::NoTensors });
        }
        if !refused.is_empty() {
            let unknown_callable = drafts.unknown_callable;
            return Err(if unknown_callable {
                Error::UnknownCallable(refused)
            } else {
                Error::NotConvertible(refused)
            });
        }
        let (root, left_out) = (drafts.root.take(), std::mem::take(&mut drafts.left_out));
        let (left_out_more, flat) = (drafts.left_out_more, drafts.flat && left_out.is_empty() && root.is_none());
        let plan = TensorPlan::new(drafts, len, &options.limits, &options.plan).map_err(Error::NotConvertible)?;
        Ok(Self { path: path.to_owned(), examined, plan, root, left_out, left_out_more, flat })
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The report of the scanner for each file that holds tensors.
    pub fn reports(&self) -> impl Iterator<Item = &ArtifactReport> {
        self.examined.iter().map(Examined::report)
    }

    /// Whether length and times of all files are still those of the scan.
    ///
    /// # Errors
    /// When the operating system does not give them.
    pub fn unchanged(&self) -> io::Result<bool> {
        self.examined.iter().try_fold(true, |all, examined| Ok(all && examined.unchanged()?))
    }

    /// All tensors, each with its offset in a safetensors file of them.
    pub fn plan(&self) -> &TensorPlan {
        &self.plan
    }

    /// A tensor by its name or an alias.
    pub fn get(&self, name: &str) -> Option<&PlannedTensor> {
        self.plan.get(name)
    }

    /// Reads the elements of a tensor: little-endian, the last index fastest.
    ///
    /// # Errors
    /// When reading fails, the file got shorter, or there is not enough memory.
    pub fn read(&self, tensor: &PlannedTensor) -> io::Result<Vec<u8>> {
        let len = usize::try_from(tensor.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(io::Error::other)?;
        bytes.resize(len, 0);
        self.read_into(tensor, &mut bytes)?;
        Ok(bytes)
    }

    /// As [`Self::read`], into `bytes`.
    ///
    /// # Errors
    /// As [`Self::read`], and when `bytes` has another length than the tensor.
    pub fn read_into(&self, tensor: &PlannedTensor, bytes: &mut [u8]) -> io::Result<()> {
        if bytes.len() as u64 != tensor.len() {
            let message = format!("{} bytes for a tensor of {}", bytes.len(), tensor.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut reader = tensor.source.reader();
        let mut done = 0;
        while done < bytes.len() {
            match reader.fill(bytes.get_mut(done..).unwrap_or_default())? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += count,
            }
        }
        Ok(())
    }
}
