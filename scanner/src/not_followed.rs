//! Links that a scan does not follow, for callers that name files one by one: a person's own links are followed, those that
//! came with a change are not.

use crate::artifact::Watch;
use crate::examine::examine;
use crate::fact::{Fact, Unread};
use crate::judge::judge;
use crate::limits::Limits;
use crate::report::ArtifactReport;
use crate::seen::Keep;
use crate::source::Memory;
use std::path::Path;
use std::sync::Arc;

/// What is to be said of a link that leads out of the repository that is scanned.
pub fn link_that_leaves(path: &str, target: &Path, limits: &Limits) -> ArtifactReport {
    let watch = Watch::start(Arc::new(limits.clone()));
    let mut examination = examine(Arc::new(Memory::new(Vec::new())), "", &watch, Keep::default());
    if let Some(root) = examination.looked.first_mut() {
        let what = "a symbolic link that leaves the repository; it was not followed".to_owned();
        root.format = Some("special-file");
        root.facts.push((None, Fact::ExternalReference { target: target.to_string_lossy().into_owned(), what }));
        root.unread.push((None, Unread::Unsupported("it was not opened".to_owned())));
    }
    judge(&examination, path, limits)
}
