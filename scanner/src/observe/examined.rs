//! The result of an examination: every artifact in a file, with what was seen in it.

use crate::fact::{Fact, Unread};
use crate::io::member_path::MemberPath;
use crate::observe::format_info::{FormatInfo, TensorStore};
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
    tensor_store: Option<TensorStore>,
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
    /// Where its tensors are read from, if its format has any.
    pub fn tensor_store(&self) -> Option<TensorStore> {
        self.tensor_store
    }

    /// States the format that names it.
    pub(crate) fn set_format(&mut self, format: Option<&'static FormatInfo>) {
        self.format = format.map(|format| format.id);
        self.tensor_store = format.and_then(|format| format.tensors);
    }

    /// Keeps the values of its pickles while `heap`, the bytes of all values of the file, is at most `limit`.
    pub(crate) fn drop_values_over(&mut self, heap: &mut usize, limit: usize) {
        for stream in &mut self.pickles {
            *heap = heap.saturating_add(stream.trace.heap.bytes());
            if *heap > limit {
                stream.trace.drop_values();
            }
        }
    }

    /// Whether anything was seen in it.
    pub(crate) fn is_noteworthy(&self) -> bool {
        let nothing = self.facts.is_empty() && self.unread.is_empty() && self.pickles.is_empty();
        !(nothing && self.members.is_empty() && self.skipped == 0 && self.layout.is_none())
    }

    pub(crate) fn empty(member_path: MemberPath, size: u64) -> Self {
        Self {
            member_path,
            size,
            format: None,
            tensor_store: None,
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
