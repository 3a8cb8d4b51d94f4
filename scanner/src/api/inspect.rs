//! The content of a file without a verdict: members, pickles with their imports and calls, tensors. And a listing of opcodes with
//! the findings beside them.

use crate::error::Error;
use crate::examine::examine;
use crate::finding::RawFinding;
use crate::io::budget::ScanBudget;
use crate::io::directory;
use crate::io::limits::Limits;
use crate::judge::report::{
    CallReport, ImportReport, InspectReport, MemberReport, NotRead, PickleReport, UNKNOWN_FORMAT,
};
use crate::observe::examined::Examination;
use crate::observe::observations::Retain;
use crate::pickle::trace::{Action, Trace};
use crate::pickle::{listing, opcode, preview, value::Value};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

fn examine_path(path: &Path, limits: &Limits) -> Result<Examination, Error> {
    let (file, name) = directory::open_named(path).map_err(Error::io(path))?;
    let budget = ScanBudget::start(Arc::new(limits.clone()));
    Ok(examine(Arc::new(file), &name, &budget, Retain { events: true, layout: false }))
}

fn no_member(path: &Path, member: &str) -> Error {
    Error::NoMember { path: path.to_owned(), member: member.to_owned() }
}

/// Lists the content of a file or of one of its members.
///
/// # Errors
/// [`Error::Io`] or [`Error::NoMember`].
pub fn inspect(path: &Path, member: Option<&str>, limits: &Limits) -> Result<InspectReport, Error> {
    let examination = examine_path(path, limits)?;
    let chosen: Vec<_> = examination
        .artifacts
        .iter()
        .filter(|examined| match (member, examined.member_path.path()) {
            (None, _) => true,
            (Some(requested), Some(inner)) => {
                inner == requested || inner.strip_prefix(requested).is_some_and(|rest| rest.starts_with("::"))
            }
            (Some(_), None) => false,
        })
        .collect();
    if let (Some(requested), true) = (member, chosen.is_empty()) {
        return Err(no_member(path, requested));
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

/// Adds a stream and those between its opcodes.
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
        // Events beyond the limit are dropped, so each name is listed once more.
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

/// Prints the opcodes of the pickles in a file or member, with the findings beside them.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read or the listing cannot be written, or [`Error::NoMember`].
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
            let shown = examined.member_path.path().unwrap_or("the file itself");
            writeln!(out, "; {shown}, pickle at {:#x}, {} bytes", stream.trace.start, stream.trace.length)
                .map_err(Error::io(path))?;
            let notes = |at: u64| {
                let findings = stream.raw_findings.iter().filter(|finding| finding.at == Some(at));
                let text = |finding: &RawFinding| {
                    format!("{}[{}]: {}", finding.severity.as_str(), finding.rule, finding.message)
                };
                let texts: Vec<String> = findings.map(text).collect();
                (!texts.is_empty()).then(|| texts.join("; "))
            };
            listing::list(&stream.trace.source, stream.trace.start, &notes, out).map_err(Error::io(path))?;
        }
    }
    match (any, member) {
        (false, Some(member)) => Err(no_member(path, member)),
        _ => Ok(()),
    }
}
