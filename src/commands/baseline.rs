//! `modelscan baseline`: a file of known findings, by their fingerprints.
//!
//! A known finding does not fail the gate; its verdict stays. Unread parts are in no baseline.

use super::output::{exit_after_write, write_stdout};
use crate::atomic_file;
use crate::baseline::{Baseline, KnownFinding};
use crate::cli::baseline::{BaselineArgs, BaselineSubcommand, CreateArgs, PruneArgs};
use crate::cli::{ConfigArgs, LimitArgs};
use crate::config;
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use crate::remote_inputs;
use crate::terminal::log::{Level, log, log_warnings};
use crate::trusted_config::TrustedFiles;
use scanner::ScanOptions;
use scanner::Verdict;
use scanner::policy::NOT_READ;
use scanner::report::Report;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Bytes of a baseline. One of 100,000 findings takes about 30 MB.
const MAX_BASELINE_BYTES: u64 = 256 << 20;

pub(crate) fn run(args: &BaselineArgs) -> Result<ExitCode, CommandError> {
    match &args.subcommand {
        BaselineSubcommand::Create(args) => create(args),
        BaselineSubcommand::Prune(args) => prune(args),
    }
}

/// Reads a baseline.
pub(crate) fn read(files: TrustedFiles<'_>, path: &Path) -> Result<Baseline, CommandError> {
    let text = files.read(path, MAX_BASELINE_BYTES)?;
    Baseline::parse(&text).map_err(|error| error.in_file(path))
}

/// The number of entries of scanned files that occur less often than the baseline says.
pub(crate) fn count_stale(baseline: &Baseline, report: &Report) -> usize {
    let (found, complete) = (occurrences(report), completely_read(report));
    baseline
        .findings
        .iter()
        .filter(|known| complete.get(known.path.as_str()) == Some(&true))
        .filter(|known| found.get(&known.fingerprint).copied().unwrap_or(0) < known.count)
        .count()
}

fn create(args: &CreateArgs) -> Result<ExitCode, CommandError> {
    if args.output.exists() && !args.force {
        return Err(CommandError::Exists(args.output.clone()));
    }
    let report = scan(&args.paths, &args.config, &args.limits)?;
    let is_kept = |finding: &scanner::Finding| finding.suppressed.is_none() && finding.rule != NOT_READ;
    let baseline = Baseline::from_report(&report, is_kept);
    let all = report.artifacts.iter().flat_map(|artifact| &artifact.findings);
    let dangerous = all.filter(|finding| is_kept(finding) && finding.verdict == Verdict::Dangerous).count();
    if dangerous > 0 {
        log(
            Level::Warning,
            &format!("{dangerous} of these findings are dangerous: whoever loads those files is still harmed"),
        );
    }
    write(&args.output, &baseline, &report, |code| {
        exit_after_write(
            code,
            write_stdout(|out| writeln!(out, "{} findings are in {}", baseline.findings.len(), args.output.display())),
        )
    })
}

fn prune(args: &PruneArgs) -> Result<ExitCode, CommandError> {
    let mut baseline = read(TrustedFiles::ON_DISK, &args.baseline)?;
    let report = scan(&args.paths, &args.config, &args.limits)?;
    let (found, complete) = (occurrences(&report), completely_read(&report));
    let before = baseline.findings.len();
    let mut fewer = 0;
    baseline.findings.retain_mut(|known| {
        let count = found.get(&known.fingerprint).copied().unwrap_or(0);
        let is_certain = match complete.get(known.path.as_str()) {
            Some(complete) => *complete,
            None => is_deleted(known),
        };
        if is_certain && count < known.count {
            fewer += u64::from(count > 0);
            known.count = count;
        }
        known.count > 0
    });
    let dropped = before - baseline.findings.len();
    write(&args.baseline, &baseline, &report, |code| {
        let kept = baseline.findings.len();
        let fewer = if fewer > 0 { format!(", {fewer} of them less often") } else { String::new() };
        exit_after_write(code, write_stdout(|out| writeln!(out, "dropped {dropped}, kept {kept}{fewer}")))
    })
}

/// Whether a file that was not scanned does not exist any more.
fn is_deleted(known: &KnownFinding) -> bool {
    std::fs::symlink_metadata(&known.path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn write(
    path: &Path,
    baseline: &Baseline,
    report: &Report,
    print_summary: impl FnOnce(ExitCode) -> ExitCode,
) -> Result<ExitCode, CommandError> {
    if let Err(error) = atomic_file::write(path, |out| baseline.write(out)) {
        log(Level::Error, &format!("{}: {error}", path.display()));
        return Ok(ExitCode::Incomplete);
    }
    let incomplete = report.artifacts.iter().filter(|artifact| artifact.is_incomplete());
    let unread =
        incomplete.map(|artifact| artifact.path.as_str()).chain(report.errors.iter().map(|error| error.path.as_str()));
    let mut code = ExitCode::Clean;
    for path in unread {
        log(Level::Warning, &format!("{path} could not be read whole; no baseline covers that"));
        code = ExitCode::Incomplete;
    }
    Ok(print_summary(code))
}

fn scan(paths: &[PathBuf], config: &ConfigArgs, limits: &LimitArgs) -> Result<Report, CommandError> {
    let config = config::load(config, limits, paths)?;
    log_warnings(&config.warnings);
    let hash = config.policy.needs_sha256();
    let inputs = remote_inputs::local_only();
    let options = ScanOptions {
        limits: config.limits,
        hash,
        policy: config.policy,
        jobs: config.jobs,
        input_provider: Some(&inputs),
        ..ScanOptions::default()
    };
    Ok(scanner::scan(paths, &options))
}

fn occurrences(report: &Report) -> BTreeMap<String, u64> {
    Baseline::from_report(report, |_| true).counts()
}

/// The scanned files, and whether each was read completely. A finding may be in an unread part.
fn completely_read(report: &Report) -> HashMap<&str, bool> {
    let files = report.artifacts.iter().map(|artifact| (artifact.path.as_str(), !artifact.is_incomplete()));
    let errors = report.errors.iter().map(|error| (error.path.as_str(), false));
    files.chain(errors).collect()
}
