//! `modelscan convert`: weights to safetensors.

use super::output::{exit_after_write, write_stdout};
use crate::cli::convert::{ConvertArgs, FloatType};
use crate::config;
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use crate::render::conversion;
use crate::terminal::log::{Level, log, log_warnings};
use crate::terminal::progress::CopyProgress;
use loader::convert::{Conversion, ConvertOptions, plan};
use loader::report::ConvertReport;
use loader::{Dtype, Error, LoadOptions, PlanOptions, UsageError, WriteOptions};
use signal_hook::consts;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Tensors that are left out and logged. The report lists all.
const MAX_LOGGED_TENSORS: usize = 10;

/// Converts, and writes the report.
pub(crate) fn run(args: &ConvertArgs) -> Result<ExitCode, CommandError> {
    let config = config::load(&args.config, &args.limits, &args.inputs)?;
    if !args.quiet {
        log_warnings(&config.warnings);
    }
    let policy = LoadOptions {
        limits: config.limits,
        allow_unproven: args.allow_unproven,
        root: args.root.clone(),
        lossless_parts: args.lossless_parts,
        plan: PlanOptions { dtype: args.dtype.and_then(dtype), expand_tied: args.expand_tied },
    };
    let (report, code) = match convert(args, &policy) {
        Ok(report) => (report, ExitCode::Clean),
        Err(error) => {
            let code = exit_code_of(&error);
            log_error(&error);
            // No report: there was no conversion, or the report would replace a source.
            if code == ExitCode::Usage {
                return Ok(code);
            }
            (ConvertReport::from_error(&error), code)
        }
    };
    if let Some(path) = &args.report
        && let Err(error) = write_report(path, &report)
    {
        log(Level::Error, &format!("{}: {error}", path.display()));
        return Ok(code.after_failed_write());
    }
    if code != ExitCode::Clean {
        return Ok(code);
    }
    if !args.quiet {
        warn_left_out(&report);
    }
    Ok(exit_after_write(
        code,
        write_stdout(|out| match (args.dry_run, args.quiet) {
            (true, _) => conversion::table(&report, out),
            (false, true) => Ok(()),
            (false, false) => conversion::summary(&report, out),
        }),
    ))
}

fn convert(args: &ConvertArgs, policy: &LoadOptions) -> Result<ConvertReport, Error> {
    let jobs = plan(&args.inputs, &args.out, policy)?;
    if let Some(report) = &args.report {
        check_report_path(report, &jobs, &args.inputs)?;
    }
    if args.dry_run {
        return Ok(ConvertReport::from_conversion(&jobs, &[]));
    }
    // From here on there are files to remove again. Before, a signal ends the command.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [consts::SIGINT, consts::SIGTERM, consts::SIGHUP] {
        // If that fails, the signal ends the command, and a hidden file stays.
        _ = signal_hook::flag::register(signal, stop.clone());
    }
    // With a handler, a write beyond the file size limit fails instead of ending the command.
    _ = signal_hook::flag::register(consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let progress = CopyProgress::start(!args.quiet && !args.no_progress, jobs.len());
    let write = WriteOptions {
        sha256: args.sha256,
        reflink: args.reflink,
        progress: (!args.quiet).then_some(&progress as &dyn loader::Progress),
        stop: Some(stop),
    };
    write_all(&jobs, &ConvertOptions { write, verify: args.verify, force: args.force })
}

/// Refuses a report that would replace a result or a source.
fn check_report_path(report: &Path, jobs: &Conversion, inputs: &[PathBuf]) -> Result<(), Error> {
    let in_real_folder = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    let real = |path: &Path| path.canonicalize().ok().or_else(|| in_real_folder(path));
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

fn dtype(float: FloatType) -> Option<Dtype> {
    Dtype::from_name(match float {
        FloatType::F16 => "F16",
        FloatType::Bf16 => "BF16",
        FloatType::F32 => "F32",
    })
}

fn exit_code_of(error: &Error) -> ExitCode {
    match error {
        _ if error.is_refusal() => ExitCode::Finding,
        Error::Usage { .. } => ExitCode::Usage,
        Error::Interrupted => ExitCode::Command(130),
        _ => ExitCode::Incomplete,
    }
}

fn log_error(error: &Error) {
    log(Level::Error, &error.to_string());
    if let Error::NotCleared(report) = error {
        log(Level::Note, &format!("`modelscan scan {}` shows all that was found", report.path));
    }
}

/// Warns about tensors that are left out.
fn warn_left_out(report: &ConvertReport) {
    let tensors: Vec<_> = report.left_out.iter().filter(|left| left.tensor).collect();
    for left in tensors.iter().take(MAX_LOGGED_TENSORS) {
        log(Level::Warning, &format!("{} is left out: {}", left.name, left.why));
    }
    if tensors.len() > MAX_LOGGED_TENSORS {
        log(
            Level::Warning,
            &format!("{} more tensors are left out; --report lists them", tensors.len() - MAX_LOGGED_TENSORS),
        );
    }
}

fn write_report(path: &Path, report: &ConvertReport) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    conversion::json(report, &mut out)?;
    out.flush()
}
