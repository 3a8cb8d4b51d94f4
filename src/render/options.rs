//! Options of the reports of a scan. JSON does not depend on them.

use scanner::Severity;

/// How a report is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RenderOptions<'a> {
    /// With colors.
    pub(crate) colors: bool,
    /// With accepted findings, in the formats for people.
    pub(crate) show_suppressed: bool,
    /// Without the summary line.
    pub(crate) quiet: bool,
    /// The lowest severity that fails, for formats with passed and failed files.
    pub(crate) fail_on: Severity,
    /// The working directory. Paths below it become relative in formats that need that.
    pub(crate) working_dir: &'a str,
    /// The REF of `--changed-since`.
    pub(crate) changed_since: Option<&'a str>,
}

impl Default for RenderOptions<'_> {
    fn default() -> Self {
        Self {
            colors: false,
            show_suppressed: false,
            quiet: false,
            fail_on: Severity::Medium,
            working_dir: "",
            changed_since: None,
        }
    }
}
