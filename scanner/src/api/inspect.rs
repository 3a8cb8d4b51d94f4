//! What is inside a file, without an opinion: members, pickles with their imports and calls, tensors; and a listing of opcodes, with
//! what the findings say beside it.

use crate::archive::directory;
use crate::examine::{Examination, examine};
use crate::io::artifact::Watch;
use crate::io::limits::Limits;
use crate::judge::report::{
    CallReport, ImportReport, InspectReport, MemberReport, NotRead, PickleReport, UNKNOWN_FORMAT,
};
use crate::observe::observations::Keep;
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
    let watch = Watch::start(Arc::new(limits.clone()));
    Ok(examine(Arc::new(file), &name, &watch, Keep { events: true, layout: false }))
}

/// Says what is inside a file or one of its members.
///
/// # Errors
/// When the file cannot be read or has no such member.
pub fn inspect(path: &Path, member: Option<&str>, limits: &Limits) -> Result<InspectReport, Error> {
    let examination = examine_path(path, limits)?;
    let chosen: Vec<_> = examination
        .looked
        .iter()
        .filter(|looked| match (member, looked.chain.path()) {
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
        format: examination.looked.first().and_then(|root| root.format).unwrap_or(UNKNOWN_FORMAT),
        members: Vec::new(),
        pickles: Vec::new(),
        tensors: Vec::new(),
        not_read: Vec::new(),
    };
    for looked in chosen {
        let member = looked.chain.path().map(str::to_owned);
        if let Some(member) = &member {
            let format = looked.format.unwrap_or(UNKNOWN_FORMAT);
            report.members.push(MemberReport { member: member.clone(), size: looked.size, format });
        }
        for heard in &looked.pickles {
            pickles(&heard.trace, member.as_deref(), &mut report.pickles);
        }
        report.tensors.extend(looked.tensors.iter().cloned());
        report.not_read.extend(looked.unread.iter().map(|(offset, why)| NotRead {
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
    if trace.dropped > 0 {
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
    for looked in &examination.looked {
        if member.is_some() && looked.chain.path() != member {
            continue;
        }
        any = true;
        let mut last = None;
        for heard in &looked.pickles {
            if last == Some(heard.trace.start) {
                continue;
            }
            last = Some(heard.trace.start);
            let place = looked.chain.path().unwrap_or("the file itself");
            writeln!(out, "; {place}, pickle at {:#x}, {} bytes", heard.trace.start, heard.trace.length)
                .map_err(Error::Io)?;
            let notes = |at: u64| {
                let here = heard.concerns.iter().filter(|concern| concern.at == Some(at));
                let texts: Vec<String> = here
                    .map(|concern| format!("{}[{}]: {}", concern.severity.as_str(), concern.rule, concern.message))
                    .collect();
                (!texts.is_empty()).then(|| texts.join("; "))
            };
            listing::list(&heard.trace.source, heard.trace.start, &notes, out).map_err(Error::Io)?;
        }
    }
    match (any, member) {
        (false, Some(member)) => Err(Error::NoMember(member.to_owned())),
        _ => Ok(()),
    }
}
