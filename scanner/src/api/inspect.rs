//! What is inside a file, without an opinion: members, pickles with their imports and calls, tensors; and a listing of opcodes, with
//! what the findings say beside it.

use crate::examine::{Examination, examine};
use crate::io::budget::ScanBudget;
use crate::io::directory;
use crate::io::limits::Limits;
use crate::judge::report::{
    CallReport, ImportReport, InspectReport, MemberReport, NotRead, PickleReport, UNKNOWN_FORMAT,
};
use crate::observe::observations::Retain;
use crate::pickle::trace::{Action, Trace};
use crate::pickle::{listing, opcode, preview, value::Value};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// The operating system or the caller, never the bytes.
#[derive(Debug)]
pub enum Error {
    /// The path could not be read.
    Io(io::Error),
    /// There is no such member.
    NoMember(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NoMember(name) => write!(f, "there is no member {name}; `modelscan inspect` without it lists them"),
        }
    }
}

impl std::error::Error for Error {}

fn examine_path(path: &Path, limits: &Limits) -> Result<Examination, Error> {
    let (file, name) = directory::open_named(path).map_err(Error::Io)?;
    let budget = ScanBudget::start(Arc::new(limits.clone()));
    Ok(examine(Arc::new(file), &name, &budget, Retain { events: true, layout: false }))
}

/// Says what is inside a file or one of its members.
///
/// # Errors
/// When the file cannot be read or has no such member.
pub fn inspect(path: &Path, member: Option<&str>, limits: &Limits) -> Result<InspectReport, Error> {
    let examination = examine_path(path, limits)?;
    let chosen: Vec<_> = examination
        .artifacts
        .iter()
        .filter(|examined| match (member, examined.member_path.path()) {
            (None, _) => true,
            (Some(wanted), Some(path)) => {
                path == wanted || path.strip_prefix(wanted).is_some_and(|rest| rest.starts_with("::"))
            }
            (Some(_), None) => false,
        })
        .collect();
    if let (Some(wanted), true) = (member, chosen.is_empty()) {
        return Err(Error::NoMember(wanted.to_owned()));
    }
    let mut report = InspectReport {
        schema: InspectReport::SCHEMA,
        path: path.to_string_lossy().into_owned(),
        format: examination.artifacts.first().and_then(|root| root.format).unwrap_or(UNKNOWN_FORMAT),
        members: Vec::new(),
        pickles: Vec::new(),
        tensors: Vec::new(),
        not_read: Vec::new(),
    };
    for examined in chosen {
        let member = examined.member_path.path().map(str::to_owned);
        if let Some(member) = &member {
            let format = examined.format.unwrap_or(UNKNOWN_FORMAT);
            report.members.push(MemberReport { member: member.clone(), size: examined.size, format });
        }
        for stream in &examined.pickles {
            pickles(&stream.trace, member.as_deref(), &mut report.pickles);
        }
        report.tensors.extend(examined.tensors.iter().cloned());
        report.not_read.extend(examined.unread.iter().map(|(offset, why)| NotRead {
            member: member.clone(),
            offset: *offset,
            reason: why.to_string(),
        }));
    }
    report.members.sort_by(|a, b| a.member.cmp(&b.member));
    Ok(report)
}

/// The stream, and those that stand between its opcodes.
fn pickles(trace: &Trace, member: Option<&str>, out: &mut Vec<PickleReport>) {
    let mut todo = vec![trace];
    while let Some(trace) = todo.pop() {
        out.push(pickle(trace, member));
        todo.extend(trace.nested.iter().rev());
    }
}

fn pickle(trace: &Trace, member: Option<&str>) -> PickleReport {
    let (mut imports, mut calls) = (Vec::new(), Vec::new());
    for event in &trace.events {
        match event.action {
            Action::Import(id) => {
                let Some(callable) = trace.callables.get(id as usize) else { continue };
                imports.push(ImportReport {
                    module: callable.module.clone(),
                    name: callable.name.clone(),
                    offset: event.at,
                    opcode: opcode::name(event.opcode),
                });
            }
            Action::Call { callee, .. } => calls.push(CallReport {
                callable: match callee {
                    Value::Global(id) | Value::Instance(id) => Some(trace.callable_name(id)),
                    Value::Node(_) => Some(preview::value(trace, callee)),
                    _ => None,
                },
                offset: event.at,
                opcode: opcode::name(event.opcode),
            }),
        }
    }
    if trace.dropped_events > 0 {
        // Past the limit of events, each name stands once more, so that none is missing.
        imports.extend(trace.callables.iter().map(|callable| ImportReport {
            module: callable.module.clone(),
            name: callable.name.clone(),
            offset: trace.start,
            opcode: "GLOBAL",
        }));
    }
    PickleReport {
        member: member.map(str::to_owned),
        start: trace.start,
        length: trace.length,
        protocol: trace.protocol,
        end: trace.end.text(),
        imports,
        calls,
        persistent_ids: trace.persistent_ids,
    }
}

/// Prints an annotated listing of the pickles in a file or member, with what the findings say beside their opcodes.
///
/// # Errors
/// When the file cannot be read, has no such member, or the listing cannot be written.
pub fn disassemble(path: &Path, member: Option<&str>, limits: &Limits, out: &mut dyn Write) -> Result<(), Error> {
    let examination = examine_path(path, limits)?;
    let mut any = member.is_none();
    for examined in &examination.artifacts {
        if member.is_some() && examined.member_path.path() != member {
            continue;
        }
        any = true;
        let mut last = None;
        for stream in &examined.pickles {
            if last == Some(stream.trace.start) {
                continue;
            }
            last = Some(stream.trace.start);
            let place = examined.member_path.path().unwrap_or("the file itself");
            writeln!(out, "; {place}, pickle at {:#x}, {} bytes", stream.trace.start, stream.trace.length)
                .map_err(Error::Io)?;
            let notes = |at: u64| {
                let here = stream.raw_findings.iter().filter(|raw_finding| raw_finding.at == Some(at));
                let texts: Vec<String> = here
                    .map(|raw_finding| {
                        format!("{}[{}]: {}", raw_finding.severity.as_str(), raw_finding.rule, raw_finding.message)
                    })
                    .collect();
                (!texts.is_empty()).then(|| texts.join("; "))
            };
            listing::list(&stream.trace.source, stream.trace.start, &notes, out).map_err(Error::Io)?;
        }
    }
    match (any, member) {
        (false, Some(member)) => Err(Error::NoMember(member.to_owned())),
        _ => Ok(()),
    }
}
