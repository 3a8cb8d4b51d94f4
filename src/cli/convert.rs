//! Arguments of `modelscan convert`.

use super::{ConfigArgs, LimitArgs};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Turn clean weights into safetensors, by reading, never by unpickling.
///
/// Only clean files are converted. The name of a tensor is the path of keys, joined by dots; a folder (sharded, distributed)
/// gives a folder. Exit codes: 0 all written; 1 refused, because loading a file would do harm or is unproven; 2 unreadable or not
/// convertible; 4 the command line is wrong. Unless the code is 0, nothing is left at OUT.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Files, or folders that are one checkpoint.
    #[arg(required = true, value_name = "IN")]
    pub(crate) inputs: Vec<PathBuf>,
    /// File to write, or folder for several inputs.
    #[arg(long, short, value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Convert this part only, with names relative to it (`model.ema`).
    #[arg(long, value_name = "KEY.PATH")]
    pub(crate) root: Option<String>,
    /// Cast floats of 16, 32 and 64 bits to this type.
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<FloatType>,
    /// Write tied tensors once for each name, instead of once with their aliases in the metadata.
    #[arg(long)]
    pub(crate) expand_tied: bool,
    /// Write tensors that safetensors cannot hold (complex128, quantized, sparse, ...) as several tensors.
    #[arg(long)]
    pub(crate) lossless_parts: bool,
    /// Convert unproven files too, if inert constructors alone reach every tensor.
    #[arg(long)]
    pub(crate) allow_unproven: bool,
    /// Read the result back and compare it with the source.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Hash source and result, into report and metadata.
    #[arg(long)]
    pub(crate) sha256: bool,
    /// Share the source's blocks on disk instead of copying them, where the file system can (XFS, btrfs).
    #[arg(long)]
    pub(crate) reflink: bool,
    /// Print the plan and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Replace existing files.
    #[arg(long)]
    pub(crate) force: bool,
    /// Write a report as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// No warnings, no progress, no summary line.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// No progress bar.
    #[arg(long)]
    pub(crate) no_progress: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// The target of a cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FloatType {
    F16,
    Bf16,
    F32,
}
