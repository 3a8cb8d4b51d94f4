//! The proof that a file may be loaded: one open file, everything that was seen in it, and a verdict over all of it.
//!
//! Whoever loads takes the proof and reads through it: the same descriptor, the very traces that were judged. The user's
//! policy has no say here; it silences findings and cannot make a file clean.

use crate::examine::{Examination, examine};
use crate::io::budget::ScanBudget;
use crate::io::directory::open_named;
use crate::io::limits::Limits;
use crate::io::source::{FileSource, SharedSource, Stamp};
use crate::judge::finding::Verdict;
use crate::judge::judgement::judge;
use crate::judge::report::ArtifactReport;
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

/// All of the file was read, and every callable that it would reach is known to be inert. Made here alone.
pub struct Cleared(Examined);

/// Something in the file is unknown, unreadable or computed; nothing in it is known to do harm.
pub struct Unproven(Examined);

/// What may be done with a file.
pub enum Clearance {
    /// It may be loaded.
    Cleared(Cleared),
    /// It may be loaded by somebody who says so, and only by what leaves the unknown alone.
    Unproven(Unproven),
    /// It is not to be loaded: it would do harm, or nothing of it was read.
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

    /// Everything that was seen.
    pub fn examination(&self) -> &Examination {
        &self.examination
    }

    /// What the scanner says of it.
    pub fn report(&self) -> &ArtifactReport {
        &self.report
    }

    /// Keeps the file and the report only: whoever took from the values and layouts what is to be loaded needs them no more,
    /// and of a checkpoint of thousands of tensors they are most of what there is in memory.
    pub fn forget(&mut self) {
        self.examination.artifacts = Vec::new();
    }

    /// Whether the file is still the one that was examined, as far as its length and times tell.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn unchanged(&self) -> io::Result<bool> {
        Ok(self.file.stamp()? == self.stamp)
    }
}

impl Cleared {
    /// What was examined.
    pub fn into_inner(self) -> Examined {
        self.0
    }
}

impl Unproven {
    /// What was examined.
    pub fn into_inner(self) -> Examined {
        self.0
    }

    /// What the scanner says of it.
    pub fn report(&self) -> &ArtifactReport {
        self.0.report()
    }
}

/// Opens a file once, examines it and says what may be done with it.
///
/// # Errors
/// When it cannot be opened or read, is no regular file, or changes meanwhile.
pub fn clear(path: &Path, limits: &Limits) -> io::Result<Clearance> {
    let (file, name) = open_named(path)?;
    clear_opened(file, &name, path, limits)
}

/// As [`clear`], of a file that is open already. `path` is what reports call it, `name` a hint like any file's name.
///
/// # Errors
/// As [`clear`].
pub fn clear_opened(file: FileSource, name: &str, path: &Path, limits: &Limits) -> io::Result<Clearance> {
    let file = Arc::new(file);
    let stamp = file.stamp()?;
    let limits = Arc::new(limits.clone());
    let keep = Retain { events: false, layout: true };
    let examination = examine(file.clone(), name, &ScanBudget::start(limits.clone()), keep);
    let report = judge(&examination, &path.to_string_lossy(), &limits);
    let examined = Examined { file, stamp, examination, report };
    if !examined.unchanged()? {
        return Err(io::Error::other("the file changed while it was read; try again when nobody writes to it"));
    }
    Ok(match examined.report.verdict {
        Verdict::Clean if examined.report.not_read.is_empty() => Clearance::Cleared(Cleared(examined)),
        Verdict::Clean | Verdict::Unproven => Clearance::Unproven(Unproven(examined)),
        Verdict::NotScanned | Verdict::Dangerous => Clearance::Refused(Box::new(examined.report)),
    })
}
