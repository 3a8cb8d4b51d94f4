//! Arguments of `modelscan kserve-init`.

use super::LimitArgs;
use super::guard::AllowArgs;
use super::remote::RemoteArgs;
use clap::Args;
use std::path::PathBuf;

/// Fill a folder with the files of a source that passed the scan: the storage initializer of KServe.
///
/// Weights of torch are written as safetensors, other files as they are, with a lock (modelscan.lock). The folder is filled as a
/// whole or not at all, and once: if it agrees with its lock, nothing is done. Exit codes: 0 filled; 1 a file is not admitted, or
/// not as it was locked; 2 a file could not be read or written; 4 the command line is wrong, or DEST has other files.
#[derive(Debug, Args)]
pub(crate) struct KserveInitArgs {
    /// A file or folder, file://, pvc:// (mounted at /mnt/pvc), or https:// for one file.
    #[arg(value_name = "SRC")]
    pub(crate) source: String,
    /// The folder to fill.
    #[arg(value_name = "DEST")]
    pub(crate) destination: PathBuf,
    /// Do not convert weights of torch.
    #[arg(long)]
    pub(crate) no_convert: bool,
    /// Fill only if the source agrees with this lock [default: SRC/modelscan.lock, if it exists].
    #[arg(long, value_name = "FILE")]
    pub(crate) lock: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) allow: AllowArgs,
    /// No notes and warnings.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}
