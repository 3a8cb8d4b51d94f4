//! The paths of clean files, for other programs. Each ends with a NUL, which a path cannot contain.

use scanner::Verdict;
use scanner::report::Report;
use std::io::{self, Write};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for artifact in report.artifacts.iter().filter(|artifact| artifact.verdict == Verdict::Clean) {
        write!(out, "{}\0", artifact.path)?;
    }
    Ok(())
}
