//! What one look at one artifact yields: facts with their places, members to look at next, and what was not read.

use crate::archive::ArchiveEntry;
use crate::fact::{Fact, Unread};
use crate::io::artifact::Artifact;
use crate::io::artifact::Role;
use crate::io::bounds::scan::MAX_TENSOR_HEAD_BYTES;
use crate::io::source::SharedSource;
use crate::judge::finding::RawFinding;
use crate::observe::format_info::FormatInfo;
use crate::observe::layout::Layout;
use crate::pickle::{self, Event, Options, Reading, Trace};
use std::sync::Arc;

/// Hears every event of a pickle as it happens, and says in the end what is of concern. The machine knows no rule, and
/// a pickle of a hundred million events cannot be kept until somebody asks.
pub trait Listener: Send {
    /// Hears an event.
    fn event(&mut self, trace: &Trace, event: &Event);
    /// What is of concern in the stream.
    fn finish(self: Box<Self>, trace: &Trace) -> Vec<RawFinding>;
}

/// One pickle stream and what was of concern in it.
pub struct PickleStream {
    /// What it would do.
    pub trace: Trace,
    /// What is of concern.
    pub raw_findings: Vec<RawFinding>,
}

impl PickleStream {
    /// Whether it is what following the pickle at `start` of `source` in the first of its readings would give: the one with
    /// arrays between the opcodes, of the very same bytes.
    fn is_of(&self, source: &SharedSource, start: u64, options: &Options<'_>) -> bool {
        let first = options.reading == Reading::Transparent && options.inline.is_some();
        first && self.trace.start == start && Arc::ptr_eq(&self.trace.source, source)
    }
}

/// What is kept beside the findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retain {
    /// All events of the traces: for `inspect`.
    pub events: bool,
    /// Where the numbers stand: for the loader.
    pub layout: bool,
}

/// Collects what a format sees in an artifact.
pub struct Observations {
    listen: fn(&Artifact) -> Box<dyn Listener>,
    is_watched_key: fn(&str) -> bool,
    retain: Retain,
    /// The stream at the start of the artifact, where it was followed already.
    stream: Option<PickleStream>,
    /// Facts, with the byte offset inside the artifact where there is one.
    pub facts: Vec<(Option<u64>, Fact)>,
    /// What was not read: the offset and length where they are known, and why.
    pub unread: Vec<(Option<u64>, Unread)>,
    /// The pickle streams.
    pub pickles: Vec<PickleStream>,
    /// What is nested and is to be looked at next.
    pub members: Vec<Member>,
    /// Members that are none of [`Self::members`]: raw numbers of which nothing is to be said.
    pub skipped: usize,
    /// Tensors that the headers name.
    pub tensors: Vec<Tensor>,
    /// Where the numbers stand, if that is asked for.
    pub layout: Option<Layout>,
    /// The special format that a general container is of, known from its entries (a Keras model in a zip).
    pub refined_format: Option<&'static FormatInfo>,
}

/// Something nested in an artifact.
pub struct Member {
    /// Its name inside the artifact.
    pub name: String,
    /// Where its bytes come from.
    pub content: MemberContent,
    /// What the artifact says it is.
    pub role: Role,
    /// The pickle at its start, where whoever hands it on had to follow it.
    pub stream: Option<PickleStream>,
}

/// How to get at the bytes of a member.
pub enum MemberContent {
    /// They are there.
    Source(SharedSource),
    /// They are unpacked when the member's turn comes.
    Entry(Box<dyn ArchiveEntry>),
}

/// A tensor as a header names it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tensor {
    /// Its name, or the path of keys to it.
    pub name: String,
    /// Its type in the words of safetensors (`F32`, `BF16`), or of the format where safetensors has none.
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

    /// As [`Self::new`], where the stream at the start was followed already.
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
        PickleStream { trace, raw_findings: raw_findings }
    }

    /// Follows the pickle at `start` of an artifact, and keeps what was heard. Gives the index in `pickles`.
    pub fn add_pickle(&mut self, artifact: &Artifact, start: u64, options: &Options<'_>) -> usize {
        let stream = match self.stream.take() {
            Some(stream) if stream.is_of(&artifact.source, start, options) => stream,
            _ => self.follow(artifact, start, options),
        };
        // A file may be many pickles in a row, each with as many values as are kept of one. Whoever asks for them asks for
        // those of the first or of the last ones.
        let old = self.pickles.len().checked_sub(2).filter(|old| *old > 0 && !self.retain.events);
        if let Some(old) = old.and_then(|old| self.pickles.get_mut(old)) {
            old.trace.drop_values();
        }
        self.pickles.push(stream);
        self.pickles.len() - 1
    }

    /// States where the numbers stand, if anybody wants to know.
    pub fn layout(&mut self, layout: impl FnOnce() -> Layout) {
        if self.retain.layout {
            self.layout = Some(layout());
        }
    }

    /// States a fact.
    pub fn fact(&mut self, at: impl Into<Option<u64>>, fact: Fact) {
        self.facts.push((at.into(), fact));
    }

    /// States that something was not read.
    pub fn unread(&mut self, at: impl Into<Option<u64>>, why: Unread) {
        self.unread.push((at.into(), why));
    }

    /// Hands on nested bytes.
    pub fn member(&mut self, name: impl Into<String>, source: SharedSource, role: Role) {
        self.members.push(Member { name: name.into(), content: MemberContent::Source(source), role, stream: None });
    }

    /// Hands on raw numbers. A checkpoint has thousands of them: where their first bytes are known already and tell that
    /// they are no artifact, they are counted and that is all.
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

/// Hears nothing: for the tests of formats that hold no pickle.
#[cfg(test)]
impl Default for Observations {
    fn default() -> Self {
        Self::new(crate::judge::rule::calls::Calls::listen, |_| false, Retain::default())
    }
}
