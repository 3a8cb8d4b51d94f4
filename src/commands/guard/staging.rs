//! Copies the admitted files of a folder, and converts them if that is asked for. `guard` and `kserve-init` share this.

use super::interrupts::Interrupts;
use crate::cli::guard::AllowArgs;
use crate::commands::lock;
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use crate::terminal::log::{Level, log};
use admission::convert::{Converted, convert_folder, load_options};
use admission::folder::Folder;
use admission::lock::Lock;
use admission::policy::AdmissionPolicy;
use admission::stage::{Refusal, StageOptions, StagedFile, stage_folder};
use scanner::Limits;
use scanner::hash::is_sha256;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The exit code after SIGINT.
pub(crate) const INTERRUPTED: ExitCode = ExitCode::Command(130);

/// Which files are copied, and how.
pub(crate) struct StagingOptions<'a> {
    pub(crate) limits: Limits,
    pub(crate) policy: AdmissionPolicy,
    pub(crate) lock: Option<&'a Lock>,
    /// A file that is left out: the lock.
    pub(crate) except: Option<PathBuf>,
    pub(crate) convert: bool,
    pub(crate) omit_refused: bool,
    pub(crate) quiet: bool,
}

/// The admission policy of the command line.
///
/// # Errors
/// When a hash is not a SHA-256.
pub(crate) fn admission_policy(args: &AllowArgs) -> Result<AdmissionPolicy, CommandError> {
    let sha256: BTreeSet<String> = args.allow_sha256.iter().map(|hash| hash.to_ascii_lowercase()).collect();
    if let Some(invalid) = sha256.iter().find(|hash| !is_sha256(hash)) {
        return Err(CommandError::usage(format!("{invalid:?} is no SHA-256: 64 hexadecimal digits")));
    }
    Ok(AdmissionPolicy { unproven: args.allow_unproven, programs: args.allow_programs, sha256 })
}

/// Copies the admitted files into `out`.
///
/// # Errors
/// The exit code of a refusal, after its reasons are logged.
pub(crate) fn stage(
    out: &Path,
    folder: &Folder,
    options: &StagingOptions<'_>,
    interrupts: &Interrupts,
) -> Result<Vec<StagedFile>, ExitCode> {
    let stage_options = StageOptions {
        limits: options.limits.clone(),
        policy: options.policy.clone(),
        lock: options.lock,
        except: options.except.as_deref(),
        omit_refused: options.omit_refused,
        stop: Some(interrupts.stop_flag()),
    };
    let staged = stage_folder(folder, out, &stage_options);
    if interrupts.is_stopped() {
        return Err(INTERRUPTED);
    }
    let staged = staged.map_err(|refusal| log_refusal(&refusal))?;
    for omitted in &staged.omitted {
        log(Level::Warning, &format!("{} is left out: {}", omitted.path, omitted.reason));
    }
    let mut files = staged.files;
    if options.convert {
        let load_options = load_options(&options.limits, options.policy.unproven);
        match convert_folder(out, &mut files, &load_options, Some(interrupts.stop_flag().clone())) {
            Ok(converted) if !options.quiet => log_converted(&converted),
            Ok(_) => {}
            Err(admission::Error::Interrupted) => return Err(INTERRUPTED),
            Err(error) => {
                log(Level::Error, &error.to_string());
                return Err(ExitCode::Incomplete);
            }
        }
    }
    Ok(files)
}

fn log_converted(converted: &Converted) {
    for (from, to) in &converted.replaced {
        log(Level::Note, &format!("{from} was converted: {to} stands in its place"));
    }
    for (path, reason) in &converted.kept {
        log(Level::Note, &format!("{path} stays as it is: {reason}"));
    }
}

/// Logs all reasons. Returns the exit code.
fn log_refusal(refusal: &Refusal) -> ExitCode {
    for file in &refusal.refused {
        log(Level::Error, &format!("{}: {}", file.path, file.reason));
        if let Some(hash) = &file.sha256 {
            log(Level::Note, &format!("--allow-sha256 {hash} admits this content"));
        }
    }
    refusal.differences.iter().for_each(|difference| log(Level::Error, &difference.to_string()));
    lock::log_problems(&refusal.problems);
    if refusal.is_finding() { ExitCode::Finding } else { ExitCode::Incomplete }
}
