//! The paths of clean files and nothing else, for programs that go on with these. Each ends with a NUL, which no name can
//! hold, so no name can pass for two.

use scanner::Verdict;
use scanner::report::Report;
use std::io::{self, Write};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for artifact in report.artifacts.iter().filter(|artifact| artifact.verdict == Verdict::Clean) {
        write!(out, "{}\0", artifact.path)?;
    }
    Ok(())
}
