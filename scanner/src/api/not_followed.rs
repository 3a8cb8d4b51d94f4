//! What a scan does not open: links that lead out of what is scanned, FIFOs, sockets, devices. A person's own links are followed, those
//! that came with a change are not.

use crate::examine::examine;
use crate::io::budget::ScanBudget;
use crate::io::limits::Limits;
use crate::io::source::Memory;
use crate::judge::judgement::judge;
use crate::judge::report::{ArtifactReport, SPECIAL_FILE_FORMAT};
use crate::observe::fact::{Fact, Unread};
use crate::observe::observations::Retain;
use std::path::Path;
use std::sync::Arc;

/// What is to be said of a link that leads out of the repository that is scanned.
pub fn link_that_leaves(path: &str, target: &Path, limits: &Limits) -> ArtifactReport {
    let what = "a symbolic link that leaves the repository; it was not followed".to_owned();
    report(path, Fact::ExternalReference { target: target.to_string_lossy().into_owned(), what }, limits)
}

/// The report of something that was not opened, for the reason that `fact` states.
pub(crate) fn report(path: &str, fact: Fact, limits: &Limits) -> ArtifactReport {
    let budget = ScanBudget::start(Arc::new(limits.clone()));
    let mut examination = examine(Arc::new(Memory::new(Vec::new())), "", &budget, Retain::default());
    if let Some(root) = examination.artifacts.first_mut() {
        root.format = Some(SPECIAL_FILE_FORMAT);
        root.facts.push((None, fact));
        root.unread.push((None, Unread::Unsupported("it was not opened".to_owned())));
    }
    judge(&examination, path, limits)
}
