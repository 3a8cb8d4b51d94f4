//! What a scan reads that is no file here: sorts addresses from paths, and sets up who brings them.

use super::Stop;
use crate::cli::remote::{From, ObjectArgs, RemoteArgs};
use crate::config;
use crate::decision::Decisions;
use remote::{Address, Credentials, Lfs, LfsOptions, Options, Remote};
use scanner::Limits;
use scanner::verdict_cache::Verdicts;
use std::path::{Path, PathBuf};

/// Files that are scanned at once where each read is a journey.
pub(crate) const JOBS: usize = 16;
/// A file of certificates takes some hundred kilobytes.
const MAX_PEM: u64 = 4 << 20;

/// Brings the objects of pointers from the repository's own store, and nothing else.
pub(crate) fn local() -> Remote {
    Remote::default()
}

/// Splits what was typed into files of this machine and what is to be brought.
pub(crate) fn prepare(
    typed: &[PathBuf],
    args: &RemoteArgs,
    objects: Option<&ObjectArgs>,
    hash: bool,
    limits: &Limits,
) -> Result<(Vec<PathBuf>, Remote), Stop> {
    let meant = |path: &&PathBuf| path.to_str().is_some_and(Address::is_meant);
    let (addresses, paths): (Vec<&PathBuf>, Vec<&PathBuf>) = typed.iter().partition(meant);
    let mut parsed = Vec::new();
    for (index, address) in addresses.into_iter().enumerate() {
        // The address may hold a secret: its number tells which one is wrong.
        let address = Address::parse(address.to_str().unwrap_or_default());
        parsed.push(address.map_err(|why| Stop::Usage(format!("address {}: {why}", index + 1)))?);
    }
    let lfs = objects.map(lfs).transpose()?.unwrap_or_default();
    let reaches = !parsed.is_empty() || lfs.from == Lfs::Fetch;
    let options = if reaches { reaching(args, limits)? } else { Options::default() };
    let options = Options { lfs, hash, ..options };
    let remote = Remote::new(parsed, &options).map_err(Stop::Usage)?;
    Ok((paths.into_iter().cloned().collect(), remote))
}

/// Opens the folder of remembered verdicts, if one is named. It must not lie in what is scanned, nor in a repository whose
/// change is judged: a stranger could bring one.
pub(crate) fn verdicts(folder: Option<&Path>, scanned: &[PathBuf], change: bool) -> Result<Option<Verdicts>, Stop> {
    let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(None) };
    let refused = |why: String| Stop::Usage(format!("--cache {}: {why}", folder.display()));
    let whole = std::path::absolute(folder).map_err(|error| refused(error.to_string()))?;
    let there = whole.ancestors().find(|place| place.exists());
    if there.is_none_or(|there| config::lies_inside(there, scanned)) {
        return Err(refused("it lies inside what is scanned".to_owned()));
    }
    let real = there.and_then(|there| there.canonicalize().ok()).unwrap_or(whole.clone());
    if change && real.ancestors().any(|place| place.join(".git").exists()) {
        return Err(refused("it lies inside a repository, where a change could bring verdicts along".to_owned()));
    }
    Verdicts::open(folder).map(Some).map_err(|error| refused(error.to_string()))
}

/// What holds for connections.
fn reaching(args: &RemoteArgs, limits: &Limits) -> Result<Options, Stop> {
    let roots =
        args.ca_file.as_ref().map(|path| Decisions::ON_DISK.read(path, MAX_PEM)).transpose().map_err(Stop::Usage)?;
    Ok(Options {
        max_bytes: args.limit_remote_bytes,
        max_requests: args.limit_remote_requests,
        stall: args.limit_remote_stall,
        time: limits.time,
        allow_http: args.allow_http,
        allow_private: args.allow_private,
        roots: roots.map(String::into_bytes),
        credentials: Credentials::from_environment(|name| std::env::var(name).ok()).map_err(Stop::Usage)?,
        ..Options::default()
    })
}

fn lfs(args: &ObjectArgs) -> Result<LfsOptions, Stop> {
    let from = match args.lfs {
        From::Local => Lfs::Local,
        From::Fetch => Lfs::Fetch,
        From::Skip => Lfs::Skip,
    };
    let server = args.lfs_url.as_deref().map(Address::parse).transpose();
    let server = server.map_err(|why| Stop::Usage(format!("--lfs-url: {why}")))?;
    Ok(LfsOptions { from, verify: args.lfs_verify, server })
}
