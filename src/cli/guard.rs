//! Arguments of `modelscan guard`.

use super::LimitArgs;
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Start a server with a read-only view of a folder that holds only files that passed the scan.
///
/// The files of DIR are copied to a private folder, the copies are scanned, and the server finds them at the path of DIR.
/// Its exit code and signals are its own. Before it starts: 1 a file is not admitted, or not as it was locked; 2 a file could
/// not be read; 4 the command line is wrong; 125 the mount namespace cannot be created; 126 and 127 as a shell.
#[derive(Debug, Args)]
pub(crate) struct GuardArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Replace weights of torch by safetensors.
    #[arg(long)]
    pub(crate) convert: bool,
    /// Start only if the folder agrees with this lock.
    #[arg(long, value_name = "FILE")]
    pub(crate) lock: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) allow: AllowArgs,
    /// Folder for the copy, or `memory` [default: the folder for temporary files].
    #[arg(long, value_name = "DIR|memory")]
    pub(crate) store: Option<PathBuf>,
    /// How the server finds the copy.
    #[arg(long, value_enum, default_value_t = ViewMode::Mount)]
    pub(crate) view: ViewMode,
    /// No notes and warnings.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// The server and its arguments. `{}` is replaced by the path of the copy, which is also in MODELSCAN_DIR.
    #[arg(required = true, last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Kinds of files that are admitted beyond clean ones.
#[derive(Debug, Args)]
pub(crate) struct AllowArgs {
    /// Admit unproven files and files of an unknown format too. Dangerous files are never admitted.
    #[arg(long)]
    pub(crate) allow_unproven: bool,
    /// Admit programs (.py, .so, ...) too: a server may run them.
    #[arg(long)]
    pub(crate) allow_programs: bool,
    /// Admit the file with this SHA-256, unless it is dangerous; may be repeated.
    #[arg(long, value_name = "HASH")]
    pub(crate) allow_sha256: Vec<String>,
    /// Leave out refused files, with a warning, in place of refusing the folder.
    #[arg(long)]
    pub(crate) omit_refused: bool,
}

/// How the server finds the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ViewMode {
    /// At the path of DIR, in a mount namespace of its own; it vanishes with the server.
    Mount,
    /// In a temporary folder, by `{}` or MODELSCAN_DIR; needs no privileges, and DIR itself stays visible.
    Folder,
}
