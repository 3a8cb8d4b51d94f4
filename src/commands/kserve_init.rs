//! `modelscan kserve-init`: fills a folder with the admitted files of a source, for a server.
//!
//! An init container has one answer, its exit code, and may be killed and started again at any moment. `admission::delivery` fills the
//! folder as a whole, once. The lock in it records its files.

use super::guard::interrupts::Interrupts;
use super::guard::staging::{StagingOptions, admission_policy, stage};
use super::lock;
use super::output::{exit_after_write, write_stdout};
use crate::atomic_file::canonical_path;
use crate::cli::kserve_init::KserveInitArgs;
use crate::error::CommandError;
use crate::escape;
use crate::exit_code::ExitCode;
use crate::remote_inputs;
use crate::terminal::log::{Level, log};
use admission::LOCK_NAME;
use admission::delivery::{Delivery, DestinationState, prepare_destination};
use admission::folder::Folder;
use admission::lock::Lock;
use remote::Address;
use scanner::Limits;
use scanner::providers::{FetchedInput, InputProvider};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Where KServe mounts the volume of a `pvc://` source.
const PVC_MOUNT: &str = "/mnt/pvc";
/// Bytes of a download that are read at a time.
const DOWNLOAD_BLOCK_BYTES: usize = 8 << 20;

/// Fills the folder.
pub(crate) fn run(args: &KserveInitArgs) -> Result<ExitCode, CommandError> {
    let limits = lock::limits(&args.limits)?;
    let delivery = match prepare_destination(&args.destination, &limits) {
        Ok(DestinationState::Empty(delivery)) => delivery,
        Ok(DestinationState::Finished(lock)) => {
            return Ok(exit_after_write(ExitCode::Clean, print_summary(args, "is filled already", &lock)));
        }
        Err(error) => return exit_code_of(error),
    };
    let Some(source) = open_source(args, &limits, &delivery)? else { return Ok(ExitCode::Incomplete) };
    let path = &source.path;
    let folder = match if path.is_file() { Folder::of_file(path) } else { Folder::open(path) } {
        Ok(folder) => folder,
        Err(error) => {
            log(Level::Error, &format!("{}: {error}", path.display()));
            return Ok(ExitCode::Incomplete);
        }
    };
    check_not_nested(&folder, path, &args.destination)?;
    let default_lock = path.join(LOCK_NAME);
    let lock_path = args.lock.clone().or_else(|| default_lock.is_file().then_some(default_lock));
    let lock = lock_path.as_deref().map(lock::read).transpose()?;
    let options = StagingOptions {
        limits: limits.clone(),
        policy: admission_policy(&args.allow)?,
        lock: lock.as_ref(),
        except: lock_path.as_deref().map(canonical_path),
        convert: !args.no_convert,
        omit_refused: args.allow.omit_refused,
        quiet: args.quiet,
    };
    if let Err(code) = stage(&delivery.files(), &folder, &options, &Interrupts::install()) {
        return Ok(code);
    }
    match delivery.finish(&limits) {
        Ok(lock) => Ok(exit_after_write(ExitCode::Clean, print_summary(args, "was filled", &lock))),
        Err(error) => exit_code_of(error),
    }
}

fn print_summary(args: &KserveInitArgs, state: &str, lock: &Lock) -> io::Result<()> {
    let destination = args.destination.to_string_lossy();
    write_stdout(|out| match args.quiet {
        true => Ok(()),
        false => writeln!(out, "{} {state}: {} files", escape::text(&destination), lock.files.len()),
    })
}

/// A file that cannot be read or written is logged; a destination that is taken is a usage error.
fn exit_code_of(error: admission::Error) -> Result<ExitCode, CommandError> {
    if matches!(error, admission::Error::Io { .. }) {
        log(Level::Error, &error.to_string());
        return Ok(ExitCode::Incomplete);
    }
    Err(error.into())
}

/// A source on this machine.
struct LocalSource {
    path: PathBuf,
    /// The folder of a download. It is removed when this is dropped.
    _download: Option<TempDir>,
}

/// Opens the source. `None` if it cannot be downloaded, after the reason is logged.
fn open_source(
    args: &KserveInitArgs,
    limits: &Limits,
    delivery: &Delivery,
) -> Result<Option<LocalSource>, CommandError> {
    let source = args.source.as_str();
    if Address::has_scheme(source) {
        return download(args, limits, delivery);
    }
    let path = match source.split_once("://") {
        None => PathBuf::from(source),
        Some(("file", path)) => PathBuf::from(path),
        Some(("pvc", rest)) => {
            let below = rest.split_once('/').map_or("", |(_, below)| below);
            Path::new(PVC_MOUNT).join(below.trim_start_matches('/'))
        }
        Some((scheme, _)) => {
            let reason = "is not read here: a path, file://, pvc:// and https:// are";
            return Err(CommandError::usage(format!("{scheme}:// {reason}")));
        }
    };
    Ok(Some(LocalSource { path, _download: None }))
}

fn download(args: &KserveInitArgs, limits: &Limits, delivery: &Delivery) -> Result<Option<LocalSource>, CommandError> {
    let arguments = [PathBuf::from(&args.source)];
    let (_, inputs) = remote_inputs::split_inputs(&arguments, &args.remote, None, false, limits)?;
    let shown = inputs.inputs().into_iter().next().unwrap_or_default();
    let opened = inputs.open_address(0, &Arc::default());
    let downloaded = opened.map_err(CommandError::Remote).and_then(|input| write_download(&input, delivery));
    match downloaded {
        Ok(source) => Ok(Some(source)),
        Err(error) => {
            log(Level::Error, &format!("{shown}: {error}"));
            Ok(None)
        }
    }
}

/// Writes an input to a folder beside the files of the delivery.
fn write_download(input: &FetchedInput, delivery: &Delivery) -> Result<LocalSource, CommandError> {
    let name = Path::new(&input.name).file_name().ok_or_else(|| CommandError::usage("the address names no file"))?;
    let parent = delivery.files().parent().map(Path::to_owned).unwrap_or_default();
    let folder = tempfile::Builder::new().prefix("download-").tempdir_in(parent).map_err(CommandError::Io)?;
    let path = folder.path().join(name);
    let len = write_input(input, &path).map_err(CommandError::Io)?;
    match input.source.integrity_error() {
        Some(reason) => Err(CommandError::usage(reason)),
        None if len != input.source.len() => {
            Err(CommandError::Remote(remote::Error::Server(remote::ServerFault::TooShort)))
        }
        None => Ok(LocalSource { path, _download: Some(folder) }),
    }
}

/// Writes all bytes of an input to a new file. Returns their number.
fn write_input(input: &FetchedInput, path: &Path) -> io::Result<u64> {
    let mut file = File::create_new(path)?;
    let (mut buffer, mut at) = (vec![0; DOWNLOAD_BLOCK_BYTES], 0u64);
    loop {
        let count = input.source.read_at(at, &mut buffer)?;
        if count == 0 {
            return Ok(at);
        }
        file.write_all(buffer.get(..count).unwrap_or_default())?;
        at = at.saturating_add(count as u64);
    }
}

/// Refuses a source folder and a destination within each other. A single file may be in the destination.
fn check_not_nested(folder: &Folder, path: &Path, destination: &Path) -> Result<(), CommandError> {
    let destination = canonical_path(destination);
    let is_nested = folder.path().starts_with(&destination) || destination.starts_with(folder.path());
    if path.is_dir() && is_nested {
        let reason = format!("{} and {} lie within each other", path.display(), destination.display());
        return Err(CommandError::usage(reason));
    }
    Ok(())
}
