//! The proof that a file may be loaded: the open file, its examination and its verdict.
//!
//! A loader reads through the proof: the same descriptor, the same traces that were judged. The policy of the user does not apply
//! here: it silences findings and makes no file clean.

use crate::error::Error;
use crate::examine::examine;
use crate::finding::Verdict;
use crate::io::budget::ScanBudget;
use crate::io::directory::open_named;
use crate::io::limits::Limits;
use crate::io::source::{FileSource, SharedSource, Stamp};
use crate::judge::report::ArtifactReport;
use crate::judge::verdict::judge_artifact;
use crate::observe::examined::Examination;
use crate::observe::observations::Retain;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A file that was examined, still open.
pub struct Examined {
    file: Arc<FileSource>,
    stamp: Stamp,
    examination: Examination,
    report: ArtifactReport,
}

/// A file of which all was read and every reachable callable is inert. Only this module makes one.
pub struct Cleared(Examined);

/// A file with something unknown, unreadable or computed, and nothing that is known to do harm.
pub struct Unproven(Examined);

/// Whether a file may be loaded.
pub enum Clearance {
    /// It may be loaded.
    Cleared(Cleared),
    /// It may be loaded if the user allows it, by a loader that leaves out the unknown part.
    Unproven(Unproven),
    /// It must not be loaded: it would do harm, or nothing of it was read.
    Refused(Box<ArtifactReport>),
}

impl Examined {
    /// The bytes.
    pub fn source(&self) -> SharedSource {
        self.file.clone()
    }

    /// The open file.
    pub fn file(&self) -> &Arc<FileSource> {
        &self.file
    }

    /// The artifacts and what was seen in them.
    pub fn examination(&self) -> &Examination {
        &self.examination
    }

    /// The report.
    pub fn report(&self) -> &ArtifactReport {
        &self.report
    }

    /// Drops all artifacts, and keeps the file and the report. The values and layouts of a checkpoint with thousands of tensors
    /// take the most memory; a loader with a plan no longer needs them.
    pub fn forget(&mut self) {
        self.examination.artifacts = Vec::new();
    }

    /// Whether length and times of the file are those of the examination.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn unchanged(&self) -> io::Result<bool> {
        Ok(self.file.stamp()? == self.stamp)
    }
}

impl Cleared {
    /// The examined file.
    pub fn into_inner(self) -> Examined {
        self.0
    }
}

impl Unproven {
    /// The examined file.
    pub fn into_inner(self) -> Examined {
        self.0
    }

    /// The report.
    pub fn report(&self) -> &ArtifactReport {
        self.0.report()
    }
}

/// Opens a file once, examines it and decides whether it may be loaded.
///
/// # Errors
/// [`Error::Io`] when it cannot be opened or read or is not a regular file, [`Error::Changed`] when it changes meanwhile.
pub fn clear(path: &Path, limits: &Limits) -> Result<Clearance, Error> {
    let (file, name) = open_named(path).map_err(Error::io(path))?;
    clear_opened(file, &name, path, limits)
}

/// As [`clear`], for an open file. Reports call it `path`; `name` is a hint to formats.
///
/// # Errors
/// As [`clear`].
pub fn clear_opened(file: FileSource, name: &str, path: &Path, limits: &Limits) -> Result<Clearance, Error> {
    let file = Arc::new(file);
    let stamp = file.stamp().map_err(Error::io(path))?;
    let limits = Arc::new(limits.clone());
    let retain = Retain { events: false, layout: true };
    let examination = examine(file.clone(), name, &ScanBudget::start(limits.clone()), retain);
    let report = judge_artifact(&examination, &path.to_string_lossy(), &limits);
    let examined = Examined { file, stamp, examination, report };
    if !examined.unchanged().map_err(Error::io(path))? {
        return Err(Error::Changed { path: path.to_owned() });
    }
    Ok(match examined.report.verdict {
        Verdict::Clean if examined.report.not_read.is_empty() => Clearance::Cleared(Cleared(examined)),
        Verdict::Clean | Verdict::Unproven => Clearance::Unproven(Unproven(examined)),
        Verdict::NotScanned | Verdict::Dangerous => Clearance::Refused(Box::new(examined.report)),
    })
}
