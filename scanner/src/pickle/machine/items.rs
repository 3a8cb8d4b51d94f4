//! Opcodes for containers, and the calls that they hide: items given to something that is not a container, keys that
//! are hashed.

use super::Machine;
use crate::io::bounds::pickle::{MAX_HASHED_VALUES, MAX_WATCHED_KEY_BYTES};
use crate::pickle::text;
use crate::pickle::trace::{Action, StreamEnd};
use crate::pickle::value::{CallKind, ContainerKind, Node, Value};

impl Machine<'_> {
    pub(super) fn container(&mut self, kind: ContainerKind, count: usize) -> Result<(), StreamEnd> {
        let value = {
            let above = self.stack.above();
            let items = above.len().checked_sub(count).and_then(|from| above.get(from..));
            items.map(|items| self.trace.heap.container(kind, items, count as u64))
        };
        let Some(value) = value else {
            if !self.stack.marked() && !self.lenient {
                return Err(StreamEnd::broken("a tuple of more values than there are"));
            }
            self.become_lenient();
            return Ok(self.stack.push(Value::Unknown)?);
        };
        for _ in 0..count {
            self.stack.pop();
        }
        Ok(self.stack.push(value)?)
    }

    pub(super) fn marked(&mut self, kind: ContainerKind) -> Result<(), StreamEnd> {
        if kind == ContainerKind::FrozenSet {
            self.hash_above(1);
        } else if kind == ContainerKind::Dict {
            self.hash_above(2);
        }
        let forgotten = self.stack.forgotten();
        // The oldest values are what a container starts with; where those are forgotten, none is known.
        let above = if forgotten > 0 { &[] } else { self.stack.above() };
        let total = self.stack.height();
        let value = self.trace.heap.container(kind, above, total);
        if self.stack.drop_mark().is_none() {
            return Err(StreamEnd::broken("a container without a mark"));
        }
        if kind == ContainerKind::Dict && total % 2 == 1 {
            self.anomaly(true, "a dict of an odd number of keys and values");
        }
        Ok(self.stack.push(value)?)
    }

    pub(super) fn append(&mut self) -> Result<(), StreamEnd> {
        let item = self.pop()?;
        match self.top()? {
            Value::Node(id) => match self.trace.heap.get(id) {
                Some(Node::Container { kind: ContainerKind::List, .. }) => self.trace.heap.extend(id, &[item], 0),
                Some(Node::Call(_)) => {
                    self.event(Action::Call { how: CallKind::Append, callee: Value::Node(id), args: item });
                    self.trace.heap.extend(id, &[item], 0);
                }
                _ => return Err(StreamEnd::broken("APPEND to a container that has no append")),
            },
            // A list, or a bytearray.
            Value::Opaque(ContainerKind::List) | Value::Bytes { .. } => {}
            other if other.is_plain() => return Err(StreamEnd::broken("APPEND to a value that is no list")),
            other => self.event(Action::Call { how: CallKind::Append, callee: other, args: item }),
        }
        Ok(())
    }

    pub(super) fn appends(&mut self, how: CallKind) -> Result<(), StreamEnd> {
        let own = if how == CallKind::Add { ContainerKind::Set } else { ContainerKind::List };
        if how == CallKind::Add {
            self.hash_above(1);
        }
        if !self.stack.marked() {
            return Err(StreamEnd::broken("items without a mark"));
        }
        // Without items the target is not used.
        if self.stack.height() == 0 {
            self.stack.drop_mark();
            return Ok(());
        }
        let target = self.target();
        let forgotten = self.stack.forgotten();
        match target {
            Value::Node(id) => {
                let called = match self.trace.heap.get(id) {
                    Some(Node::Container { kind, .. }) if *kind == own => false,
                    Some(Node::Call(_)) => true,
                    _ => return Err(StreamEnd::broken("items for a container of another kind")),
                };
                let above = self.stack.above();
                let first = above.first().copied();
                let known = if forgotten > 0 { &[] } else { above };
                let more = if forgotten > 0 { forgotten + above.len() as u64 } else { 0 };
                self.trace.heap.extend(id, known, more);
                if called && let Some(first) = first {
                    self.event(Action::Call { how, callee: target, args: first });
                }
            }
            Value::Opaque(kind) if kind == own => {}
            Value::Bytes { .. } if how == CallKind::Append => {}
            other if other.is_plain() => return Err(StreamEnd::broken("items for a value that holds none")),
            other => {
                let first = self.stack.above().first().copied().unwrap_or(Value::None);
                self.event(Action::Call { how, callee: other, args: first });
            }
        }
        self.stack.drop_mark();
        Ok(())
    }

    /// Notes the hashing of every `step`-th value above the mark that is not plain data.
    pub(super) fn hash_above(&mut self, step: usize) {
        let above = self.stack.above();
        if above.iter().step_by(step).all(|key| key.is_plain()) {
            return;
        }
        let keys: Vec<Value> = above.iter().step_by(step).copied().filter(|key| !key.is_plain()).collect();
        keys.into_iter().for_each(|key| self.hash(key));
    }

    pub(super) fn hash(&mut self, key: Value) {
        let mut pending = vec![key];
        let mut visited = 0;
        while let Some(value) = pending.pop() {
            visited += 1;
            if visited > MAX_HASHED_VALUES {
                self.event(Action::Call { how: CallKind::Hash, callee: Value::Unknown, args: Value::None });
                return;
            }
            match value {
                Value::Node(id) => match self.trace.heap.get(id) {
                    Some(Node::Container { kind: ContainerKind::Tuple | ContainerKind::FrozenSet, items }) => {
                        pending.extend(items.kept.iter().filter(|item| !item.is_plain()));
                    }
                    Some(Node::Call(_)) => {
                        self.event(Action::Call { how: CallKind::Hash, callee: value, args: Value::None });
                    }
                    _ => {}
                },
                Value::Instance(_) | Value::Unknown => {
                    self.event(Action::Call { how: CallKind::Hash, callee: value, args: Value::None });
                }
                _ => {}
            }
        }
    }

    pub(super) fn set_item(&mut self) -> Result<(), StreamEnd> {
        let value = self.pop()?;
        let key = self.pop()?;
        if !key.is_plain() {
            self.hash(key);
        }
        let target = self.top()?;
        self.set(target, &[key, value], 0)
    }

    /// The value below the mark. Python 2 reaches through another mark for it.
    pub(super) fn target(&mut self) -> Value {
        match self.stack.below_mark() {
            Some(target) => target,
            None => {
                self.become_lenient();
                Value::Unknown
            }
        }
    }

    pub(super) fn set_items(&mut self) -> Result<(), StreamEnd> {
        if !self.stack.marked() {
            return Err(StreamEnd::broken("SETITEMS without a mark"));
        }
        if self.stack.height() == 0 {
            self.stack.drop_mark();
            return Ok(());
        }
        self.hash_above(2);
        let target = self.target();
        if self.stack.height() % 2 == 1 {
            self.anomaly(false, "SETITEMS of an odd number of keys and values");
        }
        let forgotten = self.stack.forgotten();
        self.pairs.clear();
        self.pairs.extend_from_slice(self.stack.above());
        self.stack.drop_mark();
        if self.pairs.is_empty() && forgotten == 0 {
            return Ok(());
        }
        let pairs = std::mem::take(&mut self.pairs);
        let done = self.set(target, &pairs, forgotten);
        self.pairs = pairs;
        done
    }

    pub(super) fn set(&mut self, target: Value, pairs: &[Value], forgotten: u64) -> Result<(), StreamEnd> {
        match target {
            Value::Node(id) => {
                let called = match self.trace.heap.get(id) {
                    Some(Node::Container { kind: ContainerKind::Dict, items }) => {
                        let room = self.budget.limits.items.saturating_sub(items.kept.len());
                        self.check_unkept_keys(pairs.get(room.min(pairs.len())..).unwrap_or_default(), forgotten);
                        false
                    }
                    Some(Node::Container { kind: ContainerKind::List, .. }) => {
                        // An item is replaced, which no pickler does: from then on the list is not known.
                        self.trace.heap.extend(id, &[], pairs.len() as u64 + forgotten);
                        return Ok(());
                    }
                    Some(Node::Call(_)) => true,
                    _ => return Err(StreamEnd::broken("items set on a container that takes none")),
                };
                self.trace.heap.extend(id, if forgotten > 0 { &[] } else { pairs }, forgotten);
                if called {
                    let key = pairs.first().copied().unwrap_or(Value::None);
                    self.event(Action::Call { how: CallKind::SetItem, callee: target, args: key });
                }
            }
            Value::Opaque(ContainerKind::Dict | ContainerKind::List) => self.check_unkept_keys(pairs, forgotten),
            Value::Bytes { .. } => {}
            other if other.is_plain() => return Err(StreamEnd::broken("items set on a value that holds none")),
            other => {
                let key = pairs.first().copied().unwrap_or(Value::None);
                self.event(Action::Call { how: CallKind::SetItem, callee: other, args: key });
            }
        }
        Ok(())
    }

    /// Compares the keys of pairs that are not kept, because a state dict is judged by its keys.
    pub(super) fn check_unkept_keys(&mut self, pairs: &[Value], forgotten: u64) {
        if self.silent {
            return;
        }
        let mut watched = forgotten > 0;
        // Records repeat their keys: a text compared a moment ago is not read again.
        let mut quiet_keys = std::mem::take(&mut self.checked_keys);
        for pair in pairs.chunks(2) {
            let [key, value] = pair else { break };
            let quiet = matches!(value, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_));
            let Value::Text { encoding, len, at } = *key else {
                continue;
            };
            // The shortest name that matters is `add`, the longest has 32 characters, escapes make it longer.
            let slot = (at % 61) as usize;
            if quiet || !(3..=MAX_WATCHED_KEY_BYTES).contains(&len) || quiet_keys.get(slot) == Some(&at) {
                continue;
            }
            let bytes = self.reader.bytes(at, u64::from(len), MAX_WATCHED_KEY_BYTES as usize);
            if text::decode(encoding, &bytes).is_some_and(|key| (self.options.is_watched_key)(&key)) {
                watched = true;
            } else if let Some(slot) = quiet_keys.get_mut(slot) {
                *slot = at;
            }
        }
        self.checked_keys = quiet_keys;
        if watched {
            self.event(Action::Call { how: CallKind::SetItem, callee: Value::Unknown, args: Value::Unknown });
        }
    }
}
