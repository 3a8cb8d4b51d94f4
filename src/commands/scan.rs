//! `modelscan scan`: scans files and addresses, and writes reports.

use super::baseline;
use super::output::{exit_after_write, write_stdout};
use crate::atomic_file::{self, canonical_path};
use crate::baseline::Baseline;
use crate::changes::Changes;
use crate::cli::{ReportFormat, ReportOutput, ScanArgs};
use crate::config::{self, Config};
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use crate::remote_inputs;
use crate::render;
use crate::render::options::RenderOptions;
use crate::terminal::color::use_colors;
use crate::terminal::log::{Level, log, log_warnings};
use crate::terminal::progress::ScanProgress;
use crate::trusted_config::TrustedFiles;
use scanner::ScanOptions;
use scanner::report::Report;
use std::io;
use std::path::PathBuf;

/// Scans, and writes the reports.
pub(crate) fn run(args: &ScanArgs) -> Result<ExitCode, CommandError> {
    let changes = args.changed_since.as_deref().map(|base| Changes::since(base, &args.paths)).transpose()?;
    let files = TrustedFiles::at_base_of(changes.as_ref());
    let paths = changes.as_ref().map_or(&args.paths, |changes| &changes.paths);
    let mut config = config::load_from(files, &args.config, &args.limits, paths)?;
    config.apply_flags(args.fail_on, args.jobs, args.no_ignores);
    check_outputs(args, paths)?;
    let baseline = match args.baseline.as_deref() {
        Some(path) => {
            files.exists(path, &mut config.warnings)?;
            Some(baseline::read(files, path)?)
        }
        None => None,
    };
    config.policy.baseline = baseline.as_ref().map(Baseline::counts).unwrap_or_default();
    let report = scan(args, paths, &config, changes.as_ref())?;
    if !args.quiet {
        log_warnings(&config.warnings);
        log_warnings(match &changes {
            // An entry that matches nothing of a change may match other files.
            Some(changes) => changes.warnings.clone(),
            None => unused_entries(&config, &report),
        });
        let stale = baseline.as_ref().map_or(0, |baseline| baseline::count_stale(baseline, &report));
        if stale > 0 {
            log(
                Level::Warning,
                &format!("{stale} entries of the baseline no longer occur; `baseline prune` drops them"),
            );
        }
    }
    let working_dir = std::env::current_dir().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let options = RenderOptions {
        colors: use_colors(args.color),
        show_suppressed: args.show_suppressed,
        quiet: args.quiet,
        fail_on: config.policy.fail_on,
        working_dir: &working_dir,
        changed_since: changes.as_ref().map(Changes::base_name),
    };
    let mut code = ExitCode::of_report(&report, &config.policy);
    if changes.is_some() && code == ExitCode::NothingKnown {
        // Most changes have no model.
        code = ExitCode::Clean;
    }
    for output in &args.output {
        if let Err(error) = write_file(output, &report, options) {
            log(Level::Error, &format!("{}: {error}", output.path.display()));
            code = code.after_failed_write();
        }
    }
    Ok(exit_after_write(code, write_stdout(|out| render::report(args.format, &report, options, out))))
}

fn scan(
    args: &ScanArgs,
    paths: &[PathBuf],
    config: &Config,
    changes: Option<&Changes>,
) -> Result<Report, CommandError> {
    // A bill of materials has hashes.
    let hash = args.sha256
        || args.format == ReportFormat::Cyclonedx
        || args.output.iter().any(|output| output.format == ReportFormat::Cyclonedx)
        || config.policy.needs_sha256();
    let verdicts =
        remote_inputs::open_verdict_cache(args.lfs_and_cache.cache.as_deref(), &args.paths, changes.is_some())?;
    let (paths, inputs) =
        remote_inputs::split_inputs(paths, &args.remote, Some(&args.lfs_and_cache), hash, &config.limits)?;
    let progress = ScanProgress::start(!args.quiet && !args.no_progress);
    let options = ScanOptions {
        limits: config.limits.clone(),
        hash,
        policy: config.policy.clone(),
        use_calling_thread: true,
        jobs: if inputs.uses_network() && config.jobs == 0 { remote_inputs::REMOTE_JOBS } else { config.jobs },
        input_provider: Some(&inputs),
        verdict_cache: verdicts.as_ref(),
        progress: progress.as_ref().map(|progress| progress as &dyn scanner::Progress),
    };
    let report = scanner::scan(&paths, &options);
    Ok(match changes {
        Some(changes) => with_links(report, changes, config),
        None => report,
    })
}

/// Adds the links of a change that lead out of the repository, which are not followed.
fn with_links(report: Report, changes: &Changes, config: &Config) -> Report {
    if changes.links_out.is_empty() {
        return report;
    }
    let links = changes.links_out.iter().map(|(shown, target)| {
        let path = shown.to_string_lossy();
        let mut link = scanner::report_escaping_link(&path, target, &config.limits);
        config.policy.apply(&mut link.findings, &path, None);
        link
    });
    let Report { mut artifacts, errors, summary, .. } = report;
    artifacts.extend(links);
    Report::new(artifacts, errors, summary.bytes_read)
}

/// Refuses two reports in one file, and a report in place of a scanned file.
fn check_outputs(args: &ScanArgs, scanned: &[PathBuf]) -> Result<(), CommandError> {
    let invalid = |reason: String| CommandError::usage(reason).at("--output");
    let targets: Vec<_> = args.output.iter().map(|output| canonical_path(&output.path)).collect();
    let scanned: Vec<_> = scanned.iter().chain(&args.baseline).map(|path| canonical_path(path)).collect();
    for (index, (target, output)) in targets.iter().zip(&args.output).enumerate() {
        let shown = output.path.display();
        if targets.iter().take(index).any(|other| other == target) {
            return Err(invalid(format!("{shown} is named twice")));
        }
        if scanned.contains(target) {
            return Err(invalid(format!("{shown} is read by this scan and would be overwritten")));
        }
    }
    Ok(())
}

fn write_file(output: &ReportOutput, report: &Report, options: RenderOptions<'_>) -> io::Result<()> {
    let options = RenderOptions { colors: false, ..options };
    atomic_file::write(&output.path, |out| render::report(output.format, report, options, out))
}

/// Entries of the configuration that match nothing: their file is gone, or a name is misspelt.
fn unused_entries(config: &Config, report: &Report) -> Vec<String> {
    let artifacts = &report.artifacts;
    let findings =
        || artifacts.iter().flat_map(|artifact| artifact.findings.iter().map(move |finding| (artifact, finding)));
    let ignores = config.policy.ignore.iter().filter(|ignore| {
        !findings().any(|(artifact, finding)| ignore.covers(finding, &artifact.path, artifact.sha256.as_deref()))
    });
    let allows = config.policy.allow.iter().filter(|allow| !findings().any(|(_, finding)| allow.covers(finding)));
    let ignores = ignores.map(|ignore| format!("the ignore {} matched nothing", config::describe(ignore)));
    ignores.chain(allows.map(|allow| format!("the allow of {}.{} matched nothing", allow.module, allow.name))).collect()
}
