//! `modelscan guard`: starts a server with a read-only view of a folder that holds only files that passed the scan.
//!
//! Files are copied through descriptors to a private folder; the copies are scanned; the copies are mounted. Later changes of the
//! folder do not reach the server. It is not a sandbox: devices, network, user and environment of the server are those of the
//! caller.

mod folder;
pub(crate) mod interrupts;
mod mount;
mod server;
pub(crate) mod staging;

use super::lock;
use crate::atomic_file::canonical_path;
use crate::cli::guard::{GuardArgs, ViewMode};
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use staging::{StagingOptions, admission_policy};

/// Copies the admitted files, and starts the server.
pub(crate) fn run(args: &GuardArgs) -> Result<ExitCode, CommandError> {
    let lock = args.lock.as_deref().map(lock::read).transpose()?;
    let options = StagingOptions {
        limits: lock::limits(&args.limits)?,
        policy: admission_policy(&args.allow)?,
        lock: lock.as_ref(),
        except: args.lock.as_deref().map(canonical_path),
        convert: args.convert,
        omit_refused: args.allow.omit_refused,
        quiet: args.quiet,
    };
    let Some(folder) = lock::open_folder(&args.folder)? else { return Ok(ExitCode::Incomplete) };
    match args.view {
        ViewMode::Mount => mount::run(args, folder, &options),
        ViewMode::Folder => folder::run(args, &folder, &options),
    }
}
