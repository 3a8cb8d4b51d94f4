//! Arguments about addresses, Git LFS and the verdict cache.

use clap::{Args, ValueEnum};
use quantity::{ByteSize, TimeSpan};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(next_help_heading = "Addresses")]
pub(crate) struct RemoteArgs {
    /// Allow plain http too. Others on the network can read and change it.
    #[arg(long)]
    pub(crate) allow_http: bool,
    /// Allow private, local and reserved addresses too, and use the proxy of the environment.
    #[arg(long)]
    pub(crate) allow_private: bool,
    /// Trust these certificates (PEM) in place of the public ones.
    #[arg(long, value_name = "FILE", env = "MODELSCAN_CA_FILE", hide_env = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Bytes that are fetched, for all files together.
    #[arg(long, value_name = "SIZE", default_value = "8GiB", hide_short_help = true)]
    pub(crate) limit_remote_bytes: ByteSize,
    /// Requests, for all files together.
    #[arg(long, value_name = "N", default_value = "50000", value_parser = quantity::count, hide_short_help = true)]
    pub(crate) limit_remote_requests: u64,
    /// Idle timeout of a connection.
    #[arg(long, value_name = "TIME", default_value = "20s", hide_short_help = true)]
    pub(crate) limit_remote_stall: TimeSpan,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Git LFS and remembered verdicts")]
pub(crate) struct LfsAndCacheArgs {
    /// Store verdicts by content hash in this folder, which must belong to you alone.
    #[arg(long, value_name = "DIR", env = "MODELSCAN_CACHE", hide_env = true)]
    pub(crate) cache: Option<PathBuf>,
    /// Where the objects of Git LFS pointers are searched; `fetch`: in the local store, then on the server of the repository.
    #[arg(long, value_enum, default_value_t = LfsModeArg::Local, value_name = "WHERE")]
    pub(crate) lfs: LfsModeArg,
    /// Hash all bytes of the objects. Those of a server are downloaded as a whole.
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
