//! `modelscan guard --view folder`: where nothing may be mounted, the server gets a temporary folder and this process waits for
//! its end, to take the folder away.

use super::Stop;
use super::guard::{INTERRUPTED, Interrupts, Wanted, command, fill, not_started, store};
use crate::cli::guard::GuardArgs;
use crate::exit::Exit;
use crate::terminal::say;
use admit::stage::Staged;
use admit::walk::Folder;
use signal_hook::consts;
use signal_hook::iterator::Signals;
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{self, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;

/// Copies, clears, starts the server, and stays until it ends.
pub(crate) fn run(args: &GuardArgs, folder: &Folder, wanted: &Wanted<'_>) -> Result<Exit, Stop> {
    let in_arguments = args.command.iter().skip(1).any(|argument| argument.to_string_lossy().contains("{}"));
    if !in_arguments && !wanted.quiet {
        let why = "stands nowhere on the server's line: it finds what was cleared only if it asks for MODELSCAN_DIR";
        say("warning", &format!("{{}} {why}"));
    }
    let interrupts = Interrupts::listen();
    let store = store(args, folder)?;
    let staged = match fill(store.path(), folder, wanted, &interrupts) {
        Ok(staged) => staged,
        Err(exit) => return Ok(exit),
    };
    let closed = Closed::new(store.path(), &staged);
    let closed = match closed {
        Ok(closed) => closed,
        Err(error) => {
            say("error", &format!("{}: {error}", store.path().display()));
            return Ok(Exit::Incomplete);
        }
    };
    if !wanted.quiet {
        say("note", &format!("{} files were cleared, in {}", staged.len(), store.path().display()));
    }
    let Some(mut command) = command(&args.command, store.path()) else { return Ok(Exit::Usage) };
    let passed = signals();
    let exit = match Signals::new(&passed) {
        // What came before is not passed on.
        Ok(_) if interrupts.stopped() => INTERRUPTED,
        Ok(signals) => match command.spawn() {
            Ok(server) => attend(server, signals),
            Err(error) => not_started(&args.command, &error),
        },
        Err(error) => not_started(&args.command, &error),
    };
    drop(closed);
    if let Err(error) = store.close() {
        say("warning", &format!("the copy could not be taken away: {error}"));
    }
    Ok(exit)
}

/// What is passed on. A terminal sends its own to both of us.
fn signals() -> Vec<i32> {
    let mut passed = vec![consts::SIGTERM, consts::SIGHUP, consts::SIGUSR1, consts::SIGUSR2];
    if !io::stdin().is_terminal() {
        passed.extend([consts::SIGINT, consts::SIGQUIT]);
    }
    passed.push(consts::SIGCHLD);
    passed
}

/// Passes signals on until the server ends; gives its code.
fn attend(mut server: Child, mut signals: Signals) -> Exit {
    let pid = i32::try_from(server.id()).ok().and_then(rustix::process::Pid::from_raw);
    loop {
        // Asked before the wait as well: it may have ended before anybody listened.
        match server.try_wait() {
            Ok(Some(status)) => {
                let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
                return Exit::Command(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX));
            }
            Ok(None) => {}
            Err(error) => {
                say("error", &format!("the server cannot be waited for: {error}"));
                return Exit::Incomplete;
            }
        }
        for signal in signals.wait().filter(|signal| *signal != consts::SIGCHLD) {
            // It is not reaped yet, so its number is still its own.
            if let (Some(pid), Some(signal)) = (pid, rustix::process::Signal::from_named_raw(signal)) {
                _ = rustix::process::kill_process(pid, signal);
            }
        }
    }
}

/// Files and folders that nobody but root may write to; folders are opened again when it is dropped, to be taken away.
struct Closed(Vec<PathBuf>);

impl Closed {
    fn new(store: &Path, staged: &[Staged]) -> io::Result<Self> {
        let mut folders = BTreeSet::from([store.to_owned()]);
        for file in staged {
            let path = store.join(&file.path);
            fs::set_permissions(&path, Permissions::from_mode(0o400))?;
            let above = path.ancestors().skip(1).take_while(|folder| *folder != store);
            folders.extend(above.map(Path::to_owned));
        }
        let closed = Self(folders.into_iter().collect());
        // From the innermost: a folder that is closed is still read.
        closed.0.iter().rev().try_for_each(|folder| fs::set_permissions(folder, Permissions::from_mode(0o500)))?;
        Ok(closed)
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.iter().for_each(|folder| _ = fs::set_permissions(folder, Permissions::from_mode(0o700)));
    }
}
