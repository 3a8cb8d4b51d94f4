//! `modelscan convert`: from what was typed to results, a report and an exit code.

use super::{Stop, print, settle};
use crate::cli::convert::{ConvertArgs, Float};
use crate::config;
use crate::exit::Exit;
use crate::render::conversion;
use crate::terminal::{Copying, say};
use loader::convert::{Conversion, ConvertOptions, plan};
use loader::report::ConvertReport;
use loader::{Dtype, Error, LoadOptions, PlanOptions, UsageError, WriteOptions};
use signal_hook::consts;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Things left out that are said aloud; the report has all.
const SAID: usize = 10;

/// Converts, writes the report, and says how it went.
pub(crate) fn run(args: &ConvertArgs) -> Result<Exit, Stop> {
    let config = config::load(&args.config, &args.limits, &args.inputs).map_err(Stop::Usage)?;
    if !args.quiet {
        config.warnings.iter().for_each(|warning| say("warning", warning));
    }
    let policy = LoadOptions {
        limits: config.limits,
        allow_unproven: args.allow_unproven,
        root: args.root.clone(),
        lossless_parts: args.lossless_parts,
        plan: PlanOptions { dtype: args.dtype.and_then(dtype), expand_tied: args.expand_tied },
    };
    let (report, exit) = match convert(args, &policy) {
        Ok(report) => (report, Exit::Clean),
        Err(error) => {
            let exit = exit_of(&error);
            refuse(&error);
            // Nothing was asked for that a report could be about, or one that would go where it must not.
            if exit == Exit::Usage {
                return Ok(exit);
            }
            (ConvertReport::from_error(&error), exit)
        }
    };
    if let Some(path) = &args.report
        && let Err(error) = write_report(path, &report)
    {
        say("error", &format!("{}: {error}", path.display()));
        return Ok(exit.unwritten());
    }
    if exit != Exit::Clean {
        return Ok(exit);
    }
    if !args.quiet {
        warn(&report);
    }
    Ok(settle(
        exit,
        print(|out| match (args.dry_run, args.quiet) {
            (true, _) => conversion::table(&report, out),
            (false, true) => Ok(()),
            (false, false) => conversion::summary(&report, out),
        }),
    ))
}

fn convert(args: &ConvertArgs, policy: &LoadOptions) -> Result<ConvertReport, Error> {
    let jobs = plan(&args.inputs, &args.out, policy)?;
    if let Some(report) = &args.report {
        keep_apart(report, &jobs, &args.inputs)?;
    }
    if args.dry_run {
        return Ok(ConvertReport::from_conversion(&jobs, &[]));
    }
    // From here on there is something to take away again; before, a signal simply ends the command.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [consts::SIGINT, consts::SIGTERM, consts::SIGHUP] {
        // Where it cannot be had, the signal ends the command as always, and only the name of a hidden file stays.
        _ = signal_hook::flag::register(signal, stop.clone());
    }
    // A limit on the size of files is an error of the write then, and not the end of the command.
    _ = signal_hook::flag::register(consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let progress = Copying::start(!args.quiet && !args.no_progress, jobs.len());
    let write = WriteOptions {
        sha256: args.sha256,
        reflink: args.reflink,
        progress: (!args.quiet).then_some(&progress as &dyn loader::Progress),
        stop: Some(stop),
    };
    write_all(&jobs, &ConvertOptions { write, verify: args.verify, force: args.force })
}

/// The report may be anywhere but where a result or a source is.
fn keep_apart(report: &Path, jobs: &Conversion, inputs: &[PathBuf]) -> Result<(), Error> {
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    let real = |path: &Path| path.canonicalize().ok().or_else(|| place(path));
    let mut others = jobs.outputs.iter().map(|job| job.path.as_path()).chain(inputs.iter().map(PathBuf::as_path));
    match others.find(|other| real(other).is_some() && real(other) == real(report)) {
        Some(other) => Err(Error::usage(other, UsageError::ReportOverwrites)),
        None => Ok(()),
    }
}

fn write_all(jobs: &Conversion, options: &ConvertOptions<'_>) -> Result<ConvertReport, Error> {
    let done = jobs.write(options)?;
    Ok(ConvertReport::from_conversion(jobs, &done))
}

fn dtype(float: Float) -> Option<Dtype> {
    Dtype::from_name(match float {
        Float::F16 => "F16",
        Float::Bf16 => "BF16",
        Float::F32 => "F32",
    })
}

fn exit_of(error: &Error) -> Exit {
    match error {
        _ if error.is_refusal() => Exit::Finding,
        Error::Usage { .. } => Exit::Usage,
        Error::Interrupted => Exit::Command(130),
        _ => Exit::Incomplete,
    }
}

fn refuse(error: &Error) {
    say("error", &error.to_string());
    if let Error::NotCleared(report) = error {
        say("note", &format!("`modelscan scan {}` shows all that was found", report.path));
    }
}

/// Says what is in no result, where it is anything that one might miss.
fn warn(report: &ConvertReport) {
    let missed: Vec<_> = report.left_out.iter().filter(|left| left.tensor).collect();
    for left in missed.iter().take(SAID) {
        say("warning", &format!("{} is left out: {}", left.name, left.why));
    }
    if missed.len() > SAID {
        say("warning", &format!("{} more tensors are left out; --report lists them", missed.len() - SAID));
    }
}

fn write_report(path: &Path, report: &ConvertReport) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    conversion::json(report, &mut out)?;
    out.flush()
}
