//! `modelscan guard --view mount`: the copy is mounted over the folder in a mount namespace, and this process becomes the server.

use super::interrupts::Interrupts;
use super::server::{create_store, is_in_memory, log_not_started, server_command};
use super::staging::{INTERRUPTED, StagingOptions, stage};
use crate::cli::guard::GuardArgs;
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use crate::terminal::log::{Level, log};
use admission::folder::Folder;
use std::os::unix::process::CommandExt;

/// The mount namespace cannot be created.
const NO_MOUNT: ExitCode = ExitCode::Command(125);

/// Copies, mounts, and becomes the server.
pub(super) fn run(args: &GuardArgs, folder: Folder, options: &StagingOptions<'_>) -> Result<ExitCode, CommandError> {
    let working_dir = std::env::current_dir();
    let view = match sandbox_exec::View::new() {
        Ok(view) => view,
        Err(error) => return Ok(log_no_mount(&error)),
    };
    let interrupts = Interrupts::install();
    let path = folder.path().to_owned();
    let store = create_store(args, &folder)?;
    if is_in_memory(args)
        && let Err(error) = view.keep_in_memory(store.path())
    {
        return Ok(log_no_mount(&error));
    }
    let staged = match stage(store.path(), &folder, options, &interrupts) {
        Ok(staged) => staged,
        Err(code) => return Ok(code),
    };
    let names = staged.iter().map(|file| file.path.as_str());
    let mounted =
        if is_in_memory(args) { view.show_memory(&path) } else { view.show_files(&path, store.path(), names) };
    if let Err(error) = mounted {
        return Ok(log_no_mount(&error));
    }
    drop(store);
    drop(folder);
    // A working directory in the folder is still that of the original, so it is entered again.
    if let Ok(working_dir) = working_dir
        && working_dir.starts_with(&path)
        && let Err(error) = std::env::set_current_dir(&working_dir)
    {
        let reason = format!("{}: {error} in what was cleared; start the server elsewhere", working_dir.display());
        log(Level::Error, &reason);
        return Ok(ExitCode::Incomplete);
    }
    if !options.quiet {
        let count = staged.len();
        log(Level::Note, &format!("{count} files were cleared; the server sees no others in {}", path.display()));
    }
    let Some(mut command) = server_command(&args.command, &path) else { return Ok(ExitCode::Usage) };
    // Between here and the start of the server, a signal ends the process.
    if interrupts.finish() {
        return Ok(INTERRUPTED);
    }
    Ok(log_not_started(&args.command, &command.exec()))
}

fn log_no_mount(error: &sandbox_exec::Error) -> ExitCode {
    log(Level::Error, &format!("no folder can be shown in the place of another: {}", error.detail()));
    log(
        Level::Note,
        "--view folder needs no rights: the server then gets the path of a copy, by {} on its line or MODELSCAN_DIR",
    );
    NO_MOUNT
}
