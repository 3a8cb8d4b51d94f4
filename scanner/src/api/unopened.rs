//! Reports on paths that a scan does not open: links that leave the scanned folder, FIFOs, sockets, devices. Links of the user are
//! followed; links that come with a change under review are not.

use crate::examine::examine;
use crate::fact::{Fact, Unread};
use crate::io::budget::ScanBudget;
use crate::io::limits::Limits;
use crate::io::source::Memory;
use crate::judge::report::{ArtifactReport, SPECIAL_FILE_FORMAT};
use crate::judge::verdict::judge_artifact;
use crate::observe::observations::Retain;
use std::path::Path;
use std::sync::Arc;

/// The report on a symbolic link that leaves the scanned repository. `path` is the link.
pub fn report_escaping_link(path: &str, target: &Path, limits: &Limits) -> ArtifactReport {
    report(path, escaping_link("repository", target), limits)
}

/// The fact of a symbolic link that leaves `root`: `repository` or `folder that is scanned`.
pub(crate) fn escaping_link(root: &str, target: &Path) -> Fact {
    let what = format!("a symbolic link that leaves the {root}; it was not followed");
    Fact::ExternalReference { target: target.to_string_lossy().into_owned(), what }
}

/// The report on a path that was not opened because of `fact`.
pub(crate) fn report(path: &str, fact: Fact, limits: &Limits) -> ArtifactReport {
    let budget = ScanBudget::start(Arc::new(limits.clone()));
    let mut examination = examine(Arc::new(Memory::new(Vec::new())), "", &budget, Retain::default());
    if let Some(root) = examination.artifacts.first_mut() {
        root.format = Some(SPECIAL_FILE_FORMAT);
        root.facts.push((None, fact));
        root.unread.push((None, Unread::Unsupported("it was not opened".to_owned())));
    }
    judge_artifact(&examination, path, limits)
}
