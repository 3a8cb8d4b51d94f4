//! Arguments of `modelscan baseline`.

use super::{ConfigArgs, LimitArgs};
use clap::Args;
use std::path::PathBuf;

/// Keep known findings in a file, so that only new ones fail the gate.
///
/// Exit codes: 0 done; 2 done, but something could not be read completely, which no baseline covers; 4 the command line, the
/// configuration or the baseline is wrong.
#[derive(Debug, Args)]
pub(crate) struct BaselineArgs {
    #[command(subcommand)]
    pub(crate) subcommand: BaselineSubcommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum BaselineSubcommand {
    Create(CreateArgs),
    Prune(PruneArgs),
}

/// Scan, and write all findings that are not accepted yet to a new baseline.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Files and folders, written as they will be for `scan --baseline`.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// The baseline.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Replace an existing baseline.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Scan, and drop entries of a baseline that no longer occur in the scanned files.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Files and folders, written as they were for `baseline create`.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// The baseline.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) baseline: PathBuf,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}
