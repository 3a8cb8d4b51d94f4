//! The trace of a pickle: the names it imports and the calls it makes, in order and with their offsets.

use super::heap::Heap;
use super::value::{Call, CallKind, CallableId, ContainerKind, Items, Node, NodeId, Value};
use crate::io::source::{SharedSource, read_vec};
use std::borrow::Cow;

/// A name that a stream imports, before the Python 2 mapping.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Callable {
    /// The module; `None` when the stream computes it.
    pub module: Option<String>,
    /// The name, dotted from protocol 4 on; `None` when the stream computes it.
    pub name: Option<String>,
    /// The protocol in force at the import: below 3 the Python 2 mapping applies, from 4 on dots are walked.
    pub protocol: u8,
}

impl Callable {
    /// Whether its module, a dot and its name are `name`.
    pub fn is_named(&self, name: &str) -> bool {
        let rest = self.module.as_deref().and_then(|module| name.strip_prefix(module)?.strip_prefix('.'));
        rest.is_some() && rest == self.name.as_deref()
    }
}

/// One thing a pickle would do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Offset of the opcode in the source.
    pub at: u64,
    /// The opcode.
    pub opcode: u8,
    /// What happens.
    pub action: Action,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// A name is imported.
    Import(CallableId),
    /// Something is called.
    Call {
        /// How.
        how: CallKind,
        /// What: a global, or what an earlier call made.
        callee: Value,
        /// With what: the argument tuple, the state, the item, the key, the persistent id.
        args: Value,
    },
}

/// Something on which unpicklers disagree, or that no pickler writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// Offset of the opcode.
    pub at: u64,
    /// What it is, as a sentence without a full stop.
    pub what: String,
    /// Whether different unpicklers go different ways there, rather than refuse or agree.
    pub readers_disagree: bool,
}

/// How a stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEnd {
    /// At STOP.
    Stop,
    /// It breaks: every unpickler refuses there. What came before has happened.
    Broken(String),
    /// A limit of the scan was hit.
    Limit(String),
    /// The bytes could not be read.
    Io(String),
}

impl StreamEnd {
    /// The stream breaks, for this reason.
    pub(super) fn broken(why: impl Into<String>) -> Self {
        Self::Broken(why.into())
    }

    /// As `inspect` shows it.
    pub fn text(&self) -> String {
        match self {
            Self::Stop => "stop".to_owned(),
            Self::Broken(why) | Self::Limit(why) | Self::Io(why) => why.clone(),
        }
    }
}

/// A text or bytes literal that may itself be an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Offset of its first byte.
    pub at: u64,
    /// How many bytes.
    pub len: u64,
    /// What it looks like.
    pub kind: super::literal::LiteralKind,
}

/// A raw array between the opcodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InlineArray {
    /// What it belongs to.
    pub node: NodeId,
    /// Where it starts, padding included.
    pub start: u64,
    /// Where the opcodes go on.
    pub end: u64,
}

/// What one pickle stream would do.
pub struct Trace {
    /// The bytes it was read from.
    pub source: SharedSource,
    /// Offset of the first opcode.
    pub start: u64,
    /// Bytes read, STOP included.
    pub length: u64,
    /// The last protocol that the stream set; 0 without PROTO.
    pub protocol: u8,
    /// How it ends.
    pub end: StreamEnd,
    /// The different names it asks for, in order.
    pub callables: Vec<Callable>,
    /// Imports and calls kept, in order.
    pub events: Vec<Event>,
    /// Events that were not kept.
    pub dropped_events: u64,
    /// The values kept.
    pub heap: Heap,
    /// What the load returns.
    pub root: Option<Value>,
    /// Disagreements and what no pickler writes.
    pub anomalies: Vec<Anomaly>,
    /// How many persistent ids it asks the loader for.
    pub persistent_ids: u64,
    /// The ids, as far as they were kept.
    pub persistent: Vec<Value>,
    /// Opcodes read.
    pub opcodes: u64,
    /// Literals to be looked into.
    pub literals: Vec<Literal>,
    /// Where the lossy reading of frames sees other bytes than the transparent one.
    pub argument_across_frame: Option<u64>,
    /// Raw arrays between the opcodes (joblib).
    pub arrays: Vec<InlineArray>,
    /// Pickles between the opcodes (joblib's object arrays).
    pub nested: Vec<Trace>,
}

impl Trace {
    /// Drops the values: they were judged and are not needed any more.
    pub fn drop_values(&mut self) {
        self.heap.clear();
        (self.persistent, self.nested) = (Vec::new(), Vec::new());
    }

    /// The text of a value, when it is a text of at most `max` bytes as written.
    pub fn text(&self, value: Value, max: usize) -> Option<String> {
        self.short_text(value, max).map(Cow::into_owned)
    }

    /// As [`Trace::text`], without a copy where the bytes are in memory: a checkpoint has tens of thousands of short texts.
    pub fn short_text(&self, value: Value, max: usize) -> Option<Cow<'_, str>> {
        let Value::Text { encoding, len, at } = value else {
            return None;
        };
        if len as usize > max {
            return None;
        }
        if let Some(bytes) = self.source.in_memory(at, len as usize) {
            return super::text::decode_borrowed(encoding, bytes);
        }
        let bytes = read_vec(self.source.as_ref(), at, len as usize).ok()?;
        (bytes.len() == len as usize).then(|| super::text::decode(encoding, &bytes).map(Cow::Owned))?
    }

    /// A literal container and its items.
    pub fn container(&self, value: Value) -> Option<(ContainerKind, &Items)> {
        let Value::Node(id) = value else { return None };
        match self.heap.get(id)? {
            Node::Container { kind, items } => Some((*kind, items)),
            Node::Call(_) => None,
        }
    }

    /// The items of a literal tuple.
    pub fn tuple(&self, value: Value) -> Option<&Items> {
        self.container(value).filter(|(kind, _)| *kind == ContainerKind::Tuple).map(|(_, items)| items)
    }

    /// The call that made a value.
    pub fn made(&self, value: Value) -> Option<&Call> {
        let Value::Node(id) = value else { return None };
        match self.heap.get(id)? {
            Node::Call(call) => Some(call),
            Node::Container { .. } => None,
        }
    }

    /// The name of a callable as `module.name`, with `?` for computed parts.
    pub fn callable_name(&self, id: CallableId) -> String {
        match self.callables.get(id as usize) {
            Some(Callable { module, name, .. }) => {
                format!("{}.{}", module.as_deref().unwrap_or("?"), name.as_deref().unwrap_or("?"))
            }
            None => "?".to_owned(),
        }
    }
}
