//! Pickle streams, one or several in a row, plain or by joblib.
//!
//! A stream is recognized by following it: names and extensions prove nothing, and protocol 0 has no magic number.
//! Reading goes on after STOP, because loaders call `load` again (legacy torch reads five streams) and a payload may
//! wait there.

use super::readers::joblib_array;
use super::{Format, Head, Recognition};
use crate::fact::{Fact, Unread};
use crate::io::artifact::{Artifact, Role};
use crate::io::bounds::format::{
    MAX_LATE_START_BYTES, MAX_PICKLE_PADDING_BYTES, MAX_PROBED_HEAP_BYTES, MAX_PROBED_MEMO_BYTES, MAX_PROBED_OPCODES,
    MAX_RESYNC_PROBES,
};
use crate::io::budget::ScanBudget;
use crate::io::source::{BlockCache, Memory, SharedSource, Window, read_vec};
use crate::observe::format_info::{FormatInfo, Library, TensorStore};
use crate::observe::observations::Observations;
use crate::pickle::literal::{self, LiteralKind, unbase64};
use crate::pickle::trace::{Literal, StreamEnd, Trace};
use crate::pickle::{self, Action, FrameReading, Options};
use std::sync::Arc;

/// Pickle.
pub struct Pickle;

/// Pickle, by Python or by joblib.
pub static INFO: FormatInfo = FormatInfo {
    id: "pickle",
    name: "Python pickle, joblib",
    extensions: &["pkl", "pickle", "joblib", "dill", "sav", "pt", "pth"],
    can_run_code: true,
    library: Library::Pickle,
    tensors: Some(TensorStore::Pickle),
    doc_judged: "every import and call",
    doc_converted: "yes",
    ..FormatInfo::DATA
};

impl Format for Pickle {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        let artifact = head.artifact;
        let here = recognize(artifact, head.start, 0);
        let zip = head.start.starts_with(b"PK\x03\x04");
        if here != Recognition::No || artifact.role != Role::Unknown || zip {
            return here;
        }
        if late_start(artifact, head.start).is_some() {
            return Recognition::Possible;
        }
        // A broken stub under a pickle's name is a broken pickle rather than nothing.
        let extension = artifact.name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let opcode = head.start.first().is_some_and(|byte| pickle::opcode::lookup(*byte).is_some());
        let claimed = extension.is_some_and(|extension| INFO.extensions.contains(&extension.as_str()));
        if claimed && opcode { Recognition::Possible } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let head = read_vec(artifact.source.as_ref(), 0, 4096).unwrap_or_default();
        let start = match recognize(artifact, &head, 0) {
            Recognition::No => late_start(artifact, &head),
            _ => None,
        };
        if let Some(start) = start {
            observations
                .fact(0, Fact::TrailingData { length: start, what: "bytes of no format before a pickle".to_owned() });
        }
        if artifact.source.in_memory(0, 1).is_some() {
            return streams(artifact, observations, start.unwrap_or(0));
        }
        let recent = Arc::new(BlockCache::new(artifact.source.clone()));
        let read = Artifact { source: recent.clone(), ..artifact.clone() };
        streams(&read, observations, start.unwrap_or(0));
        recent.forget();
    }
}

/// Whether a stream starts at `start`, whose first bytes are `head`.
fn recognize(artifact: &Artifact, head: &[u8], start: u64) -> Recognition {
    // As a pickle, a zip starts with a persistent id, which unpicklers reject unless told how to load it; and torch
    // looks for a zip first.
    if head.starts_with(b"PK\x03\x04") {
        return Recognition::No;
    }
    let binary = match head {
        [0x80, _, next, ..] => pickle::opcode::lookup(*next).is_some(),
        [0x80, _] => true,
        [first, ..] => {
            if pickle::opcode::lookup(*first).is_none() {
                return Recognition::No;
            }
            false
        }
        [] => return Recognition::No,
    };
    let known = matches!(head, [0x80, 0..=5, ..]) && binary;
    if known && artifact.role == Role::Unknown && start == 0 {
        return Recognition::Certain;
    }
    let trace = probe(artifact, start);
    let named = trace.callables.iter().any(|callable| {
        let name = |text: &Option<String>| {
            text.as_deref()
                .is_none_or(|text| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "._<>".contains(c)))
        };
        name(&callable.module) && name(&callable.name)
    });
    let acted = named || trace.events.iter().any(|event| !matches!(event.action, Action::Import(_)));
    match (&trace.end, artifact.role) {
        (StreamEnd::Stop | StreamEnd::Limit(_), Role::Unknown) if trace.opcodes > 1 => Recognition::Certain,
        (StreamEnd::Stop | StreamEnd::Limit(_), _) if acted || known && artifact.role == Role::Literal => {
            Recognition::Certain
        }
        (StreamEnd::Broken(_), _) if named => Recognition::Certain,
        (StreamEnd::Broken(_), Role::Unknown) if known || binary && acted => Recognition::Certain,
        (StreamEnd::Broken(_), Role::Unknown)
            if trace.opcodes >= 4 && trace.start + trace.length >= artifact.source.len() =>
        {
            Recognition::Possible
        }
        _ => Recognition::No,
    }
}

/// Where a pickle that imports something starts behind a few other bytes: a NUL, a byte order mark, a line of text. No
/// unpickler takes it so, but a loader may skip them.
fn late_start(artifact: &Artifact, head: &[u8]) -> Option<u64> {
    let start = head.get(..MAX_LATE_START_BYTES.min(head.len())).unwrap_or_default();
    let starts = (1..start.len()).filter(|at| {
        let rest = head.get(*at..).unwrap_or_default();
        literal::classify(rest.get(..32.min(rest.len())).unwrap_or_default(), false) == Some(LiteralKind::Raw)
            && matches!(rest.first(), Some(0x80 | b'c' | b'(' | b'i'))
    });
    starts.map(|at| at as u64).find(|at| {
        let trace = probe(artifact, *at);
        let named = |text: &Option<String>| {
            text.as_deref()
                .is_some_and(|text| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "._".contains(c)))
        };
        trace.end == StreamEnd::Stop
            && trace.callables.iter().any(|callable| named(&callable.module) && named(&callable.name))
    })
}

/// Follows the first opcodes only.
fn probe(artifact: &Artifact, start: u64) -> Trace {
    let mut limits = (*artifact.budget.limits).clone();
    limits.heap_bytes = MAX_PROBED_HEAP_BYTES;
    limits.memo_bytes = MAX_PROBED_MEMO_BYTES;
    let budget = ScanBudget::start(Arc::new(limits));
    let options = Options { max_opcodes: MAX_PROBED_OPCODES, ..FIRST_READING };
    pickle::read(&artifact.source, start, &options, &budget, &mut |trace, _| trace.events.len() < 16)
}

/// Follows all streams from `start` on. Bytes after the last one are stated as a fact.
pub fn streams(artifact: &Artifact, observations: &mut Observations, start: u64) {
    let end = artifact.source.len();
    let mut at = start;
    let mut count = 0;
    loop {
        if count == artifact.budget.limits.streams {
            // As a nested artifact, the rest would be as many streams again, at every depth.
            return observations.unread(at, Unread::Limit(format!("more than {count} pickles in a row")));
        }
        count += 1;
        at = stream(artifact, observations, at);
        if at >= end {
            return;
        }
        let head = read_vec(artifact.source.as_ref(), at, 32).unwrap_or_default();
        let broken = observations.pickles.last().is_some_and(|stream| stream.trace.end != StreamEnd::Stop);
        if broken || recognize(artifact, &head, at) != Recognition::Certain {
            break;
        }
    }
    let stopped = observations.pickles.last().is_none_or(|stream| stream.trace.end == StreamEnd::Stop);
    match resync(artifact, at) {
        Some(next) if next != at => {
            stream(artifact, observations, next);
            let what = format!("bytes of no format, then another pickle at {next}");
            observations.fact(at, Fact::TrailingData { length: end - at, what });
        }
        _ if stopped && !padding(artifact, at) => {
            observations.fact(at, Fact::TrailingData { length: end - at, what: "no pickle".to_owned() });
            observations.member(
                format!("(behind {at})"),
                Arc::new(Window::new(artifact.source.clone(), at, end - at)),
                Role::Literal,
            );
        }
        _ => {}
    }
}

/// The first reading of each stream.
pub const FIRST_READING: Options<'static> = Options { inline: Some(&joblib_array::inline), ..Options::PLAIN };

/// Follows one stream under every reading there is of it; returns where it ends.
pub fn stream(artifact: &Artifact, observations: &mut Observations, start: u64) -> u64 {
    let index = observations.add_pickle(artifact, start, &FIRST_READING);
    let Some(stream) = observations.pickles.get(index) else { return artifact.source.len() };
    let trace = &stream.trace;
    let next = start + trace.length.max(1);
    let (straddled, arrays) =
        (trace.argument_across_frame.is_some(), !trace.arrays.is_empty() || !trace.nested.is_empty());
    match &trace.end {
        StreamEnd::Stop => {}
        StreamEnd::Broken(why) => observations.unread.push((Some(next), Unread::Broken(why.clone()))),
        StreamEnd::Limit(what) => observations.unread.push((Some(next), Unread::Limit(what.clone()))),
        StreamEnd::Io(error) => observations.unread.push((Some(next), Unread::Io(error.clone()))),
    }
    // A stream that no known unpickler accepts counts as broken, though it is followed further for the unknown ones.
    let refused = trace
        .anomalies
        .iter()
        .find(|anomaly| !anomaly.readers_disagree)
        .map(|anomaly| (anomaly.at, anomaly.what.clone()));
    observations.unread.extend(refused.map(|(at, what)| (Some(at), Unread::Broken(what))));
    literals(artifact, observations, index);
    if straddled {
        observations.add_pickle(artifact, start, &Options { reading: FrameReading::Lossy, ..FIRST_READING });
    }
    if arrays {
        // Plain `pickle.load` reads the arrays as opcodes. On honest files it breaks at once, which is not worth a
        // finding.
        let plain = observations.add_pickle(artifact, start, &Options { inline: None, ..FIRST_READING });
        let broke =
            observations.pickles.get(plain).is_some_and(|stream| matches!(stream.trace.end, StreamEnd::Broken(_)));
        if broke && let Some(stream) = observations.pickles.get_mut(plain) {
            stream.raw_findings.retain(|raw_finding| raw_finding.rule != "malformed-pickle");
        }
    }
    next
}

fn literals(artifact: &Artifact, observations: &mut Observations, index: usize) {
    let Some(stream) = observations.pickles.get(index) else { return };
    let found: Vec<Literal> = stream.trace.literals.clone();
    for Literal { at, len, kind: look } in found {
        let max = artifact.budget.limits.member_memory;
        let text = || {
            read_vec(artifact.source.as_ref(), at, usize::try_from(len).unwrap_or(usize::MAX).min(max))
                .unwrap_or_default()
        };
        let source: SharedSource = match look {
            LiteralKind::Raw => Arc::new(Window::new(artifact.source.clone(), at, len)),
            LiteralKind::Latin1 => {
                let text = text();
                let text = String::from_utf8_lossy(&text);
                let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
                Arc::new(Memory::new(bytes))
            }
            LiteralKind::Base64 => Arc::new(Memory::new(unbase64(&text()))),
            LiteralKind::Code => {
                let what = "a marshalled code object inside a pickle".to_owned();
                observations.fact(at, Fact::EmbeddedProgram { what });
                continue;
            }
        };
        observations.member(format!("(literal at {at})"), source, Role::Literal);
    }
}

/// Where the next stream could start: a PROTO opcode that a stream follows, within the bytes searched.
fn resync(artifact: &Artifact, from: u64) -> Option<u64> {
    let end = artifact.source.len().min(from.saturating_add(artifact.budget.limits.resync_bytes));
    let mut at = from;
    let mut tried = 0;
    while at < end && !artifact.budget.expired() {
        let chunk = read_vec(artifact.source.as_ref(), at, 1 << 16).ok()?;
        for (index, window) in chunk.windows(3).enumerate() {
            let [0x80, 2..=5, next] = window else { continue };
            let here = at + index as u64;
            if pickle::opcode::lookup(*next).is_none() || here == from {
                continue;
            }
            tried += 1;
            if tried > MAX_RESYNC_PROBES {
                return None;
            }
            let trace = probe(artifact, here);
            if !trace.callables.is_empty() || matches!(trace.end, StreamEnd::Stop) && trace.opcodes > 3 {
                return Some(here);
            }
        }
        at += (chunk.len() as u64).saturating_sub(2).max(1);
        if chunk.len() < 3 {
            break;
        }
    }
    None
}

/// Whether all that is left, a page at most, is zeros or line ends.
fn padding(artifact: &Artifact, at: u64) -> bool {
    let rest = artifact.source.len().saturating_sub(at);
    let bytes = read_vec(artifact.source.as_ref(), at, MAX_PICKLE_PADDING_BYTES).unwrap_or_default();
    rest <= MAX_PICKLE_PADDING_BYTES as u64 && bytes.iter().all(|byte| matches!(byte, 0 | b'\n' | b'\r'))
}
