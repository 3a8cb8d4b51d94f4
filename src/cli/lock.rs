//! Arguments of `modelscan lock`.

use super::LimitArgs;
use clap::Args;
use std::path::PathBuf;

/// Record every file of a folder with its hash and verdict, or compare a folder with its lock.
///
/// Exit codes: 0 written, or the folder agrees with its lock; 1 a file is dangerous and nothing was written, or a file is
/// missing, different or additional; 2 a file could not be read; 4 the command line or the lock is wrong.
#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The lock [default: DIR/modelscan.lock].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Compare the folder with the lock, and write nothing.
    #[arg(long)]
    pub(crate) check: bool,
    /// Lock dangerous files too, with that verdict: to pin them, not to load them.
    #[arg(long, conflicts_with = "check")]
    pub(crate) record_dangerous: bool,
    /// Replace an existing lock.
    #[arg(long, conflicts_with = "check")]
    pub(crate) force: bool,
    /// Print nothing if there is no error and no difference.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}
