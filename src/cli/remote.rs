//! Arguments about addresses, Git LFS and the verdict cache.

use clap::{Args, ValueEnum};
use quantity::{ByteSize, TimeSpan};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(next_help_heading = "Addresses")]
pub(crate) struct RemoteArgs {
    /// Use plain http too, which anybody on the way can read and change.
    #[arg(long)]
    pub(crate) allow_http: bool,
    /// Reach private, local and reserved addresses too, and use the proxy of the environment.
    #[arg(long)]
    pub(crate) allow_private: bool,
    /// Trust these certificates (PEM) in place of the public ones.
    #[arg(long, value_name = "FILE", env = "MODELSCAN_CA_FILE", hide_env = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Bytes that may travel, of all files together.
    #[arg(long, value_name = "SIZE", default_value = "8GiB", hide_short_help = true)]
    pub(crate) limit_remote_bytes: ByteSize,
    /// Requests, of all files together.
    #[arg(long, value_name = "N", default_value = "50000", value_parser = quantity::count, hide_short_help = true)]
    pub(crate) limit_remote_requests: u64,
    /// Idle timeout of a connection.
    #[arg(long, value_name = "TIME", default_value = "20s", hide_short_help = true)]
    pub(crate) limit_remote_stall: TimeSpan,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Git LFS and remembered verdicts")]
pub(crate) struct LfsAndCacheArgs {
    /// Remember verdicts by content hash in this folder, which must be yours alone.
    #[arg(long, value_name = "DIR", env = "MODELSCAN_CACHE", hide_env = true)]
    pub(crate) cache: Option<PathBuf>,
    /// Where the objects of Git LFS pointers are looked for; `fetch`: there, then on the repository's server.
    #[arg(long, value_enum, default_value_t = LfsModeArg::Local, value_name = "WHERE")]
    pub(crate) lfs: LfsModeArg,
    /// Hash the objects, all of their bytes; what is fetched is fetched whole.
    #[arg(long)]
    pub(crate) lfs_verify: bool,
    /// The LFS server, in place of the one that the repository names.
    #[arg(long, value_name = "URL")]
    pub(crate) lfs_url: Option<String>,
}

/// Where the objects of Git LFS pointers are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LfsModeArg {
    Local,
    Fetch,
    Skip,
}
