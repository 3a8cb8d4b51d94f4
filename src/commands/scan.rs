//! `modelscan scan`: from what was typed to a report and an exit code.

use super::{Stop, baseline, elsewhere, print, settle};
use crate::changes::Changes;
use crate::cli::{Format, Output, ScanArgs};
use crate::config::{self, Config};
use crate::decision::Decisions;
use crate::exit::Exit;
use crate::file;
use crate::render::{self, Look};
use crate::terminal::{self, Progress, say};
use scanner::ScanOptions;
use scanner::report::Report;
use std::io;
use std::path::PathBuf;

/// Scans, writes the reports, and says how it went.
pub(crate) fn run(args: &ScanArgs) -> Result<Exit, Stop> {
    let changes = args.changed_since.as_deref().map(|since| Changes::since(since, &args.paths)).transpose();
    let changes = changes.map_err(Stop::Usage)?;
    let decisions = Decisions::before(changes.as_ref());
    let paths = changes.as_ref().map_or(&args.paths, |changes| &changes.paths);
    let mut config = config::load_from(decisions, &args.config, &args.limits, paths).map_err(Stop::Usage)?;
    config.override_with(args.fail_on, args.jobs, args.no_ignores);
    check_outputs(args, paths)?;
    let known = match args.baseline.as_deref() {
        Some(path) => {
            decisions.has(path, &mut config.warnings).map_err(Stop::Usage)?;
            Some(baseline::read(decisions, path)?)
        }
        None => None,
    };
    config.policy.baseline = known.as_ref().map(render::baseline::Baseline::counts).unwrap_or_default();
    let report = scan(args, paths, &config, changes.as_ref())?;
    if !args.quiet {
        warn(config.warnings.iter().cloned().chain(match &changes {
            // What matches nothing of a change may well match something of the rest.
            Some(changes) => changes.warnings.clone(),
            None => unused(&config, &report),
        }));
        let stale = known.as_ref().map_or(0, |known| baseline::stale(known, &report));
        let said = format!("{stale} entries of the baseline no longer occur; `baseline prune` drops them");
        warn((stale > 0).then_some(said));
    }
    let base = std::env::current_dir().map(|base| base.to_string_lossy().into_owned()).unwrap_or_default();
    let look = Look {
        colored: terminal::colored(args.color),
        show_suppressed: args.show_suppressed,
        quiet: args.quiet,
        fail_on: config.policy.fail_on,
        base: &base,
        since: changes.as_ref().map(Changes::name),
    };
    let mut exit = Exit::of(&report, &config.policy);
    if changes.is_some() && exit == Exit::NothingKnown {
        // Most changes bring no model, and that is well.
        exit = Exit::Clean;
    }
    for output in &args.output {
        if let Err(error) = write_file(output, &report, look) {
            say("error", &format!("{}: {error}", output.path.display()));
            exit = exit.unwritten();
        }
    }
    Ok(settle(exit, print(|out| render::report(args.format, &report, look, out))))
}

fn warn(warnings: impl IntoIterator<Item = String>) {
    warnings.into_iter().for_each(|warning| say("warning", &warning));
}

fn scan(args: &ScanArgs, paths: &[PathBuf], config: &Config, changes: Option<&Changes>) -> Result<Report, Stop> {
    // A bill of materials is about hashes.
    let hash = args.sha256
        || args.format == Format::Cyclonedx
        || args.output.iter().any(|output| output.format == Format::Cyclonedx)
        || config.policy.needs_sha256();
    let verdicts = elsewhere::verdicts(args.objects.cache.as_deref(), &args.paths, changes.is_some())?;
    let (paths, outside) = elsewhere::prepare(paths, &args.remote, Some(&args.objects), hash, &config.limits)?;
    let progress = Progress::start(!args.quiet && !args.no_progress);
    let options = ScanOptions {
        limits: config.limits.clone(),
        hash,
        policy: config.policy.clone(),
        once: true,
        jobs: if outside.reaches() && config.jobs == 0 { elsewhere::JOBS } else { config.jobs },
        input_provider: Some(&outside),
        verdict_cache: verdicts.as_ref(),
        progress: progress.as_ref().map(|progress| progress as &dyn scanner::Progress),
    };
    let report = scanner::scan(&paths, &options);
    Ok(match changes {
        Some(changes) => with_links(report, changes, config),
        None => report,
    })
}

/// The report with the links that a change brings and that were not followed.
fn with_links(report: Report, changes: &Changes, config: &Config) -> Report {
    if changes.leaving.is_empty() {
        return report;
    }
    let links = changes.leaving.iter().map(|(shown, target)| {
        let path = shown.to_string_lossy();
        let mut link = scanner::report_escaping_link(&path, target, &config.limits);
        config.policy.apply(&mut link.findings, &path, None);
        link
    });
    let Report { mut artifacts, errors, summary, .. } = report;
    artifacts.extend(links);
    Report::new(artifacts, errors, summary.bytes_read)
}

/// Two reports in one file would leave one of them, and a report in place of a model none of the model.
fn check_outputs(args: &ScanArgs, scanned: &[PathBuf]) -> Result<(), Stop> {
    let places: Vec<_> = args.output.iter().map(|output| file::identity(&output.path)).collect();
    let scanned: Vec<_> = scanned.iter().chain(&args.baseline).map(|path| file::identity(path)).collect();
    for (index, (place, output)) in places.iter().zip(&args.output).enumerate() {
        let shown = output.path.display();
        if places.iter().take(index).any(|other| other == place) {
            return Err(Stop::Usage(format!("--output: {shown} is named twice")));
        }
        if scanned.contains(place) {
            return Err(Stop::Usage(format!("--output: {shown} is read by this scan and would be overwritten")));
        }
    }
    Ok(())
}

fn write_file(output: &Output, report: &Report, look: Look<'_>) -> io::Result<()> {
    file::write(&output.path, |out| render::report(output.format, report, Look { colored: false, ..look }, out))
}

/// Decisions that decided nothing: the file they were made for has gone, or the name is misspelt.
fn unused(config: &Config, report: &Report) -> Vec<String> {
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
