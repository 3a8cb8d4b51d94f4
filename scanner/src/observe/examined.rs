//! The result of an examination: every artifact in a file, with what was seen in it.

use crate::io::member_path::MemberPath;
use crate::observe::fact::{Fact, Unread};
use crate::observe::layout::Layout;
use crate::observe::observations::{Member, PickleStream, Tensor};

/// One artifact: the file itself or a member of it.
pub struct ExaminedArtifact {
    /// The path inside the file.
    pub member_path: MemberPath,
    /// Bytes.
    pub size: u64,
    /// The id of its format, if any claims it.
    pub format: Option<&'static str>,
    /// Facts, with the byte offset where there is one.
    pub facts: Vec<(Option<u64>, Fact)>,
    /// What was not read, with the byte offset where there is one.
    pub unread: Vec<(Option<u64>, Unread)>,
    /// Pickle streams.
    pub pickles: Vec<PickleStream>,
    /// Tensors that a header names.
    pub tensors: Vec<Tensor>,
    /// Offsets of the tensor data, on request.
    pub layout: Option<Layout>,
    /// Members that are examined next.
    pub(crate) members: Vec<Member>,
    /// How many members hold raw tensor data and nothing else.
    pub(crate) skipped: usize,
    /// Bytes that were unpacked to get at it.
    pub(crate) unpacked: u64,
}

/// All artifacts of a file.
pub struct Examination {
    /// The file itself first, then its members, level by level in order.
    pub artifacts: Vec<ExaminedArtifact>,
}

impl ExaminedArtifact {
    /// Keeps the values of its pickles while `heap`, the bytes of all values of the file, is at most `limit`.
    pub(crate) fn forget_over(&mut self, heap: &mut usize, limit: usize) {
        for stream in &mut self.pickles {
            *heap = heap.saturating_add(stream.trace.heap.bytes());
            if *heap > limit {
                stream.trace.forget();
            }
        }
    }

    /// Whether anything was seen in it.
    pub(crate) fn matters(&self) -> bool {
        let nothing = self.facts.is_empty() && self.unread.is_empty() && self.pickles.is_empty();
        !(nothing && self.members.is_empty() && self.skipped == 0 && self.layout.is_none())
    }

    pub(crate) fn empty(member_path: MemberPath, size: u64) -> Self {
        Self {
            member_path,
            size,
            format: None,
            facts: Vec::new(),
            unread: Vec::new(),
            pickles: Vec::new(),
            tensors: Vec::new(),
            layout: None,
            members: Vec::new(),
            skipped: 0,
            unpacked: 0,
        }
    }
}
