//! Stands in for the engine on this branch, so that the command can be built against its face. Dropped on merge.
//!
//! It knows one thing: protocol 0 `GLOBAL` lines in files that start as pickles do.

use crate::finding::{Finding, Line, Severity, Verdict, fingerprint};
use crate::limits::Limits;
use crate::policy::Policy;
use crate::report::{
    ArtifactReport, CallReport, ImportReport, InspectReport, NotRead, PickleReport, Report, ScanError, UNKNOWN_FORMAT,
};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a scan needs to know beside the paths.
#[derive(Default)]
pub struct ScanOptions<'a> {
    /// The bounds.
    pub limits: Limits,
    /// The user's decisions.
    pub policy: Policy,
    /// Threads; 0 for one a core.
    pub jobs: usize,
    /// Who wants to know how far it is.
    pub progress: Option<&'a dyn Progress>,
    /// Whether the SHA-256 of each file stands in the report.
    pub hash: bool,
}

/// Is told how far a scan is, from any thread.
pub trait Progress: Sync {
    /// So many more files and bytes were found.
    fn found(&self, files: u64, bytes: u64);
    /// A file of that size was looked at.
    fn done(&self, path: &Path, bytes: u64);
}

/// The operating system or the caller, never the bytes.
#[derive(Debug)]
pub enum Error {
    /// The path could not be read.
    Io(std::io::Error),
    /// There is no such member.
    NoMember(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NoMember(name) => write!(f, "no member {name}"),
        }
    }
}

impl std::error::Error for Error {}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Its id.
    pub id: &'static str,
    /// The severity of its findings; the worst where it has several.
    pub severity: Severity,
    /// One sentence: lower case, no full stop.
    pub summary: &'static str,
    /// What it means and why it matters.
    pub why: &'static str,
    /// What it looks like.
    pub example: &'static str,
    /// What to do.
    pub help: &'static str,
}

/// All rules, sorted by id.
pub fn rules() -> &'static [Meta] {
    &[
        Meta {
            id: "unknown-callable",
            severity: Severity::Medium,
            summary: "a pickle calls something that is not known to be inert",
            why: "Loading the file calls it with arguments from the file. Nobody has looked at what it does.",
            example: "mylib.nn.Block(3)",
            help: "Look at the callable. If it is harmless, allow exactly this pair in modelscan.toml.",
        },
        Meta {
            id: "unsafe-callable",
            severity: Severity::Critical,
            summary: "a pickle calls something that does harm",
            why: "Loading the file calls it with arguments from the file: code of the file's author runs.",
            example: "posix.system('id')",
            help: "Do not load the file. Ask its author for safetensors.",
        },
    ]
}

/// Scans files and folders.
pub fn scan(paths: &[PathBuf], options: &ScanOptions<'_>) -> Report {
    let (mut artifacts, mut errors, mut read) = (Vec::new(), Vec::new(), 0);
    let mut todo: Vec<PathBuf> = paths.to_vec();
    while let Some(path) = todo.pop() {
        let shown = path.to_string_lossy().into_owned();
        if let Ok(entries) = std::fs::read_dir(&path) {
            todo.extend(entries.flatten().map(|entry| entry.path()));
            continue;
        }
        match std::fs::read(&path) {
            Err(error) => errors.push(ScanError { path: shown, message: error.to_string() }),
            Ok(bytes) => {
                read += bytes.len() as u64;
                if let Some(progress) = options.progress {
                    progress.found(1, bytes.len() as u64);
                    progress.done(&path, bytes.len() as u64);
                }
                let mut found = artifact(shown, &bytes, &options.policy);
                if options.hash {
                    use sha2::Digest;
                    let digest = sha2::Sha256::digest(&bytes);
                    found.sha256 = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
                }
                artifacts.push(found);
            }
        }
    }
    Report::new(artifacts, errors, read)
}

fn artifact(path: String, bytes: &[u8], policy: &Policy) -> ArtifactReport {
    let size = bytes.len() as u64;
    let (mut findings, mut not_read) = (Vec::new(), Vec::new());
    let known = [b"\x80".as_slice(), b"c", b"(", b"]", b"}"].iter().any(|start| bytes.starts_with(start));
    if !known || bytes.is_empty() {
        let (format, reason) =
            if bytes.is_empty() { ("empty", "empty file") } else { (UNKNOWN_FORMAT, "not a format that is known") };
        not_read.push(NotRead { member: None, offset: None, reason: reason.into() });
        let verdict = Verdict::NotScanned;
        return ArtifactReport { path, format, size, verdict, sha256: None, findings, not_read };
    }
    if bytes.last() != Some(&b'.') {
        not_read.push(NotRead { member: None, offset: Some(size), reason: "broken: no STOP".into() });
    }
    let mut verdict = if not_read.is_empty() { Verdict::Clean } else { Verdict::Unproven };
    for (offset, module, name) in globals(bytes) {
        let callable = format!("{module}.{name}");
        let bad = callable == "posix.system";
        let rule = if bad { "unsafe-callable" } else { "unknown-callable" };
        let alone = if bad { Verdict::Dangerous } else { Verdict::Unproven };
        verdict = verdict.max(alone);
        findings.push(Finding {
            rule,
            severity: if bad { Severity::Critical } else { Severity::Medium },
            member: None,
            offset: Some(offset),
            fingerprint: fingerprint(rule, &path, None, Some(&callable), Some(0)),
            message: format!("pickle imports {callable}"),
            evidence: Some(callable.clone()),
            lines: vec![
                Line { offset, text: format!("GLOBAL {module:?} {name:?}"), note: Some(callable.clone()) },
                Line { offset: offset + 20, text: "REDUCE".into(), note: None },
            ],
            callable: Some(callable),
            help: Some("do not load the file".into()),
            verdict: alone,
            suppressed: None,
            count: 0,
        });
    }
    policy.apply(&mut findings, &path, None);
    ArtifactReport { path, format: "pickle", size, verdict, sha256: None, findings, not_read }
}

fn globals(bytes: &[u8]) -> Vec<(u64, String, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in bytes.split(|byte| *byte == b'\n').collect::<Vec<_>>().windows(2) {
        if let [module, name] = line
            && let Some(start) = module.iter().position(|byte| *byte == b'c')
            && let (Some(module), name) = (module.get(start + 1..), name)
            && module.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'.')
        {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            found.push((at + start as u64, text(module), text(name)));
        }
        at += line.first().map_or(0, |line| line.len() as u64 + 1);
    }
    found
}

/// Says what is inside a file or one of its members.
///
/// # Errors
/// When the file cannot be read or has no such member.
pub fn inspect(path: &Path, member: Option<&str>, _options: &ScanOptions<'_>) -> Result<InspectReport, Error> {
    if let Some(member) = member {
        return Err(Error::NoMember(member.to_owned()));
    }
    let bytes = std::fs::read(path).map_err(Error::Io)?;
    let imports: Vec<_> = globals(&bytes)
        .into_iter()
        .map(|(offset, module, name)| ImportReport { module: Some(module), name: Some(name), offset, opcode: "GLOBAL" })
        .collect();
    Ok(InspectReport {
        schema: InspectReport::SCHEMA,
        path: path.to_string_lossy().into_owned(),
        format: "pickle",
        members: vec![],
        pickles: vec![PickleReport {
            member: None,
            start: 0,
            length: bytes.len() as u64,
            protocol: 0,
            end: "stop".into(),
            calls: imports
                .iter()
                .map(|_| CallReport { callable: Some("posix.system".into()), offset: 20, opcode: "REDUCE" })
                .collect(),
            imports,
            persistent_ids: 0,
        }],
        tensors: vec![],
        not_read: vec![],
    })
}

/// Prints an annotated listing of the pickles in a file or member, with what the findings say beside their opcodes.
///
/// # Errors
/// When the file cannot be read, has no such member, or the listing cannot be written.
pub fn disassemble(path: &Path, member: Option<&str>, _limits: &Limits, out: &mut dyn Write) -> Result<(), Error> {
    let report = inspect(path, member, &ScanOptions::default())?;
    for import in report.pickles.iter().flat_map(|pickle| &pickle.imports) {
        writeln!(out, "{:8} GLOBAL", import.offset).map_err(Error::Io)?;
    }
    Ok(())
}
