//! `modelscan inspect`: members, pickles and tensors of files, without a judgement.

use super::output::{exit_after_write, write_stdout};
use crate::cli::{InspectArgs, InspectFormat};
use crate::config;
use crate::error::CommandError;
use crate::escape::EscapedLines;
use crate::exit_code::ExitCode;
use crate::render::inspection;
use crate::terminal::log::{Level, log, log_warnings};
use scanner::Limits;
use scanner::report::InspectReport;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Inspects each path. An error is logged, and the other paths follow.
pub(crate) fn run(args: &InspectArgs) -> Result<ExitCode, CommandError> {
    let targets: Vec<_> = args.paths.iter().map(|path| split_member(path)).collect();
    let files: Vec<_> = targets.iter().map(|(file, _)| file.clone()).collect();
    let config = config::load(&args.config, &args.limits, &files)?;
    log_warnings(&config.warnings);
    let limits = config.limits;
    let mut code = ExitCode::Clean;
    let written = write_stdout(|out| {
        for (path, (file, member)) in args.paths.iter().zip(&targets) {
            let inspected = match args.disasm {
                true => disassemble(file, member.as_deref(), &limits, out),
                false => inspect(file, member.as_deref(), args.format, &limits, out),
            }?;
            if let Err(error) = inspected {
                log(Level::Error, &format!("{}: {error}", path.display()));
                code = ExitCode::Incomplete;
            }
        }
        Ok(())
    });
    Ok(exit_after_write(code, written))
}

/// The outer error is one of writing, the inner one of reading.
type Inspected = io::Result<Result<(), scanner::Error>>;

fn inspect(
    file: &Path,
    member: Option<&str>,
    format: InspectFormat,
    limits: &Limits,
    out: &mut dyn Write,
) -> Inspected {
    match scanner::inspect(file, member, limits) {
        Err(error) => Ok(Err(error)),
        Ok(mut report) => {
            if member.is_none() && report.tensors.is_empty() {
                add_tensors(file, limits, &mut report);
            }
            match format {
                InspectFormat::Json => inspection::json(&report, out),
                InspectFormat::Text => inspection::text_page(&report, out),
            }
            .map(Ok)
        }
    }
}

/// Adds the tensors of pickles, which the loader lists. The scanner lists those of headers.
fn add_tensors(file: &Path, limits: &Limits, report: &mut InspectReport) {
    match loader::list(file, limits) {
        Ok(listing) => {
            report.tensors = listing.tensors;
            if !listing.complete && !report.tensors.is_empty() {
                log(
                    Level::Warning,
                    &format!("{}: there may be more tensors than those that are listed", file.display()),
                );
            }
        }
        Err(error) => log(Level::Warning, &format!("{}: its tensors are not listed: {error}", file.display())),
    }
}

fn disassemble(file: &Path, member: Option<&str>, limits: &Limits, out: &mut dyn Write) -> Inspected {
    let mut lines = EscapedLines::new(out);
    let result = scanner::disassemble(file, member, limits, &mut lines);
    lines.finish()?;
    Ok(result)
}

/// Splits `PATH::MEMBER` where PATH exists. An existing file with `::` in its name is not split.
fn split_member(path: &Path) -> (PathBuf, Option<String>) {
    let unsplit = || (path.to_path_buf(), None);
    let Some(text) = path.to_str().filter(|_| path.symlink_metadata().is_err()) else { return unsplit() };
    let mut cuts = text.match_indices("::").map(|(at, _)| (&text[..at], &text[at + 2..]));
    let found = cuts.clone().find(|(file, _)| Path::new(file).symlink_metadata().is_ok());
    found.or_else(|| cuts.next()).map_or_else(unsplit, |(file, member)| (file.into(), Some(member.to_owned())))
}
