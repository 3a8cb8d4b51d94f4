//! Arguments of `modelscan kserve-init`.

use super::LimitArgs;
use super::guard::AllowArgs;
use super::remote::RemoteArgs;
use clap::Args;
use std::path::PathBuf;

/// Fill a folder with the files of a source that passed the scan: the storage initializer of KServe.
///
/// What torch saved is put there as safetensors, the rest as it is, with a lock of all of it (modelscan.lock). The folder is
/// filled whole or not at all, and once: where it is as its lock says, nothing is done. Exit codes: 0 filled; 1 something is
/// not admitted, or not as it was locked; 2 something could not be read or written; 4 the command line is wrong, or DEST holds
/// something else.
#[derive(Debug, Args)]
pub(crate) struct KserveInitArgs {
    /// A file or folder, file://, pvc:// (mounted at /mnt/pvc), or https:// for one file.
    #[arg(value_name = "SRC")]
    pub(crate) source: String,
    /// The folder to fill.
    #[arg(value_name = "DEST")]
    pub(crate) destination: PathBuf,
    /// Put what torch saved there as it is.
    #[arg(long)]
    pub(crate) no_convert: bool,
    /// Fill only if the source is as it was locked [default: SRC/modelscan.lock, where there is one].
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
