//! `modelscan kserve-init`: a source cleared, converted, and put where a server will look for it.
//!
//! An init container has one answer, its exit code, and may be killed and started again at any moment: `admit::deliver` sees to
//! it that the folder is filled whole, once. The lock that it leaves there says what was put there.

use super::guard::{Interrupts, Wanted, allowed, fill};
use super::{Stop, elsewhere, lock, print, settle};
use crate::cli::kserve_init::KserveInitArgs;
use crate::exit::Exit;
use crate::render::escape;
use crate::terminal::say;
use admit::deliver::{self, Delivery, Place};
use admit::lock::{Lock, NAME};
use admit::walk::Folder;
use remote::Address;
use scanner::Limits;
use scanner::providers::InputProvider;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Where KServe mounts the volume that a `pvc://` address names.
const VOLUME: &str = "/mnt/pvc";
/// What is asked for at a time of something elsewhere.
const PIECE: usize = 8 << 20;

/// Fills the folder.
pub(crate) fn run(args: &KserveInitArgs) -> Result<Exit, Stop> {
    let limits = lock::limits(&args.limits)?;
    let delivery = match deliver::prepare(&args.place, &limits) {
        Ok(Place::Empty(delivery)) => delivery,
        Ok(Place::Finished(lock)) => return Ok(settle(Exit::Clean, said(args, "is filled already", &lock))),
        Err(error) => return refuse(error),
    };
    // The copy that is downloaded goes when this ends.
    let (path, _downloaded) = match source(args, &limits, &delivery)? {
        Ok(found) => found,
        Err(exit) => return Ok(exit),
    };
    let opened = if path.is_file() { Folder::of_file(&path) } else { Folder::open(&path) };
    let folder = match opened {
        Ok(folder) => folder,
        Err(error) => {
            say("error", &format!("{}: {error}", path.display()));
            return Ok(Exit::Incomplete);
        }
    };
    keep_apart(&folder, &path, &args.place)?;
    let beside = path.join(NAME);
    let named = args.lock.clone().or_else(|| beside.is_file().then_some(beside));
    let wanted_lock = named.as_deref().map(lock::read).transpose()?;
    let wanted = Wanted {
        limits: limits.clone(),
        allowed: allowed(&args.allow)?,
        lock: wanted_lock.as_ref(),
        except: named.as_deref().map(lock::itself),
        convert: !args.no_convert,
        omit: args.allow.omit_refused,
        quiet: args.quiet,
    };
    if let Err(exit) = fill(&delivery.files(), &folder, &wanted, &Interrupts::listen()) {
        return Ok(exit);
    }
    match delivery.finish(&limits) {
        Ok(lock) => Ok(settle(Exit::Clean, said(args, "was filled", &lock))),
        Err(error) => refuse(error),
    }
}

fn said(args: &KserveInitArgs, what: &str, lock: &Lock) -> io::Result<()> {
    let place = args.place.to_string_lossy();
    print(|out| match args.quiet {
        true => Ok(()),
        false => writeln!(out, "{} {what}: {} files", escape::text(&place), lock.files.len()),
    })
}

fn refuse(error: deliver::Error) -> Result<Exit, Stop> {
    match error {
        deliver::Error::Taken(why) => Err(Stop::Usage(why)),
        deliver::Error::Io(path, error) => {
            say("error", &format!("{}: {error}", path.display()));
            Ok(Exit::Incomplete)
        }
    }
}

type Found = (PathBuf, Option<TempDir>);

/// The source as a path of this machine.
fn source(args: &KserveInitArgs, limits: &Limits, delivery: &Delivery) -> Result<Result<Found, Exit>, Stop> {
    let typed = args.source.as_str();
    if Address::is_meant(typed) {
        return download(args, limits, delivery);
    }
    let path = match typed.split_once("://") {
        None => PathBuf::from(typed),
        Some(("file", path)) => PathBuf::from(path),
        Some(("pvc", rest)) => {
            let below = rest.split_once('/').map_or("", |(_, below)| below);
            Path::new(VOLUME).join(below.trim_start_matches('/'))
        }
        Some((scheme, _)) => {
            let why = "is not read here: a path, file://, pvc:// and https:// are";
            return Err(Stop::Usage(format!("{scheme}:// {why}")));
        }
    };
    Ok(Ok((path, None)))
}

/// Brings what stands at an address, whole, into a folder of its own beside what is being filled.
fn download(args: &KserveInitArgs, limits: &Limits, delivery: &Delivery) -> Result<Result<Found, Exit>, Stop> {
    let typed = [PathBuf::from(&args.source)];
    let (_, remote) = elsewhere::prepare(&typed, &args.remote, None, false, limits)?;
    let shown = remote.inputs().into_iter().next().unwrap_or_default();
    let bring = || -> Result<Found, String> {
        let brought = remote.open(0, &Arc::default()).map_err(|error| error.to_string())?;
        let name = Path::new(&brought.name).file_name().ok_or("the address names no file")?;
        let home = delivery.files().parent().map(Path::to_owned).unwrap_or_default();
        let folder =
            tempfile::Builder::new().prefix("download-").tempdir_in(home).map_err(|error| error.to_string())?;
        let path = folder.path().join(name);
        let mut file = File::create_new(&path).map_err(|error| error.to_string())?;
        let (mut buffer, mut at) = (vec![0; PIECE], 0u64);
        loop {
            let count = brought.source.read_at(at, &mut buffer).map_err(|error| error.to_string())?;
            if count == 0 {
                break;
            }
            file.write_all(buffer.get(..count).unwrap_or_default()).map_err(|error| error.to_string())?;
            at = at.saturating_add(count as u64);
        }
        match brought.source.integrity_error() {
            Some(fault) => Err(fault),
            None if at != brought.source.len() => Err("the server cuts its answer short".to_owned()),
            None => Ok((path, Some(folder))),
        }
    };
    Ok(bring().map_err(|why| {
        say("error", &format!("{shown}: {why}"));
        Exit::Incomplete
    }))
}

/// A folder that is filled from itself would never be whole. What is downloaded into it is a file of its own.
fn keep_apart(folder: &Folder, path: &Path, place: &Path) -> Result<(), Stop> {
    let place = lock::itself(place);
    let inside = folder.path().starts_with(&place) && path.is_dir();
    if inside || (path.is_dir() && place.starts_with(folder.path())) {
        return Err(Stop::Usage(format!("{} and {} lie within each other", path.display(), place.display())));
    }
    Ok(())
}
