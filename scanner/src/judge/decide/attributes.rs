//! Attributes in the state of an object that Python calls later, such as `append`, `__reduce__` or torch's hooks.

use super::arguments::Args;
use super::state_keys::is_watched_key;
use crate::io::bounds::judge::MAX_ATTRIBUTE_BYTES;
use crate::pickle::preview;
use crate::pickle::trace::Trace;
use crate::pickle::value::{ContainerKind, Node, Value};

/// The first such attribute of a state: a dict, or a tuple of two as `object.__setstate__` takes it (`__dict__` and slots).
pub(super) fn called_later(trace: &Trace, state: Value) -> Option<String> {
    let mut dicts = vec![state];
    if let Value::Node(id) = state
        && let Some(Node::Container { kind: ContainerKind::Tuple, items }) = trace.heap.get(id)
        && let Some([first, second]) = items.as_array::<2>()
    {
        dicts = vec![first, second];
    }
    for dict in dicts {
        let Value::Node(id) = dict else { continue };
        let items = match trace.heap.get(id) {
            Some(Node::Container { kind: ContainerKind::Dict, items }) => items,
            Some(Node::Call(call)) => call.items(),
            _ => continue,
        };
        for pair in items.kept.chunks(2) {
            let [key, value] = pair else { break };
            if cannot_act(trace, *value) {
                continue;
            }
            match trace.text(*key, MAX_ATTRIBUTE_BYTES) {
                Some(name) if is_watched_key(&name) => return Some(name),
                None if !key.is_plain() => return Some(preview::value(trace, *key)),
                _ => {}
            }
        }
    }
    None
}

/// Whether a value does nothing under any name: plain data, or an empty container.
fn cannot_act(trace: &Trace, value: Value) -> bool {
    match value {
        Value::Node(id) => match trace.heap.get(id) {
            Some(Node::Container { items, .. }) => items.total == 0,
            Some(Node::Call(call)) => {
                let empty = Args::of(trace, call.args).is_ok_and(|args| args.items.is_empty());
                let class = if let Value::Global(id) = call.callee { trace.callables.get(id as usize) } else { None };
                class.is_some_and(|class| class.is_named("collections.OrderedDict")) && empty && call.items().total == 0
            }
            None => false,
        },
        Value::Opaque(_) => false,
        other => other.is_plain(),
    }
}
