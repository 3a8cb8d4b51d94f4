//! `modelscan scan`: from what was typed to a report and an exit code.

use super::{Stop, print, settle};
use crate::cli::{Output, ScanArgs};
use crate::config::{self, Config};
use crate::exit::Exit;
use crate::render::{self, Look};
use crate::terminal::{self, Progress, say};
use scanner::ScanOptions;
use scanner::report::Report;
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// Scans, writes the reports, and says how it went.
pub(crate) fn run(args: &ScanArgs) -> Result<Exit, Stop> {
    let mut config = config::load(&args.config, &args.limits, &args.paths).map_err(Stop::Usage)?;
    config.override_with(args.fail_on, args.jobs, args.no_ignores);
    let report = {
        let progress = Progress::start(!args.quiet && !args.no_progress);
        let options = ScanOptions {
            limits: config.limits.clone(),
            hash: args.sha256 || config.policy.needs_sha256(),
            policy: config.policy.clone(),
            jobs: config.jobs,
            progress: progress.as_ref().map(|progress| progress as &dyn scanner::Progress),
        };
        scanner::scan(&args.paths, &options)
    };
    if !args.quiet {
        config.warnings.extend(unused(&config, &report));
        config.warnings.iter().for_each(|warning| say("warning", warning));
    }
    let look =
        Look { colored: terminal::colored(args.color), show_suppressed: args.show_suppressed, quiet: args.quiet };
    let mut exit = Exit::of(&report, &config.policy);
    for output in &args.output {
        if let Err(error) = write_file(output, &report, look) {
            say("error", &format!("{}: {error}", output.path.display()));
            exit = exit.unwritten();
        }
    }
    Ok(settle(exit, print(|out| render::report(args.format, &report, look, out))))
}

fn write_file(output: &Output, report: &Report, look: Look) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(&output.path)?);
    render::report(output.format, report, Look { colored: false, ..look }, &mut out)?;
    out.flush()
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
