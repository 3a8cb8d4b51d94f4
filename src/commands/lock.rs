//! `modelscan lock`: writes the lock of a folder, or compares the folder with it.

use super::output::{exit_after_write, write_stdout};
use crate::atomic_file;
use crate::cli::LimitArgs;
use crate::cli::lock::LockArgs;
use crate::config;
use crate::error::CommandError;
use crate::escape;
use crate::exit_code::ExitCode;
use crate::terminal::log::{Level, log};
use crate::trusted_config::TrustedFiles;
use admission::folder::Folder;
use admission::lock::{Lock, MAX_LOCK_BYTES, assess_folder};
use admission::lock_check::check_lock;
use admission::policy::Admission;
use admission::{LOCK_NAME, Problem};
use scanner::Limits;
use std::path::Path;

pub(crate) fn run(args: &LockArgs) -> Result<ExitCode, CommandError> {
    let limits = limits(&args.limits)?;
    let Some(folder) = open_folder(&args.folder)? else { return Ok(ExitCode::Incomplete) };
    let path = args.output.clone().unwrap_or_else(|| args.folder.join(LOCK_NAME));
    if args.check { check(args, &folder, &path, &limits) } else { write(args, &folder, &path, &limits) }
}

/// The limits of the command line. No configuration file is read: the command line alone decides what may be loaded.
pub(crate) fn limits(args: &LimitArgs) -> Result<Limits, CommandError> {
    let isolated = crate::cli::ConfigArgs { config: None, isolated: true };
    config::load(&isolated, args, &[]).map(|config| config.limits)
}

/// Opens a folder. Logs the error if that fails.
pub(crate) fn open_folder(path: &Path) -> Result<Option<Folder>, CommandError> {
    if path.exists() && !path.is_dir() {
        return Err(CommandError::usage(format!("{} is no folder", path.display())));
    }
    match Folder::open(path) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) => {
            log(Level::Error, &format!("{}: {error}", path.display()));
            Ok(None)
        }
    }
}

/// Reads a lock.
pub(crate) fn read(path: &Path) -> Result<Lock, CommandError> {
    let text = TrustedFiles::ON_DISK.read(path, MAX_LOCK_BYTES)?;
    Lock::parse(&text).map_err(|error| CommandError::from(error).in_file(path))
}

/// Logs files that could not be read.
pub(crate) fn log_problems(problems: &[Problem]) {
    problems.iter().for_each(|problem| log(Level::Error, &format!("{}: {}", problem.path, problem.reason)));
}

fn write(args: &LockArgs, folder: &Folder, path: &Path, limits: &Limits) -> Result<ExitCode, CommandError> {
    if path.exists() && !args.force {
        return Err(CommandError::Exists(path.to_owned()));
    }
    let mut assessed = assess_folder(folder, limits, Some(&atomic_file::canonical_path(path)));
    // The hash of a pointer is not that of its object.
    let is_pointer = |id: &str| scanner::formats::by_id(id).is_some_and(|info| info.is_pointer);
    let pointers = assessed.files.iter().filter(|(locked, _)| is_pointer(&locked.format));
    let pointers: Vec<Problem> = pointers
        .map(|(locked, _)| Problem {
            path: locked.path.clone(),
            reason: "a Git LFS pointer; fetch what it points to".into(),
        })
        .collect();
    assessed.problems.extend(pointers);
    log_problems(&assessed.problems);
    let mut dangerous = 0;
    let level = if args.record_dangerous { Level::Warning } else { Level::Error };
    for (locked, file) in assessed.with_admission(Admission::Dangerous) {
        dangerous += 1;
        log(level, &format!("{}: {}", locked.path, file.reason()));
    }
    if dangerous > 0 && !args.record_dangerous {
        log(Level::Note, "nothing was locked; --record-dangerous locks it all the same, with its verdict");
        return Ok(ExitCode::Finding);
    }
    if !assessed.problems.is_empty() {
        log(Level::Note, "nothing was locked");
        return Ok(ExitCode::Incomplete);
    }
    let lock = assessed.into_lock();
    if let Err(error) = atomic_file::write(path, |out| out.write_all(lock.to_json().as_bytes())) {
        log(Level::Error, &format!("{}: {error}", path.display()));
        return Ok(ExitCode::Incomplete);
    }
    Ok(exit_after_write(ExitCode::Clean, print_summary(args, &lock, path)))
}

fn print_summary(args: &LockArgs, lock: &Lock, path: &Path) -> std::io::Result<()> {
    if args.quiet {
        return Ok(());
    }
    let count = |verdict: &str| lock.files.iter().filter(|file| file.verdict == verdict).count();
    let verdicts = ["clean", "unproven", "dangerous", "not_scanned"].map(|verdict| (count(verdict), verdict));
    let verdicts: Vec<_> =
        verdicts.iter().filter(|(count, _)| *count > 0).map(|(n, verdict)| format!("{n} {verdict}")).collect();
    let path = path.to_string_lossy();
    write_stdout(|out| {
        writeln!(out, "locked {} files in {}: {}", lock.files.len(), escape::text(&path), verdicts.join(", "))
    })
}

fn check(args: &LockArgs, folder: &Folder, path: &Path, limits: &Limits) -> Result<ExitCode, CommandError> {
    let lock = read(path)?;
    let checked = check_lock(folder, &lock, limits, Some(&atomic_file::canonical_path(path)));
    log_problems(&checked.problems);
    if checked.rescanned && !args.quiet {
        log(Level::Warning, "the lock was made by other rules: all files were scanned anew; lock the folder again");
    }
    let code = match (checked.differences.is_empty(), checked.problems.is_empty()) {
        (false, _) => ExitCode::Finding,
        (true, false) => ExitCode::Incomplete,
        (true, true) => ExitCode::Clean,
    };
    Ok(exit_after_write(
        code,
        write_stdout(|out| {
            for difference in &checked.differences {
                writeln!(out, "{}", escape::text(&difference.to_string()))?;
            }
            match code {
                ExitCode::Clean if !args.quiet => writeln!(out, "{} files are as they were locked", lock.files.len()),
                _ => Ok(()),
            }
        }),
    ))
}
