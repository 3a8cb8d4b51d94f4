//! `modelscan guard --view folder`: the server gets the path of a temporary folder. This process passes signals on, waits for the
//! server, and removes the folder.

use super::interrupts::Interrupts;
use super::server::{create_store, log_not_started, server_command};
use super::staging::{INTERRUPTED, StagingOptions, stage};
use crate::cli::guard::GuardArgs;
use crate::error::CommandError;
use crate::exit_code::ExitCode;
use crate::terminal::log::{Level, log};
use admission::folder::Folder;
use admission::stage::StagedFile;
use signal_hook::consts;
use signal_hook::iterator::Signals;
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{self, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;

/// Copies, starts the server, and waits for its end.
pub(super) fn run(args: &GuardArgs, folder: &Folder, options: &StagingOptions<'_>) -> Result<ExitCode, CommandError> {
    let in_arguments = args.command.iter().skip(1).any(|argument| argument.to_string_lossy().contains("{}"));
    if !in_arguments && !options.quiet {
        let reason = "stands nowhere on the server's line: it finds what was cleared only if it asks for MODELSCAN_DIR";
        log(Level::Warning, &format!("{{}} {reason}"));
    }
    let interrupts = Interrupts::install();
    let store = create_store(args, folder)?;
    let staged = match stage(store.path(), folder, options, &interrupts) {
        Ok(staged) => staged,
        Err(code) => return Ok(code),
    };
    let read_only = match ReadOnlyCopy::new(store.path(), &staged) {
        Ok(read_only) => read_only,
        Err(error) => {
            log(Level::Error, &format!("{}: {error}", store.path().display()));
            return Ok(ExitCode::Incomplete);
        }
    };
    if !options.quiet {
        log(Level::Note, &format!("{} files were cleared, in {}", staged.len(), store.path().display()));
    }
    let Some(mut command) = server_command(&args.command, store.path()) else { return Ok(ExitCode::Usage) };
    let code = match Signals::new(forwarded_signals()) {
        // A signal that came before is not forwarded.
        Ok(_) if interrupts.is_stopped() => INTERRUPTED,
        Ok(signals) => match command.spawn() {
            Ok(server) => wait_for_server(server, signals),
            Err(error) => log_not_started(&args.command, &error),
        },
        Err(error) => log_not_started(&args.command, &error),
    };
    drop(read_only);
    if let Err(error) = store.close() {
        log(Level::Warning, &format!("the copy could not be taken away: {error}"));
    }
    Ok(code)
}

/// The signals that are forwarded, and SIGCHLD. A terminal sends SIGINT and SIGQUIT to both processes.
fn forwarded_signals() -> Vec<i32> {
    let mut forwarded = vec![consts::SIGTERM, consts::SIGHUP, consts::SIGUSR1, consts::SIGUSR2];
    if !io::stdin().is_terminal() {
        forwarded.extend([consts::SIGINT, consts::SIGQUIT]);
    }
    forwarded.push(consts::SIGCHLD);
    forwarded
}

/// Forwards signals until the server ends. Returns its exit code, or 128 + N for signal N.
fn wait_for_server(mut server: Child, mut signals: Signals) -> ExitCode {
    let pid = i32::try_from(server.id()).ok().and_then(rustix::process::Pid::from_raw);
    loop {
        // Also before the first wait: the server may have ended before the handler was installed.
        match server.try_wait() {
            Ok(Some(status)) => {
                let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
                return ExitCode::Command(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX));
            }
            Ok(None) => {}
            Err(error) => {
                log(Level::Error, &format!("the server cannot be waited for: {error}"));
                return ExitCode::Incomplete;
            }
        }
        for signal in signals.wait().filter(|signal| *signal != consts::SIGCHLD) {
            // The server is not reaped yet, so its pid is not reused.
            if let (Some(pid), Some(signal)) = (pid, rustix::process::Signal::from_named_raw(signal)) {
                _ = rustix::process::kill_process(pid, signal);
            }
        }
    }
}

/// A copy whose files and folders are read-only. Dropped, its folders become writable again, so that they can be removed.
struct ReadOnlyCopy(Vec<PathBuf>);

impl ReadOnlyCopy {
    fn new(store: &Path, staged: &[StagedFile]) -> io::Result<Self> {
        let mut folders = BTreeSet::from([store.to_owned()]);
        for file in staged {
            let path = store.join(&file.path);
            fs::set_permissions(&path, Permissions::from_mode(0o400))?;
            let parents = path.ancestors().skip(1).take_while(|folder| *folder != store);
            folders.extend(parents.map(Path::to_owned));
        }
        let read_only = Self(folders.into_iter().collect());
        // From the innermost folder outward.
        read_only.0.iter().rev().try_for_each(|folder| fs::set_permissions(folder, Permissions::from_mode(0o500)))?;
        Ok(read_only)
    }
}

impl Drop for ReadOnlyCopy {
    fn drop(&mut self) {
        self.0.iter().for_each(|folder| _ = fs::set_permissions(folder, Permissions::from_mode(0o700)));
    }
}
