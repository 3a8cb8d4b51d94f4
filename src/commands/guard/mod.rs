//! `modelscan guard`: a server that sees nothing of a folder but what was cleared.
//!
//! The order is the point. Files are copied through descriptors to where nobody else can write; the copies are looked at; the
//! copies are shown. Whatever happens to the folder from then on, the server does not see it. It is no sandbox: devices,
//! network, user and environment of the server are those of the caller.

use super::{Stop, lock};
use crate::cli::guard::{AllowArgs, GuardArgs, View};
use crate::exit::Exit;
use crate::terminal::say;
use admit::convert::{self, Converted};
use admit::lock::Lock;
use admit::look::Allowed;
use admit::stage::{Options, Refusal, Staged, stage};
use admit::walk::Folder;
use scanner::Limits;
use signal_hook::consts;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// This host cannot show a folder in the place of another.
const NO_VIEW: Exit = Exit::Command(125);
pub(crate) const INTERRUPTED: Exit = Exit::Command(130);
/// The server finds the path of what was cleared in it.
const VARIABLE: &str = "MODELSCAN_DIR";

/// What is wanted of a copy, for those who make one.
pub(crate) struct Wanted<'a> {
    pub(crate) limits: Limits,
    pub(crate) allowed: Allowed,
    pub(crate) lock: Option<&'a Lock>,
    pub(crate) except: Option<PathBuf>,
    pub(crate) convert: bool,
    pub(crate) omit: bool,
    pub(crate) quiet: bool,
}

/// Whoever wants an end to the work is heard until it is over: there is something to take away again.
pub(crate) struct Interrupts {
    stop: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

/// Copies, clears, shows, and becomes the server.
pub(crate) fn run(args: &GuardArgs) -> Result<Exit, Stop> {
    let wanted_lock = args.lock.as_deref().map(lock::read).transpose()?;
    let wanted = Wanted {
        limits: lock::limits(&args.limits)?,
        allowed: allowed(&args.allow)?,
        lock: wanted_lock.as_ref(),
        except: args.lock.as_deref().map(lock::itself),
        convert: args.convert,
        omit: args.allow.omit_refused,
        quiet: args.quiet,
    };
    let Some(folder) = lock::open(&args.folder)? else { return Ok(Exit::Incomplete) };
    match args.view {
        View::Mount => mounted(args, folder, &wanted),
        View::Folder => super::guard_folder::run(args, &folder, &wanted),
    }
}

/// What is admitted beyond what is clean, as typed.
pub(crate) fn allowed(args: &AllowArgs) -> Result<Allowed, Stop> {
    let hashes = args.allow_sha256.iter().map(|hash| hash.to_ascii_lowercase());
    let sha256: std::collections::BTreeSet<String> = hashes.collect();
    if let Some(wrong) = sha256.iter().find(|hash| !admit::lock::is_sha256(hash)) {
        return Err(Stop::Usage(format!("{wrong:?} is no SHA-256: 64 hexadecimal digits")));
    }
    Ok(Allowed { unproven: args.allow_unproven, programs: args.allow_programs, sha256 })
}

impl Interrupts {
    /// From now on a signal stops the work and not the process.
    pub(crate) fn listen() -> Self {
        let interrupts = Self { stop: Arc::default(), over: Arc::default() };
        for signal in [consts::SIGINT, consts::SIGTERM, consts::SIGHUP] {
            // Where it cannot be had, the signal ends the command as always.
            _ = signal_hook::flag::register_conditional_default(signal, interrupts.over.clone());
            _ = signal_hook::flag::register(signal, interrupts.stop.clone());
        }
        interrupts
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// From now on a signal ends the process again; whether one came before.
    pub(crate) fn end(&self) -> bool {
        self.over.store(true, Ordering::SeqCst);
        self.stopped()
    }
}

/// The folder in which the copy is made: private, and gone when it is dropped.
pub(crate) fn store(args: &GuardArgs, folder: &Folder) -> Result<TempDir, Stop> {
    let place = args.store.clone().filter(|_| !in_memory(args)).unwrap_or_else(std::env::temp_dir);
    let real = place.canonicalize().map_err(|error| Stop::Usage(format!("--store {}: {error}", place.display())))?;
    if real.starts_with(folder.path()) {
        let why = "lies in the folder that is guarded; name another by --store";
        return Err(Stop::Usage(format!("{} {why}", real.display())));
    }
    let made = tempfile::Builder::new().prefix(".modelscan-guard-").tempdir_in(&real);
    made.map_err(|error| Stop::Usage(format!("--store {}: {error}", real.display())))
}

fn in_memory(args: &GuardArgs) -> bool {
    args.view == View::Mount && args.store.as_deref() == Some(Path::new("memory"))
}

/// Copies what is admitted into `out`, or says why there is nothing.
pub(crate) fn fill(
    out: &Path,
    folder: &Folder,
    wanted: &Wanted<'_>,
    interrupts: &Interrupts,
) -> Result<Vec<Staged>, Exit> {
    let options = Options {
        limits: wanted.limits.clone(),
        allowed: wanted.allowed.clone(),
        lock: wanted.lock,
        except: wanted.except.as_deref(),
        omit: wanted.omit,
        stop: Some(&interrupts.stop),
    };
    let copied = stage(folder, out, &options);
    if interrupts.stopped() {
        return Err(INTERRUPTED);
    }
    let copied = copied.map_err(|refusal| refuse(&refusal))?;
    for omitted in &copied.omitted {
        say("warning", &format!("{} is left out: {}", omitted.path, omitted.why));
    }
    let mut staged = copied.files;
    if wanted.convert {
        let policy = convert::policy(&wanted.limits, wanted.allowed.unproven);
        match convert::convert(out, &mut staged, &policy, Some(interrupts.stop.clone())) {
            Ok(converted) if !wanted.quiet => tell(&converted),
            Ok(_) => {}
            Err(loader::Error::Interrupted) => return Err(INTERRUPTED),
            Err(error) => {
                say("error", &error.to_string());
                return Err(Exit::Incomplete);
            }
        }
    }
    Ok(staged)
}

fn tell(converted: &Converted) {
    for (from, to) in &converted.replaced {
        say("note", &format!("{from} was converted: {to} stands in its place"));
    }
    for (path, why) in &converted.kept {
        say("note", &format!("{path} stays as it is: {why}"));
    }
}

/// Says all reasons; gives the code.
fn refuse(refusal: &Refusal) -> Exit {
    for one in &refusal.refused {
        say("error", &format!("{}: {}", one.path, one.why));
        if let Some(hash) = &one.sha256 {
            say("note", &format!("--allow-sha256 {hash} admits this content"));
        }
    }
    refusal.differences.iter().for_each(|difference| say("error", &difference.to_string()));
    lock::complain(&refusal.problems);
    if refusal.is_finding() { Exit::Finding } else { Exit::Incomplete }
}

fn mounted(args: &GuardArgs, folder: Folder, wanted: &Wanted<'_>) -> Result<Exit, Stop> {
    let here = std::env::current_dir();
    let view = match sandbox_exec::View::new() {
        Ok(view) => view,
        Err(error) => return Ok(no_view(&error)),
    };
    let interrupts = Interrupts::listen();
    let place = folder.path().to_owned();
    let store = store(args, &folder)?;
    if in_memory(args)
        && let Err(error) = view.keep_in_memory(store.path())
    {
        return Ok(no_view(&error));
    }
    let staged = match fill(store.path(), &folder, wanted, &interrupts) {
        Ok(staged) => staged,
        Err(exit) => return Ok(exit),
    };
    let names = staged.iter().map(|file| file.path.as_str());
    let shown = if in_memory(args) { view.show_memory(&place) } else { view.show_files(&place, store.path(), names) };
    if let Err(error) = shown {
        return Ok(no_view(&error));
    }
    drop(store);
    drop(folder);
    // Who stands in the folder still stands in the one that was there before.
    if let Ok(here) = here
        && here.starts_with(&place)
        && let Err(error) = std::env::set_current_dir(&here)
    {
        say("error", &format!("{}: {error} in what was cleared; start the server elsewhere", here.display()));
        return Ok(Exit::Incomplete);
    }
    if !wanted.quiet {
        say("note", &format!("{} files were cleared; the server sees no others in {}", staged.len(), place.display()));
    }
    let Some(mut command) = command(&args.command, &place) else { return Ok(Exit::Usage) };
    // Between here and the server, a signal ends the process.
    if interrupts.end() {
        return Ok(INTERRUPTED);
    }
    Ok(not_started(&args.command, &command.exec()))
}

fn no_view(error: &sandbox_exec::Error) -> Exit {
    let why = match error {
        sandbox_exec::Error::Step { step, why } => format!("{step}: {why}"),
        other => other.to_string(),
    };
    say("error", &format!("no folder can be shown in the place of another: {why}"));
    say(
        "note",
        "--view folder needs no rights: the server then gets the path of a copy, by {} on its line or MODELSCAN_DIR",
    );
    NO_VIEW
}

/// The server's command, with the path where it is wanted.
pub(crate) fn command(typed: &[OsString], place: &Path) -> Option<Command> {
    let (program, arguments) = typed.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|argument| with_path(argument, place))).env(VARIABLE, place);
    Some(command)
}

fn with_path(argument: &OsStr, place: &Path) -> OsString {
    let mut rest = argument.as_bytes();
    let mut whole = Vec::with_capacity(rest.len());
    while let Some(at) = rest.windows(2).position(|pair| pair == b"{}") {
        let (before, after) = rest.split_at(at);
        whole.extend_from_slice(before);
        whole.extend_from_slice(place.as_os_str().as_bytes());
        rest = after.get(2..).unwrap_or_default();
    }
    whole.extend_from_slice(rest);
    OsString::from_vec(whole)
}

/// Says why a server did not start, with the code that a shell gives.
pub(crate) fn not_started(command: &[OsString], error: &io::Error) -> Exit {
    let program = command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    say("error", &format!("{program}: {error}"));
    Exit::Command(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_stands_wherever_it_is_wanted() {
        let with = |text: &str| with_path(OsStr::new(text), Path::new("/m")).into_string();
        for (text, expected) in
            [("{}", "/m"), ("--model={}/a:{}", "--model=/m/a:/m"), ("{", "{"), ("", ""), ("{a}", "{a}")]
        {
            assert_eq!(with(text).as_deref(), Ok(expected));
        }
    }
}
