//! `modelscan inspect`: what is inside, without an opinion.

use super::{Stop, print, settle};
use crate::cli::{InspectArgs, InspectFormat};
use crate::config;
use crate::exit::Exit;
use crate::render::{escape, inspection};
use crate::terminal::say;
use scanner::Limits;
use scanner::report::InspectReport;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Inspects one path after the other. What cannot be read is said aloud, and the others still follow.
pub(crate) fn run(args: &InspectArgs) -> Result<Exit, Stop> {
    let targets: Vec<_> = args.paths.iter().map(|path| split(path)).collect();
    let files: Vec<_> = targets.iter().map(|(file, _)| file.clone()).collect();
    let config = config::load(&args.config, &args.limits, &files).map_err(Stop::Usage)?;
    config.warnings.iter().for_each(|warning| say("warning", warning));
    let limits = config.limits;
    let mut exit = Exit::Clean;
    let written = print(|out| {
        for (path, (file, member)) in args.paths.iter().zip(&targets) {
            let shown = match args.disasm {
                true => disassemble(file, member.as_deref(), &limits, out),
                false => inspect(file, member.as_deref(), args.format, &limits, out),
            }?;
            if let Err(error) = shown {
                say("error", &format!("{}: {error}", path.display()));
                exit = Exit::Incomplete;
            }
        }
        Ok(())
    });
    Ok(settle(exit, written))
}

/// The outer error is the output's, the inner one the input's.
type Shown = io::Result<Result<(), scanner::Error>>;

fn inspect(file: &Path, member: Option<&str>, format: InspectFormat, limits: &Limits, out: &mut dyn Write) -> Shown {
    match scanner::inspect(file, member, limits) {
        Err(error) => Ok(Err(error)),
        Ok(mut report) => {
            if member.is_none() && report.tensors.is_empty() {
                name_tensors(file, limits, &mut report);
            }
            match format {
                InspectFormat::Json => inspection::json(&report, out),
                InspectFormat::Text => inspection::page(&report, out),
            }
            .map(Ok)
        }
    }
}

/// Headers name their tensors to the scanner; the values of a pickle are followed by the loader.
fn name_tensors(file: &Path, limits: &Limits, report: &mut InspectReport) {
    match loader::list(file, limits) {
        Ok(listing) => {
            report.tensors = listing.tensors;
            if !listing.complete && !report.tensors.is_empty() {
                say("warning", &format!("{}: there may be more tensors than those that are listed", file.display()));
            }
        }
        Err(error) => say("warning", &format!("{}: its tensors are not listed: {error}", file.display())),
    }
}

fn disassemble(file: &Path, member: Option<&str>, limits: &Limits, out: &mut dyn Write) -> Shown {
    let mut lines = escape::Lines::new(out);
    let shown = scanner::disassemble(file, member, limits, &mut lines);
    lines.finish()?;
    Ok(shown)
}

/// Splits `PATH::MEMBER` where the part before exists; a file whose own name holds `::` is meant as it stands.
fn split(path: &Path) -> (PathBuf, Option<String>) {
    let whole = || (path.to_path_buf(), None);
    let Some(text) = path.to_str().filter(|_| path.symlink_metadata().is_err()) else { return whole() };
    let mut cuts = text.match_indices("::").map(|(at, _)| (&text[..at], &text[at + 2..]));
    let found = cuts.clone().find(|(file, _)| Path::new(file).symlink_metadata().is_ok());
    found.or_else(|| cuts.next()).map_or_else(whole, |(file, member)| (file.into(), Some(member.to_owned())))
}
