//! `modelscan run`: options become a request, the report of the run becomes messages, files and an exit code.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sandbox_exec::{
    AllowedHost, EnvVariable, Error, ExitReport, Grant, Outcome, Permission, Profile, ReadOnlyPath, Request, Stdio,
    Violation,
};

use crate::cli::run::RunArgs;

/// The exit code when the sandbox could not be set up, or the command line is wrong.
pub(crate) const SETUP_FAILED: u8 = 125;

/// The reason of permissions from the command line.
const REQUESTED: &str = "asked for on the command line";

/// Runs the command and returns the exit code.
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
    let report_files = match ReportFiles::open(args) {
        Ok(files) => files,
        Err(error) => return refuse(&error),
    };
    let report = match request(args) {
        Ok(request) => match Stdio::own() {
            Ok(stdio) => sandbox_exec::run_here(&request, stdio),
            Err(error) => return refuse(&Error::request("standard streams", error)),
        },
        Err(error) => ExitReport::not_started(&args.profile, &error),
    };
    print_summary(&report);
    if let Err(error) = report_files.write(&report) {
        return refuse(&Error::request("--report or --log", format!("the report cannot be written: {error}")));
    }
    u8::try_from(report.code).unwrap_or(SETUP_FAILED)
}

fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn refuse(error: &Error) -> u8 {
    eprintln!("modelscan run: {error}");
    u8::try_from(error.code()).unwrap_or(SETUP_FAILED)
}

/// Prints the reason and up to ten violations. Text from inside is escaped, because it may contain terminal controls.
fn print_summary(report: &ExitReport) {
    let started = report.outcome != Outcome::NotStarted;
    if let Some(reason) = &report.reason {
        eprintln!(
            "modelscan run: {}",
            if started { reason.escape_debug().to_string() } else { reason.replace(char::is_control, " ") }
        );
    }
    let is_printed = |violation: &&Violation| violation.kind != "syscall" && violation.kind != "landlock";
    for violation in report.violations.iter().filter(is_printed).take(10) {
        eprintln!(
            "modelscan run: {} {}: {}",
            violation.kind,
            violation.what.escape_debug(),
            violation.detail.escape_debug()
        );
    }
}

fn override_quantity<T: FromStr<Err = quantity::Error>>(
    option: &str,
    text: Option<&String>,
    into: &mut T,
) -> Result<(), Error> {
    if let Some(text) = text {
        *into = text.parse().map_err(|error| Error::request(option, error))?;
    }
    Ok(())
}

/// The profile with the options applied to it.
fn request(args: &RunArgs) -> Result<Request, Error> {
    if args.command.is_empty() {
        return Err(Error::request("command line", "no command was given; write it after --"));
    }
    let mut profile = Profile::load(&args.profile)?;
    let limits = &mut profile.limits;
    override_quantity("--scratch", args.scratch.as_ref(), &mut limits.scratch)?;
    override_quantity("--memory", args.memory.as_ref(), &mut limits.memory)?;
    override_quantity("--timeout", args.timeout.as_ref(), &mut limits.timeout)?;
    override_quantity("--output-limit", args.output_limit.as_ref(), &mut limits.output)?;
    override_quantity("--out-limit", args.out_limit.as_ref(), &mut limits.out)?;
    limits.cpus = args.cpus.unwrap_or(limits.cpus);
    limits.pids = args.pids.unwrap_or(limits.pids);
    profile.read.extend(args.ro.iter().map(|text| readable(text)));
    for text in &args.env {
        let (name, value) =
            text.split_once('=').map_or((text.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
        profile.env.push(EnvVariable { name: name.to_owned(), value, why: REQUESTED.into() });
    }
    for text in &args.allow {
        let name = text.parse::<Permission>()?;
        profile.allow.push(Grant { name, why: REQUESTED.into() });
    }
    if !args.net.is_empty() {
        let hosts = args.net.iter().filter(|host| *host != "none");
        profile.network = hosts.map(|host| AllowedHost { host: host.clone(), why: REQUESTED.into() }).collect();
    }
    let gpu_memory = args.gpu_memory.as_ref().map(|text| text.parse()).transpose();
    let gpu_memory = gpu_memory.map_err(|error: quantity::Error| Error::request("--gpu-memory", error))?;
    let mut request = Request::new(profile, args.command.iter());
    request.command.workdir = args.workdir.clone();
    request.out = args.out.clone();
    request.gpu = args.gpu.clone();
    request.gpu_memory = gpu_memory;
    request.allow_degraded = args.allow_weaker.clone();
    Ok(request)
}

/// `SRC[:DEST]`, where the destination is an absolute path; another colon is part of the file name.
fn readable(text: &OsStr) -> ReadOnlyPath {
    let bytes = text.as_bytes();
    let cut = bytes.windows(2).rposition(|pair| pair == b":/");
    let (source, dest) = match cut {
        Some(at) if at > 0 => (bytes.get(..at), bytes.get(at + 1..)),
        _ => (Some(bytes), None),
    };
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let source = path(source.unwrap_or_default());
    // Without DEST the path inside is the absolute path outside.
    let dest = dest.map(path).or_else(|| std::path::absolute(&source).ok());
    ReadOnlyPath { path: source, dest, why: REQUESTED.into(), optional: false }
}

/// The destinations of the report. They are opened before the run: a run whose report cannot be written does not start.
struct ReportFiles {
    report: Option<fs::File>,
    log: Option<Log>,
}

enum Log {
    File(fs::File),
    /// syslog, or journald at the same path (`/dev/log`).
    Syslog(UnixDatagram),
    /// journald's native socket, which takes fields.
    Journal(UnixDatagram),
}

/// Bytes that every syslog daemon accepts in one message. A longer one is cut, and is then not JSON.
const MAX_SYSLOG_BYTES: usize = 8_000;

impl ReportFiles {
    fn open(args: &RunArgs) -> Result<Self, Error> {
        let failed = |path: &Path, e: std::io::Error| {
            Error::request(path.display().to_string(), format!("cannot be written: {e}"))
        };
        let report =
            args.report.as_ref().map(|path| fs::File::create(path).map_err(|e| failed(path, e))).transpose()?;
        let log = args.log.as_ref().map(|path| Log::open(path).map_err(|e| failed(path, e))).transpose()?;
        Ok(Self { report, log })
    }

    fn write(self, report: &ExitReport) -> std::io::Result<()> {
        let line = serde_json::to_string(report)?;
        if let Some(mut file) = self.report {
            file.write_all(format!("{line}\n").as_bytes())?;
        }
        match self.log {
            None => Ok(()),
            Some(Log::File(mut file)) => file.write_all(format!("{line}\n").as_bytes()),
            // Facility user, severity notice. One datagram per run; JSON escapes line breaks.
            Some(Log::Syslog(socket)) => {
                socket.send(format!("<13>modelscan: {}", shortened(report, MAX_SYSLOG_BYTES)?).as_bytes()).map(drop)
            }
            Some(Log::Journal(socket)) => {
                let line = shortened(report, 10 * MAX_SYSLOG_BYTES)?;
                let fields = format!("MESSAGE={line}\nPRIORITY=5\nSYSLOG_FACILITY=1\nSYSLOG_IDENTIFIER=modelscan\n");
                socket.send(fields.as_bytes()).map(drop)
            }
        }
    }
}

/// One line of JSON of at most `most` bytes: lists are cut, and dropped violations are counted.
fn shortened(report: &ExitReport, most: usize) -> serde_json::Result<String> {
    let mut line = serde_json::to_string(report)?;
    if line.len() <= most {
        return Ok(line);
    }
    let mut report = report.clone();
    report.files.truncate(8);
    report.network.truncate(8);
    while line.len() > most && !report.violations.is_empty() {
        let kept = report.violations.len() / 2;
        report.violations_dropped += (report.violations.len() - kept) as u64;
        report.violations.truncate(kept);
        line = serde_json::to_string(&report)?;
    }
    if line.len() > most {
        report.files.clear();
        report.network.clear();
        report.reason = report.reason.map(|reason| reason.chars().take(200).collect());
        line = serde_json::to_string(&report)?;
    }
    Ok(line)
}

impl Log {
    fn open(path: &Path) -> std::io::Result<Self> {
        if fs::metadata(path).is_ok_and(|about| about.file_type().is_socket()) {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            let own = path.ends_with("systemd/journal/socket");
            return Ok(if own { Self::Journal(socket) } else { Self::Syslog(socket) });
        }
        Ok(Self::File(fs::OpenOptions::new().append(true).create(true).open(path)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_have_a_place_inside() {
        let row = readable(OsStr::new("/data/a:b:/in"));
        assert_eq!((row.path, row.dest), ("/data/a:b".into(), Some("/in".into())));
        let row = readable(OsStr::new("/data/c:d"));
        assert_eq!((row.path, row.dest), ("/data/c:d".into(), Some("/data/c:d".into())));
    }

    fn long() -> ExitReport {
        let mut report = ExitReport::not_started("eval", &Error::request("no\nsuch", "thing"));
        let row = |number: u64| Violation {
            kind: "syscall".into(),
            what: "ptrace".into(),
            detail: format!("({number:#x})\nMESSAGE=forged"),
            at_ms: number,
            pid: None,
            times: 1,
        };
        report.violations = (0..256).map(row).collect();
        report.files = (0..1000).map(|number| format!("file{number}")).collect();
        report
    }

    /// The message that a socket of that name receives when a long report is logged there.
    fn logged(name: &str) -> std::io::Result<String> {
        let folder = std::env::temp_dir().join(format!("modelscan-log-{}-{}", std::process::id(), name.len()));
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        let daemon = UnixDatagram::bind(&path)?;
        let log = Log::open(&path)?;
        let sent = ReportFiles { report: None, log: Some(log) }.write(&long());
        let mut message = vec![0; 1 << 20];
        let got = sent.and_then(|()| daemon.recv(&mut message));
        fs::remove_dir_all(&folder)?;
        message.truncate(got?);
        Ok(String::from_utf8_lossy(&message).into_owned())
    }

    #[test]
    fn syslog_gets_one_message_of_json_that_fits() -> Result<(), Box<dyn std::error::Error>> {
        let message = logged("log")?;
        let line = message.strip_prefix("<13>modelscan: ").ok_or("no header")?;
        assert!(message.len() < MAX_SYSLOG_BYTES + 50 && !line.contains('\n'), "{}", message.len());
        let report: ExitReport = serde_json::from_str(line)?;
        assert!(!report.violations.is_empty());
        assert_eq!(report.violations.len() as u64 + report.violations_dropped, 256);
        Ok(())
    }

    #[test]
    fn journald_gets_fields_that_no_text_from_inside_can_forge() -> Result<(), Box<dyn std::error::Error>> {
        let message = logged("systemd/journal/socket")?;
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(lines.len(), 4, "{message}");
        let line = lines.iter().find_map(|line| line.strip_prefix("MESSAGE=")).ok_or("no message")?;
        assert_eq!(serde_json::from_str::<ExitReport>(line)?.violations.len(), 256);
        assert!(lines.contains(&"SYSLOG_IDENTIFIER=modelscan"));
        Ok(())
    }

    #[test]
    fn a_file_gets_a_line_a_run_and_a_full_disk_is_an_error() -> Result<(), Box<dyn std::error::Error>> {
        let path = std::env::temp_dir().join(format!("modelscan-log-{}.jsonl", std::process::id()));
        for _ in 0..2 {
            ReportFiles { report: None, log: Some(Log::open(&path)?) }.write(&long())?;
        }
        let text = fs::read_to_string(&path)?;
        fs::remove_file(&path)?;
        assert_eq!(text.lines().filter(|line| serde_json::from_str::<ExitReport>(line).is_ok()).count(), 2);
        let full = Log::open(Path::new("/dev/full"))?;
        assert!(ReportFiles { report: None, log: Some(full) }.write(&long()).is_err());
        Ok(())
    }
}
