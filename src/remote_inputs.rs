//! Prepares the inputs of a scan that are not files of this machine, and the verdict cache, from the command line.

use crate::cli::remote::{LfsAndCacheArgs, LfsModeArg, RemoteArgs};
use crate::config;
use crate::error::CommandError;
use crate::trusted_config::TrustedFiles;
use remote::{Address, Credentials, LfsMode, LfsOptions, Options, RemoteInputs};
use scanner::Limits;
use scanner::verdict_cache::VerdictCache;
use std::path::{Path, PathBuf};

/// Files that are scanned at once where each read is a round trip.
pub(crate) const REMOTE_JOBS: usize = 16;
/// Bytes of a certificate file. The usual ones have some hundred kilobytes.
const MAX_PEM_BYTES: u64 = 4 << 20;

/// Opens objects of Git LFS from the local store only.
pub(crate) fn local_only() -> RemoteInputs {
    RemoteInputs::default()
}

/// Splits the arguments into paths and addresses.
///
/// # Errors
/// When an address, a credential or the certificate file is not valid.
pub(crate) fn split_inputs(
    arguments: &[PathBuf],
    args: &RemoteArgs,
    lfs: Option<&LfsAndCacheArgs>,
    hash: bool,
    limits: &Limits,
) -> Result<(Vec<PathBuf>, RemoteInputs), CommandError> {
    let is_address = |path: &&PathBuf| path.to_str().is_some_and(Address::has_scheme);
    let (addresses, paths): (Vec<&PathBuf>, Vec<&PathBuf>) = arguments.iter().partition(is_address);
    let mut parsed = Vec::new();
    for (index, address) in addresses.into_iter().enumerate() {
        // The address may hold a secret, so the message has its number.
        let address = Address::parse(address.to_str().unwrap_or_default());
        parsed.push(address.map_err(|error| error.at(format!("address {}", index + 1)))?);
    }
    let lfs = lfs.map(lfs_options).transpose()?.unwrap_or_default();
    let uses_network = !parsed.is_empty() || lfs.mode == LfsMode::Fetch;
    let options = if uses_network { network_options(args, limits)? } else { Options::default() };
    let inputs = RemoteInputs::new(parsed, &Options { lfs, hash, ..options })?;
    Ok((paths.into_iter().cloned().collect(), inputs))
}

/// Opens the folder of the verdict cache, if one is named.
///
/// # Errors
/// When the folder is in the scanned files or, for a change, in a repository: the scanned content could bring verdicts along.
pub(crate) fn open_verdict_cache(
    folder: Option<&Path>,
    scanned: &[PathBuf],
    is_change: bool,
) -> Result<Option<VerdictCache>, CommandError> {
    let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(None) };
    let invalid = |error: CommandError| error.at(format!("--cache {}", folder.display()));
    let absolute = std::path::absolute(folder).map_err(|error| invalid(CommandError::Io(error)))?;
    let existing = absolute.ancestors().find(|ancestor| ancestor.exists());
    if existing.is_none_or(|existing| config::is_inside(existing, scanned)) {
        return Err(invalid(CommandError::usage("it lies inside what is scanned")));
    }
    let real = existing.and_then(|existing| existing.canonicalize().ok()).unwrap_or(absolute.clone());
    if is_change && real.ancestors().any(|ancestor| ancestor.join(".git").exists()) {
        let reason = "it lies inside a repository, where a change could bring verdicts along";
        return Err(invalid(CommandError::usage(reason)));
    }
    VerdictCache::open(folder).map(Some).map_err(|error| invalid(CommandError::Io(error)))
}

fn network_options(args: &RemoteArgs, limits: &Limits) -> Result<Options, CommandError> {
    let read = |path: &PathBuf| TrustedFiles::ON_DISK.read(path, MAX_PEM_BYTES);
    let root_certificates = args.ca_file.as_ref().map(read).transpose()?;
    Ok(Options {
        max_bytes: args.limit_remote_bytes.0,
        max_requests: args.limit_remote_requests,
        idle_timeout: args.limit_remote_stall.0,
        max_time: limits.time,
        allow_http: args.allow_http,
        allow_private: args.allow_private,
        root_certificates: root_certificates.map(String::into_bytes),
        credentials: Credentials::from_environment(|name| std::env::var(name).ok())?,
        ..Options::default()
    })
}

fn lfs_options(args: &LfsAndCacheArgs) -> Result<LfsOptions, CommandError> {
    let mode = match args.lfs {
        LfsModeArg::Local => LfsMode::Local,
        LfsModeArg::Fetch => LfsMode::Fetch,
        LfsModeArg::Skip => LfsMode::Skip,
    };
    let server = args.lfs_url.as_deref().map(Address::parse).transpose();
    let server = server.map_err(|error| error.at("--lfs-url"))?;
    Ok(LfsOptions { mode, verify: args.lfs_verify, server })
}
