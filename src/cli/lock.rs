//! Arguments of `modelscan lock`.

use super::LimitArgs;
use clap::Args;
use std::path::PathBuf;

/// Write down every file of a folder with its hash and verdict, or compare a folder with what was written.
///
/// Exit codes: 0 written, or all is as it was locked; 1 something is dangerous and nothing was written, or something is
/// missing, different or additional; 2 something could not be read; 4 the command line or the lock is wrong.
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
    /// Lock what is dangerous too, with that verdict: to pin it, not to load it.
    #[arg(long, conflicts_with = "check")]
    pub(crate) record_dangerous: bool,
    /// Replace a lock that is there.
    #[arg(long, conflicts_with = "check")]
    pub(crate) force: bool,
    /// Say nothing where all is well.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}
