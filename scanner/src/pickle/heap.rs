//! The arena of nodes. The memo and the stack hold ids, so that a later SETITEM or BUILD applies to every alias, as in
//! CPython. The heap counts its bytes: past the limit, values become opaque and nothing else changes.

use super::value::{Call, ContainerKind, Items, Node, NodeId, Value};
use crate::io::bounds::pickle::MAX_FOLLOWED_ARGUMENTS;
use std::collections::{HashMap, HashSet};

/// All nodes of one stream.
#[derive(Debug, Default)]
pub struct Heap {
    /// In chunks that stay where they are: one array that grows would be copied again and again.
    chunks: Vec<Vec<Slot>>,
    len: usize,
    heaviest: u64,
    bytes: usize,
    limit: usize,
    items: usize,
    overflowed: bool,
    ids_only: bool,
    /// Lists, dicts and sets that were arguments of a call, and whether the containers in them were noted too.
    captured: HashMap<NodeId, bool>,
    /// Those of them that were changed after the call.
    changed_after: HashSet<NodeId>,
    pending: Vec<(Value, u8)>,
}

/// A node and the number of values when everything in it is written out, as often as it is shared.
#[derive(Debug)]
struct Slot {
    node: Node,
    expanded_len: u64,
}

const CHUNK_NODES: usize = 512;
const NODE_BYTES: usize = size_of::<Node>() + size_of::<u64>();
const VALUE_BYTES: usize = size_of::<Value>();

impl Heap {
    /// A heap of at most `limit` bytes, keeping at most `items` items of a container.
    pub fn new(limit: usize, items: usize) -> Self {
        Self { limit, items, ..Self::default() }
    }

    /// Keeps nothing but what may be a persistent id of torch: a tuple of five values or more, the first of them a text. All
    /// else is opaque from the start, as it would be in a heap that is full.
    #[must_use]
    pub fn only_persistent_ids(self) -> Self {
        Self { ids_only: true, ..self }
    }

    /// Bytes of all kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps nothing any more.
    pub fn clear(&mut self) {
        (self.chunks, self.len, self.bytes, self.overflowed) = (Vec::new(), 0, 0, true);
        (self.captured, self.changed_after) = (HashMap::new(), HashSet::new());
    }

    /// Whether something was not kept because the heap was full.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// A node.
    #[inline]
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        self.slot(id).map(|slot| &slot.node)
    }

    #[inline]
    fn slot(&self, id: NodeId) -> Option<&Slot> {
        let id = id as usize;
        self.chunks.get(id / CHUNK_NODES)?.get(id % CHUNK_NODES)
    }

    fn slot_mut(&mut self, id: NodeId) -> Option<&mut Slot> {
        let id = id as usize;
        self.chunks.get_mut(id / CHUNK_NODES)?.get_mut(id % CHUNK_NODES)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        if self.bytes.saturating_add(bytes) > self.limit {
            self.overflowed = true;
            return false;
        }
        self.bytes += bytes;
        true
    }

    /// Size of the largest value when everything in it is written out, as often as it is shared.
    pub fn max_expanded_len(&self) -> u64 {
        self.heaviest
    }

    fn expanded_len(&self, values: &[Value]) -> u64 {
        values.iter().fold(0, |sum: u64, value| {
            let expanded_len =
                if let Value::Node(id) = value { self.slot(*id).map_or(1, |slot| slot.expanded_len) } else { 1 };
            sum.saturating_add(expanded_len)
        })
    }

    fn push(&mut self, node: Node, expanded_len: u64) -> Option<Value> {
        let id = NodeId::try_from(self.len).ok()?;
        self.heaviest = self.heaviest.max(expanded_len);
        let slot = Slot { node, expanded_len };
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK_NODES) {
            Some(chunk) => chunk.push(slot),
            None => {
                // Most pickles have a handful of nodes: only later chunks are made at full length.
                let mut chunk = if self.chunks.is_empty() { Vec::new() } else { Vec::with_capacity(CHUNK_NODES) };
                chunk.push(slot);
                self.chunks.push(chunk);
            }
        }
        self.len += 1;
        Some(Value::Node(id))
    }

    /// A container of these items, of which `total` counts all.
    pub fn container(&mut self, kind: ContainerKind, items: &[Value], total: u64) -> Value {
        if self.ids_only && !(kind == ContainerKind::Tuple && matches!(items, [Value::Text { .. }, _, _, _, _, ..])) {
            return Value::Opaque(kind);
        }
        let kept = items.get(..items.len().min(self.items)).unwrap_or_default();
        if !self.reserve(NODE_BYTES + kept.len() * VALUE_BYTES) {
            return Value::Opaque(kind);
        }
        let expanded_len = self.expanded_len(items).saturating_add(1);
        let items = Items { kept: kept.to_vec(), total };
        self.push(Node::Container { kind, items }, expanded_len).unwrap_or(Value::Opaque(kind))
    }

    /// The result of a call.
    pub fn call(&mut self, call: Call) -> Value {
        let plain = match call.callee {
            Value::Global(id) => Value::Instance(id),
            _ => Value::Unknown,
        };
        let more = if call.has_more() { Call::MORE } else { 0 };
        if self.ids_only || !self.reserve(NODE_BYTES + size_of::<Call>() + more) {
            return plain;
        }
        let expanded_len = self.expanded_len(&[call.args, call.kwargs()]).saturating_add(1);
        self.capture_items(call.args);
        self.push(Node::Call(Box::new(call)), expanded_len).unwrap_or(plain)
    }

    /// Adds items to a container or to the result of a call; `more` counts items forgotten.
    pub fn extend(&mut self, id: NodeId, added: &[Value], more: u64) {
        let limit = self.items;
        if self.captured.contains_key(&id) {
            self.changed_after.insert(id);
        }
        let expanded_len = self.expanded_len(added);
        if let Some(slot) = self.slot_mut(id) {
            slot.expanded_len = slot.expanded_len.saturating_add(expanded_len);
            let heaviest = slot.expanded_len;
            self.heaviest = self.heaviest.max(heaviest);
        }
        self.charge_more(id);
        let Some(items) = self.items_of(id) else {
            return;
        };
        let room = limit.saturating_sub(items.kept.len());
        // Items past the limit are counted only; a gap may not open before later ones.
        let keep = if items.complete() { added.len().min(room) } else { 0 };
        if keep > 0 && !self.reserve(keep * VALUE_BYTES) {
            if let Some(items) = self.items_of(id) {
                items.total += added.len() as u64 + more;
            }
            return;
        }
        if let Some(items) = self.items_of(id) {
            items.kept.extend_from_slice(added.get(..keep).unwrap_or_default());
            items.total += added.len() as u64 + more;
        }
    }

    /// Notes a state given by BUILD.
    pub fn build(&mut self, id: NodeId, state: Value) {
        if !self.reserve(VALUE_BYTES) {
            return;
        }
        self.charge_more(id);
        self.capture_items(state);
        if let Some(Slot { node: Node::Call(call), .. }) = self.slot_mut(id) {
            call.states_mut().push(state);
        }
    }

    /// Whether items were added to it after a call took those that were there: what the call made has fewer than are known.
    pub fn changed_after_capture(&self, value: Value) -> bool {
        matches!(value, Value::Node(id) if self.changed_after.contains(&id))
    }

    /// Notes the containers in `value`, the state or the arguments of a call, to the second level; in a list of pairs,
    /// the pairs.
    fn capture_items(&mut self, value: Value) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.push((value, 0));
        while let Some((value, depth)) = pending.pop() {
            let Value::Node(id) = value else { continue };
            let Some(Node::Container { kind, items }) = self.get(id) else { continue };
            let kind = *kind;
            let through = matches!(kind, ContainerKind::Tuple | ContainerKind::List) && depth < 2;
            // A list is gone through once, so that no number of calls goes through it again.
            if self.captured.get(&id).is_some_and(|gone| *gone || !through) {
                continue;
            }
            let max_items = if kind == ContainerKind::Tuple { MAX_FOLLOWED_ARGUMENTS } else { usize::MAX };
            if through {
                let nodes = items.kept.iter().take(max_items).filter(|item| matches!(item, Value::Node(_)));
                pending.extend(nodes.map(|item| (*item, depth + 1)));
            }
            if kind != ContainerKind::Tuple && self.reserve(VALUE_BYTES) {
                self.captured.insert(id, through);
            }
        }
        self.pending = pending;
    }

    /// Counts the extra part of a call when it is first used: past the limit too, because it must be known that the
    /// call got items, and it is counted once per call.
    fn charge_more(&mut self, id: NodeId) {
        if matches!(self.get(id), Some(Node::Call(call)) if !call.has_more()) {
            self.bytes = self.bytes.saturating_add(Call::MORE);
        }
    }

    fn items_of(&mut self, id: NodeId) -> Option<&mut Items> {
        match &mut self.slot_mut(id)?.node {
            Node::Container { items, .. } => Some(items),
            Node::Call(call) => Some(call.items_mut()),
        }
    }
}
