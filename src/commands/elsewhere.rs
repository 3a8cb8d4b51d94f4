//! What a scan reads that is no file here: sorts addresses from paths, and sets up who brings them.

use super::Stop;
use crate::cli::remote::RemoteArgs;
use crate::config;
use remote::{Address, Credentials, Options, Remote};
use scanner::limits::Limits;
use std::path::PathBuf;

/// Files that are scanned at once where each read is a journey.
pub(crate) const JOBS: usize = 16;
/// A file of certificates takes some hundred kilobytes.
const MAX_PEM: u64 = 4 << 20;

/// Splits what was typed into files of this machine and what is to be brought; `None` where nothing is.
pub(crate) fn prepare(
    typed: &[PathBuf],
    args: &RemoteArgs,
    limits: &Limits,
) -> Result<(Vec<PathBuf>, Option<Remote>), Stop> {
    let meant = |path: &&PathBuf| path.to_str().is_some_and(Address::is_meant);
    let (addresses, paths): (Vec<&PathBuf>, Vec<&PathBuf>) = typed.iter().partition(meant);
    let paths = paths.into_iter().cloned().collect();
    if addresses.is_empty() {
        return Ok((paths, None));
    }
    let mut parsed = Vec::new();
    for (index, address) in addresses.into_iter().enumerate() {
        // The address may hold a secret: its number tells which one is wrong.
        let address = Address::parse(address.to_str().unwrap_or_default());
        parsed.push(address.map_err(|why| Stop::Usage(format!("address {}: {why}", index + 1)))?);
    }
    let roots = args.ca_file.as_ref().map(|path| config::read_up_to(path, MAX_PEM)).transpose().map_err(Stop::Usage)?;
    let options = Options {
        max_bytes: args.limit_remote_bytes,
        max_requests: args.limit_remote_requests,
        stall: args.limit_remote_stall,
        time: limits.time,
        allow_http: args.allow_http,
        allow_private: args.allow_private,
        roots: roots.map(String::into_bytes),
        credentials: Credentials::from_environment(|name| std::env::var(name).ok()).map_err(Stop::Usage)?,
        ..Options::default()
    };
    Ok((paths, Some(Remote::new(parsed, &options).map_err(Stop::Usage)?)))
}
