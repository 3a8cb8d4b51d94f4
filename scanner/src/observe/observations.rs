//! The observations of one artifact: facts, nested members, pickle streams, and bytes that were not read.

use crate::archive::ArchiveEntry;
use crate::fact::{Fact, Unread};
use crate::finding::RawFinding;
use crate::io::artifact::Artifact;
use crate::io::artifact::Role;
use crate::io::bounds::scan::MAX_TENSOR_HEAD_BYTES;
use crate::io::source::SharedSource;
use crate::observe::format_info::FormatInfo;
use crate::observe::layout::Layout;
use crate::pickle::{self, Event, FrameReading, Options, Trace};
use std::sync::Arc;

/// Follows the events of one pickle as they happen: a pickle of 10^8 events needs no memory for them. The implementation is in
/// `judge`; this room only carries its findings.
pub trait Listener: Send {
    /// Receives an event.
    fn event(&mut self, trace: &Trace, event: &Event);
    /// The findings on the stream, at its end.
    fn finish(self: Box<Self>, trace: &Trace) -> Vec<RawFinding>;
}

/// One pickle stream and its findings.
pub struct PickleStream {
    /// Its imports, calls and values.
    pub trace: Trace,
    /// Its findings.
    pub raw_findings: Vec<RawFinding>,
}

impl PickleStream {
    /// Whether following the pickle at `start` of `source` with these options would give this stream: the first
    /// reading, with arrays between opcodes, of the same bytes.
    fn is_of(&self, source: &SharedSource, start: u64, options: &Options<'_>) -> bool {
        let first = options.reading == FrameReading::Transparent && options.inline.is_some();
        first && self.trace.start == start && Arc::ptr_eq(&self.trace.source, source)
    }
}

/// What is kept besides the findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retain {
    /// All events of the traces: for `inspect`.
    pub events: bool,
    /// The layout of tensors: for the loader.
    pub layout: bool,
}

/// Collects what formats observe in an artifact.
pub struct Observations {
    listen: fn(&Artifact) -> Box<dyn Listener>,
    is_watched_key: fn(&str) -> bool,
    retain: Retain,
    /// The stream at the start of the artifact, if it was followed already.
    stream: Option<PickleStream>,
    /// Facts, with the byte offset inside the artifact where there is one.
    pub facts: Vec<(Option<u64>, Fact)>,
    /// What was not read: the offset and length where they are known, and why.
    pub unread: Vec<(Option<u64>, Unread)>,
    /// The pickle streams.
    pub pickles: Vec<PickleStream>,
    /// Nested artifacts, to be examined next.
    pub members: Vec<Member>,
    /// Number of members of raw tensor data without observations, which are not in [`Self::members`].
    pub skipped: usize,
    /// Tensors that the headers name.
    pub tensors: Vec<Tensor>,
    /// The layout of tensors, if [`Retain::layout`] is set.
    pub layout: Option<Layout>,
    /// The special format that a general container is of, known from its entries (a Keras model in a zip).
    pub refined_format: Option<RefinedFormat>,
}

/// A container that is of a more special format, as its entries show.
#[derive(Clone, Copy)]
pub struct RefinedFormat {
    /// The format of the container (zip).
    pub general: &'static FormatInfo,
    /// The format that it is of (a Keras model).
    pub special: &'static FormatInfo,
}

/// Something nested in an artifact.
pub struct Member {
    /// Its name inside the artifact.
    pub name: String,
    /// Where its bytes come from.
    pub content: MemberContent,
    /// Its role in the artifact.
    pub role: Role,
    /// The pickle at its start, if the format followed it already.
    pub stream: Option<PickleStream>,
}

/// The bytes of a member.
pub enum MemberContent {
    /// Available.
    Source(SharedSource),
    /// Unpacked when the member is examined.
    Entry(Box<dyn ArchiveEntry>),
}

/// A tensor as a header names it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tensor {
    /// Its name, or the path of keys to it.
    pub name: String,
    /// The name of its type in safetensors (`F32`, `BF16`), or in the format where safetensors has none.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
}

impl Observations {
    /// Without observations. `listen` makes the listener of a stream; `is_watched_key` is passed to
    /// [`Options::is_watched_key`].
    pub fn new(listen: fn(&Artifact) -> Box<dyn Listener>, is_watched_key: fn(&str) -> bool, keep: Retain) -> Self {
        Self {
            listen,
            is_watched_key,
            retain: keep,
            stream: None,
            facts: Vec::new(),
            unread: Vec::new(),
            pickles: Vec::new(),
            members: Vec::new(),
            skipped: 0,
            tensors: Vec::new(),
            layout: None,
            refined_format: None,
        }
    }

    /// With the stream at the start, if it was followed already.
    #[must_use]
    pub fn with_stream(self, stream: Option<PickleStream>) -> Self {
        Self { stream, ..self }
    }

    /// Follows the pickle at `start` of an artifact.
    pub fn follow(&self, artifact: &Artifact, start: u64, options: &Options<'_>) -> PickleStream {
        let mut listener = (self.listen)(artifact);
        let keep = self.retain.events;
        let options = &Options { is_watched_key: self.is_watched_key, ..*options };
        let trace = pickle::read(&artifact.source, start, options, &artifact.budget, &mut |trace, event| {
            listener.event(trace, event);
            keep
        });
        let raw_findings = listener.finish(&trace);
        PickleStream { trace, raw_findings }
    }

    /// Follows the pickle at `start` of an artifact and keeps the stream. Returns its index in [`Self::pickles`].
    pub fn add_pickle(&mut self, artifact: &Artifact, start: u64, options: &Options<'_>) -> usize {
        let stream = match self.stream.take() {
            Some(stream) if stream.is_of(&artifact.source, start, options) => stream,
            _ => self.follow(artifact, start, options),
        };
        // A file may be many pickles in a row, each with many values. Loaders ask for the values of the first one or of
        // the last ones.
        let old = self.pickles.len().checked_sub(2).filter(|old| *old > 0 && !self.retain.events);
        if let Some(old) = old.and_then(|old| self.pickles.get_mut(old)) {
            old.trace.drop_values();
        }
        self.pickles.push(stream);
        self.pickles.len() - 1
    }

    /// Sets the layout, if [`Retain::layout`] is set.
    pub fn layout(&mut self, layout: impl FnOnce() -> Layout) {
        if self.retain.layout {
            self.layout = Some(layout());
        }
    }

    /// Adds a fact.
    pub fn fact(&mut self, at: impl Into<Option<u64>>, fact: Fact) {
        self.facts.push((at.into(), fact));
    }

    /// Adds bytes that were not read, and why.
    pub fn unread(&mut self, at: impl Into<Option<u64>>, why: Unread) {
        self.unread.push((at.into(), why));
    }

    /// Adds a nested artifact.
    pub fn member(&mut self, name: impl Into<String>, source: SharedSource, role: Role) {
        self.members.push(Member { name: name.into(), content: MemberContent::Source(source), role, stream: None });
    }

    /// Adds raw tensor data. A checkpoint has thousands of records: where the first bytes are in memory and are of no
    /// format, the record is only counted.
    pub fn tensor_data(&mut self, name: &str, source: SharedSource) {
        let head = source
            .in_memory(0, MAX_TENSOR_HEAD_BYTES.min(usize::try_from(source.len()).unwrap_or(MAX_TENSOR_HEAD_BYTES)));
        if !self.retain.events && head.is_some_and(|head| pickle::literal::classify(head, false).is_none()) {
            self.skipped += 1;
        } else {
            self.member(name, source, Role::TensorData);
        }
    }
}

/// For tests of formats without pickles.
#[cfg(test)]
impl Default for Observations {
    fn default() -> Self {
        struct Silent;
        impl Listener for Silent {
            fn event(&mut self, _: &Trace, _: &Event) {}
            fn finish(self: Box<Self>, _: &Trace) -> Vec<RawFinding> {
                Vec::new()
            }
        }
        Self::new(|_| Box::new(Silent), |_| false, Retain::default())
    }
}
