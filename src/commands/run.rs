//! `modelscan run`: options to a request, a request to walls, an account to a report and an exit code.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sandbox_exec::{
    Error, ExitReport, Host, Opening, Outcome, Profile, Readable, Request, Stdio, Variable,
};

use crate::cli::run::RunArgs;

/// Why something given on the command line is open.
const ASKED: &str = "asked for on the command line";

/// Runs, and gives the exit code.
pub(crate) fn run(args: &RunArgs) -> u8 {
    if args.doctor {
        let (text, code) = sandbox_exec::doctor();
        print(&text);
        return code;
    }
    if let Some(which) = &args.explain {
        return match Profile::load(which) {
            Ok(profile) => {
                print(&sandbox_exec::explain(&profile));
                0
            }
            Err(error) => refuse(&error),
        };
    }
    let report = match request(args) {
        Ok(request) => match Stdio::own() {
            Ok(stdio) => sandbox_exec::run_here(&request, stdio),
            Err(error) => return refuse(&Error::Request(format!("standard streams: {error}"))),
        },
        Err(error) => ExitReport::not_started(&args.profile, &error),
    };
    tell(&report);
    if let Err(error) = write_reports(args, &report) {
        return refuse(&error);
    }
    u8::try_from(report.code).unwrap_or(125)
}

fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn refuse(error: &Error) -> u8 {
    eprintln!("modelscan run: {error}");
    u8::try_from(error.code()).unwrap_or(125)
}

/// What a person should know at once; all of it is in the report. Text from inside is escaped: it may hold terminal controls.
fn tell(report: &ExitReport) {
    let started = report.outcome != Outcome::NotStarted;
    if let Some(reason) = &report.reason {
        eprintln!(
            "modelscan run: {}",
            if started {
                reason.escape_debug().to_string()
            } else {
                reason.replace(char::is_control, " ")
            }
        );
    }
    for violation in report
        .violations
        .iter()
        .filter(|violation| violation.kind != "syscall")
        .take(10)
    {
        eprintln!(
            "modelscan run: {} {}: {}",
            violation.kind,
            violation.what.escape_debug(),
            violation.detail.escape_debug()
        );
    }
}

fn size<T: FromStr<Err = String>>(
    option: &str,
    text: Option<&String>,
    into: &mut T,
) -> Result<(), Error> {
    if let Some(text) = text {
        *into = text
            .parse()
            .map_err(|why| Error::Request(format!("{option}: {why}")))?;
    }
    Ok(())
}

/// The profile with what was typed on top of it.
fn request(args: &RunArgs) -> Result<Request, Error> {
    if args.command.is_empty() {
        return Err(Error::Request(
            "no command was given; write it after --".into(),
        ));
    }
    let mut profile = Profile::load(&args.profile)?;
    let limits = &mut profile.limits;
    size("--scratch", args.scratch.as_ref(), &mut limits.scratch)?;
    size("--memory", args.memory.as_ref(), &mut limits.memory)?;
    size("--timeout", args.timeout.as_ref(), &mut limits.timeout)?;
    size(
        "--output-limit",
        args.output_limit.as_ref(),
        &mut limits.output,
    )?;
    size("--out-limit", args.out_limit.as_ref(), &mut limits.out)?;
    limits.cpus = args.cpus.unwrap_or(limits.cpus);
    limits.pids = args.pids.unwrap_or(limits.pids);
    profile
        .read
        .extend(args.ro.iter().map(|text| readable(text)));
    for text in &args.env {
        let (name, value) = text
            .split_once('=')
            .map_or((text.as_str(), None), |(name, value)| {
                (name, Some(value.to_owned()))
            });
        profile.env.push(Variable {
            name: name.to_owned(),
            value,
            why: ASKED.into(),
        });
    }
    for text in &args.allow {
        let name = text.parse().map_err(Error::Request)?;
        profile.allow.push(Opening {
            name,
            why: ASKED.into(),
        });
    }
    if !args.net.is_empty() {
        let hosts = args.net.iter().filter(|host| *host != "none");
        profile.network = hosts
            .map(|host| Host {
                host: host.clone(),
                why: ASKED.into(),
            })
            .collect();
    }
    let gpu_memory = args
        .gpu_memory
        .as_ref()
        .map(|text| text.parse())
        .transpose();
    let gpu_memory = gpu_memory.map_err(|why| Error::Request(format!("--gpu-memory: {why}")))?;
    let mut request = Request::new(profile, args.command.iter());
    request.command.workdir = args.workdir.clone();
    request.out = args.out.clone();
    request.gpu = args.gpu.clone();
    request.gpu_memory = gpu_memory;
    request.weaker = args.allow_weaker.clone();
    Ok(request)
}

/// `SRC[:DEST]`, where the destination is an absolute path; a colon within a file name is no separator.
fn readable(text: &OsStr) -> Readable {
    let bytes = text.as_bytes();
    let cut = bytes.windows(2).rposition(|pair| pair == b":/");
    let (source, dest) = match cut {
        Some(at) if at > 0 => (bytes.get(..at), bytes.get(at + 1..)),
        _ => (Some(bytes), None),
    };
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let source = path(source.unwrap_or_default());
    // Without a place of its own it stands where it stands outside.
    let dest = dest.map(path).or_else(|| std::path::absolute(&source).ok());
    Readable {
        path: source,
        dest,
        why: ASKED.into(),
        optional: false,
    }
}

fn write_reports(args: &RunArgs, report: &ExitReport) -> Result<(), Error> {
    let failed = |path: &Path, e: std::io::Error| {
        Error::Request(format!(
            "the report cannot be written to {}: {e}",
            path.display()
        ))
    };
    let line = serde_json::to_string(report)
        .map_err(|e| Error::Request(format!("the report cannot be written: {e}")))?;
    if let Some(path) = &args.report {
        fs::write(path, format!("{line}\n")).map_err(|e| failed(path, e))?;
    }
    if let Some(path) = &args.log {
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .map_err(|e| failed(path, e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_have_a_place_inside() {
        let row = readable(OsStr::new("/data/a:b:/in"));
        assert_eq!(
            (row.path, row.dest),
            ("/data/a:b".into(), Some("/in".into()))
        );
        let row = readable(OsStr::new("/data/c:d"));
        assert_eq!(
            (row.path, row.dest),
            ("/data/c:d".into(), Some("/data/c:d".into()))
        );
    }
}
