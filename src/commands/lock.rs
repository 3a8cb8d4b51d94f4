//! `modelscan lock`: a folder written down, and compared with what was written.

use super::{Stop, print, settle};
use crate::cli::LimitArgs;
use crate::cli::lock::LockArgs;
use crate::config;
use crate::decision::Decisions;
use crate::exit::Exit;
use crate::file;
use crate::render::escape;
use crate::terminal::say;
use admit::check::check;
use admit::lock::{self, Lock};
use admit::look::Standing;
use admit::walk::{Folder, Problem};
use scanner::Limits;
use std::path::{Path, PathBuf};

/// Does what was asked for.
pub(crate) fn run(args: &LockArgs) -> Result<Exit, Stop> {
    let limits = limits(&args.limits)?;
    let Some(folder) = open(&args.folder)? else { return Ok(Exit::Incomplete) };
    let place = args.output.clone().unwrap_or_else(|| args.folder.join(lock::NAME));
    if args.check { compare(args, &folder, &place, &limits) } else { write(args, &folder, &place, &limits) }
}

/// The bounds, as typed. No configuration file is asked: what may be loaded is decided by what stands on the line.
pub(crate) fn limits(typed: &LimitArgs) -> Result<Limits, Stop> {
    let isolated = crate::cli::ConfigArgs { config: None, isolated: true };
    config::load(&isolated, typed, &[]).map(|config| config.limits).map_err(Stop::Usage)
}

/// Opens a folder, or says why that cannot be.
pub(crate) fn open(path: &Path) -> Result<Option<Folder>, Stop> {
    if path.exists() && !path.is_dir() {
        return Err(Stop::Usage(format!("{} is no folder", path.display())));
    }
    match Folder::open(path) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) => {
            say("error", &format!("{}: {error}", path.display()));
            Ok(None)
        }
    }
}

/// Reads a lock.
pub(crate) fn read(path: &Path) -> Result<Lock, Stop> {
    let text = Decisions::ON_DISK.read(path, lock::MAX_BYTES).map_err(Stop::Usage)?;
    Lock::parse(&text).map_err(|why| Stop::Usage(format!("{}: {why}", path.display())))
}

/// The place of a lock as it would be listed: it holds the hash of every file but itself.
pub(crate) fn itself(path: &Path) -> PathBuf {
    file::identity(path)
}

/// Says what could not be read.
pub(crate) fn complain(problems: &[Problem]) {
    problems.iter().for_each(|problem| say("error", &format!("{}: {}", problem.path, problem.why)));
}

fn write(args: &LockArgs, folder: &Folder, place: &Path, limits: &Limits) -> Result<Exit, Stop> {
    if place.exists() && !args.force {
        return Err(Stop::Usage(format!("{} is there already; --force replaces it", place.display())));
    }
    let mut seen = lock::see(folder, limits, Some(&itself(place)));
    // The hash of a pointer says nothing of what it points to.
    let is_pointer = |id: &str| scanner::formats::by_id(id).is_some_and(|info| info.is_pointer);
    let pointers = seen.files.iter().filter(|(locked, _)| is_pointer(&locked.format));
    let pointers: Vec<Problem> = pointers
        .map(|(locked, _)| Problem {
            path: locked.path.clone(),
            why: "a Git LFS pointer; fetch what it points to".into(),
        })
        .collect();
    seen.problems.extend(pointers);
    complain(&seen.problems);
    let mut dangerous = 0;
    for (locked, looked) in seen.of(Standing::Dangerous) {
        dangerous += 1;
        say(if args.record_dangerous { "warning" } else { "error" }, &format!("{}: {}", locked.path, looked.why()));
    }
    if dangerous > 0 && !args.record_dangerous {
        say("note", "nothing was locked; --record-dangerous locks it all the same, with its verdict");
        return Ok(Exit::Finding);
    }
    if !seen.problems.is_empty() {
        say("note", "nothing was locked");
        return Ok(Exit::Incomplete);
    }
    let lock = Lock::new(seen.files.into_iter().map(|(locked, _)| locked).collect());
    if let Err(error) = file::write(place, |out| out.write_all(lock.text().as_bytes())) {
        say("error", &format!("{}: {error}", place.display()));
        return Ok(Exit::Incomplete);
    }
    Ok(settle(Exit::Clean, summary(args, &lock, place)))
}

fn summary(args: &LockArgs, lock: &Lock, place: &Path) -> std::io::Result<()> {
    if args.quiet {
        return Ok(());
    }
    let count = |verdict: &str| lock.files.iter().filter(|file| file.verdict == verdict).count();
    let kinds = ["clean", "unproven", "dangerous", "not_scanned"].map(|verdict| (count(verdict), verdict));
    let kinds: Vec<_> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(n, verdict)| format!("{n} {verdict}")).collect();
    let place = place.to_string_lossy();
    print(|out| writeln!(out, "locked {} files in {}: {}", lock.files.len(), escape::text(&place), kinds.join(", ")))
}

fn compare(args: &LockArgs, folder: &Folder, place: &Path, limits: &Limits) -> Result<Exit, Stop> {
    let lock = read(place)?;
    let checked = check(folder, &lock, limits, Some(&itself(place)));
    complain(&checked.problems);
    if checked.anew && !args.quiet {
        say("warning", "the lock was made by other rules: all files were scanned anew; lock the folder again");
    }
    let exit = match (checked.differences.is_empty(), checked.problems.is_empty()) {
        (false, _) => Exit::Finding,
        (true, false) => Exit::Incomplete,
        (true, true) => Exit::Clean,
    };
    Ok(settle(
        exit,
        print(|out| {
            for difference in &checked.differences {
                writeln!(out, "{}", escape::text(&difference.to_string()))?;
            }
            match exit {
                Exit::Clean if !args.quiet => writeln!(out, "{} files are as they were locked", lock.files.len()),
                _ => Ok(()),
            }
        }),
    ))
}
