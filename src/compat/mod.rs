//! The Python tool of the same name: its settings file, its severities, and a scan report in its terms.

pub(crate) mod report;
pub(crate) mod settings;
pub(crate) mod severity;
