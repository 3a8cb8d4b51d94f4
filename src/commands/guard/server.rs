//! The command line of the server, and the folder of its copy.

use crate::cli::guard::{GuardArgs, ViewMode};
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use crate::terminal::log::{Level, log};
use admission::folder::Folder;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// The environment variable with the path of the copy.
const DIR_VARIABLE: &str = "MODELSCAN_DIR";

/// Creates the private folder of the copy. It is removed when it is dropped.
///
/// # Errors
/// When the folder cannot be created, or would be in the guarded folder.
pub(super) fn create_store(args: &GuardArgs, folder: &Folder) -> Result<TempDir, CommandError> {
    let parent = args.store.clone().filter(|_| !is_in_memory(args)).unwrap_or_else(std::env::temp_dir);
    let invalid = |path: &Path, error| CommandError::Io(error).at(format!("--store {}", path.display()));
    let real = parent.canonicalize().map_err(|error| invalid(&parent, error))?;
    if real.starts_with(folder.path()) {
        let reason = format!("{} lies in the folder that is guarded", real.display());
        return Err(CommandError::usage_with_hint(reason, "name another by --store"));
    }
    let created = tempfile::Builder::new().prefix(".modelscan-guard-").tempdir_in(&real);
    created.map_err(|error| invalid(&real, error))
}

/// Whether the copy is kept in memory.
pub(super) fn is_in_memory(args: &GuardArgs) -> bool {
    args.view == ViewMode::Mount && args.store.as_deref() == Some(Path::new("memory"))
}

/// The command of the server, with `{}` replaced by the path of the copy.
pub(super) fn server_command(arguments: &[OsString], dir: &Path) -> Option<Command> {
    let (program, arguments) = arguments.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|argument| with_path(argument, dir))).env(DIR_VARIABLE, dir);
    Some(command)
}

fn with_path(argument: &OsStr, dir: &Path) -> OsString {
    let mut rest = argument.as_bytes();
    let mut replaced = Vec::with_capacity(rest.len());
    while let Some(at) = rest.windows(2).position(|pair| pair == b"{}") {
        let (before, after) = rest.split_at(at);
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(dir.as_os_str().as_bytes());
        rest = after.get(2..).unwrap_or_default();
    }
    replaced.extend_from_slice(rest);
    OsString::from_vec(replaced)
}

/// Logs why a server did not start. Returns the exit code of a shell.
pub(super) fn log_not_started(command: &[OsString], error: &io::Error) -> ExitCode {
    let program = command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    log(Level::Error, &format!("{program}: {error}"));
    ExitCode::Command(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_replaced_by_the_path() {
        let with = |text: &str| with_path(OsStr::new(text), Path::new("/m")).into_string();
        for (text, expected) in
            [("{}", "/m"), ("--model={}/a:{}", "--model=/m/a:/m"), ("{", "{"), ("", ""), ("{a}", "{a}")]
        {
            assert_eq!(with(text).as_deref(), Ok(expected));
        }
    }
}
