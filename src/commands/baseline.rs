//! `modelscan baseline`: findings that are known, kept in a file by their fingerprints.
//!
//! A baseline keeps old findings from failing the gate and changes no verdict. What could not be read is in none.

use super::{Stop, elsewhere, print, settle};
use crate::cli::baseline::{BaselineArgs, BaselineVerb, CreateArgs, PruneArgs};
use crate::cli::{ConfigArgs, LimitArgs};
use crate::config;
use crate::decision::Decisions;
use crate::exit::Exit;
use crate::file;
use crate::render::baseline::{Baseline, Known};
use crate::terminal::say;
use scanner::ScanOptions;
use scanner::Verdict;
use scanner::policy::NOT_READ;
use scanner::report::Report;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// A baseline of a hundred thousand findings takes about 30 MB.
const MAX_BYTES: u64 = 256 << 20;

/// Does what was asked for.
pub(crate) fn run(args: &BaselineArgs) -> Result<Exit, Stop> {
    match &args.verb {
        BaselineVerb::Create(args) => create(args),
        BaselineVerb::Prune(args) => prune(args),
    }
}

/// Reads a baseline.
pub(crate) fn read(decisions: Decisions<'_>, path: &Path) -> Result<Baseline, Stop> {
    let text = decisions.read(path, MAX_BYTES).map_err(Stop::Usage)?;
    Baseline::parse(&text).map_err(|why| Stop::Usage(format!("{}: {why}", path.display())))
}

/// Entries of files that were scanned, and that occur no longer or less often.
pub(crate) fn stale(baseline: &Baseline, report: &Report) -> usize {
    let (now, files) = (occurring(report), fully_read(report));
    baseline
        .findings
        .iter()
        .filter(|known| files.get(known.path.as_str()) == Some(&true))
        .filter(|known| now.get(&known.fingerprint).copied().unwrap_or(0) < known.count)
        .count()
}

fn create(args: &CreateArgs) -> Result<Exit, Stop> {
    if args.output.exists() && !args.force {
        return Err(Stop::Usage(format!("{} is there already; --force replaces it", args.output.display())));
    }
    let report = scan(&args.paths, &args.config, &args.limits)?;
    let wanted = |finding: &scanner::Finding| finding.suppressed.is_none() && finding.rule != NOT_READ;
    let baseline = Baseline::of(&report, wanted);
    let all = report.artifacts.iter().flat_map(|artifact| &artifact.findings);
    let dangerous = all.filter(|finding| wanted(finding) && finding.verdict == Verdict::Dangerous).count();
    if dangerous > 0 {
        say(
            "warning",
            &format!("{dangerous} of these findings are dangerous: whoever loads those files is still harmed"),
        );
    }
    write(&args.output, &baseline, &report, |exit| {
        settle(
            exit,
            print(|out| writeln!(out, "{} findings are in {}", baseline.findings.len(), args.output.display())),
        )
    })
}

fn prune(args: &PruneArgs) -> Result<Exit, Stop> {
    let mut baseline = read(Decisions::ON_DISK, &args.baseline)?;
    let report = scan(&args.paths, &args.config, &args.limits)?;
    let (now, files) = (occurring(&report), fully_read(&report));
    let before = baseline.findings.len();
    let mut fewer = 0;
    baseline.findings.retain_mut(|known| {
        let found = now.get(&known.fingerprint).copied().unwrap_or(0);
        let decided = match files.get(known.path.as_str()) {
            Some(read) => *read,
            None => gone(known),
        };
        if decided && found < known.count {
            fewer += u64::from(found > 0);
            known.count = found;
        }
        known.count > 0
    });
    let dropped = before - baseline.findings.len();
    write(&args.baseline, &baseline, &report, |exit| {
        let kept = baseline.findings.len();
        let fewer = if fewer > 0 { format!(", {fewer} of them less often") } else { String::new() };
        settle(exit, print(|out| writeln!(out, "dropped {dropped}, kept {kept}{fewer}")))
    })
}

/// A file outside of what was scanned keeps its entries for as long as it is there.
fn gone(known: &Known) -> bool {
    std::fs::symlink_metadata(&known.path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn write(path: &Path, baseline: &Baseline, report: &Report, done: impl FnOnce(Exit) -> Exit) -> Result<Exit, Stop> {
    if let Err(error) = file::write(path, |out| baseline.write(out)) {
        say("error", &format!("{}: {error}", path.display()));
        return Ok(Exit::Incomplete);
    }
    let incomplete = report.artifacts.iter().filter(|artifact| artifact.is_incomplete());
    let unread =
        incomplete.map(|artifact| artifact.path.as_str()).chain(report.errors.iter().map(|error| error.path.as_str()));
    let mut exit = Exit::Clean;
    for path in unread {
        say("warning", &format!("{path} could not be read whole; no baseline covers that"));
        exit = Exit::Incomplete;
    }
    Ok(done(exit))
}

fn scan(paths: &[PathBuf], config: &ConfigArgs, limits: &LimitArgs) -> Result<Report, Stop> {
    let config = config::load(config, limits, paths).map_err(Stop::Usage)?;
    config.warnings.iter().for_each(|warning| say("warning", warning));
    let hash = config.policy.needs_sha256();
    let outside = elsewhere::local();
    let options = ScanOptions {
        limits: config.limits,
        hash,
        policy: config.policy,
        jobs: config.jobs,
        input_provider: Some(&outside),
        ..ScanOptions::default()
    };
    Ok(scanner::scan(paths, &options))
}

fn occurring(report: &Report) -> BTreeMap<String, u64> {
    Baseline::of(report, |_| true).counts()
}

/// Files, and whether all of them was read: what was not read may still be there.
fn fully_read(report: &Report) -> HashMap<&str, bool> {
    let files = report.artifacts.iter().map(|artifact| (artifact.path.as_str(), !artifact.is_incomplete()));
    let errors = report.errors.iter().map(|error| (error.path.as_str(), false));
    files.chain(errors).collect()
}
