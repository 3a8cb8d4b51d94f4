//! What one look at one artifact yields: facts with their places, members to look at next, and what was not read.

use crate::archive::Entry;
use crate::artifact::Role;
use crate::fact::{Fact, Unread};
use crate::pickle::Trace;
use crate::source::SharedSource;

/// Collects what a format sees in an artifact.
#[derive(Default)]
pub struct Seen {
    /// Facts, with the byte offset inside the artifact where there is one.
    pub facts: Vec<(Option<u64>, Fact)>,
    /// What was not read: the offset and length where they are known, and why.
    pub unread: Vec<(Option<u64>, Unread)>,
    /// The pickle streams.
    pub pickles: Vec<Trace>,
    /// What is nested and is to be looked at next.
    pub members: Vec<Member>,
    /// Tensors that the headers name.
    pub tensors: Vec<Tensor>,
}

/// Something nested in an artifact.
pub struct Member {
    /// Its name inside the artifact.
    pub name: String,
    /// Where its bytes come from.
    pub content: Content,
    /// What the artifact says it is.
    pub role: Role,
}

/// How to get at the bytes of a member.
pub enum Content {
    /// They are there.
    Source(SharedSource),
    /// They are unpacked when the member's turn comes.
    Entry(Box<dyn Entry>),
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

impl Seen {
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
        self.members.push(Member { name: name.into(), content: Content::Source(source), role });
    }
}
