//! joblib's arrays: raw bytes that stand in the pickle stream right behind the BUILD of their wrapper.
//!
//! `joblib.load` skips them by the wrapper's shape and dtype. Plain `pickle.load` does not, and reads them as opcodes: so
//! both readings are followed (see [`super::pickle`]). Layout: joblib `numpy_pickle.py`, `NumpyArrayWrapper`.

use crate::pickle::value::{Call, Items, Kind, Node, NodeId, Value};
use crate::pickle::{Inline, Trace};
use crate::source::read_vec;

/// What stands behind the BUILD of that node.
pub fn inline(trace: &Trace, node: NodeId, at: u64) -> Inline {
    let Some(Node::Call(call)) = trace.heap.get(node) else { return Inline::None };
    let wrapper = matches!(call.callee, Value::Global(id) if is_wrapper(&trace.callable_name(id)));
    if !wrapper {
        return Inline::None;
    }
    length(trace, call, at)
        .unwrap_or_else(|| Inline::Unknown("the size of an array in the stream cannot be told".to_owned()))
}

fn is_wrapper(name: &str) -> bool {
    matches!(name, "joblib.numpy_pickle.NumpyArrayWrapper" | "sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper")
}

fn length(trace: &Trace, call: &Call, at: u64) -> Option<Inline> {
    let state = dict(trace, *call.states.last()?)?;
    let get = |key: &str| {
        let pair = state
            .kept
            .chunks(2)
            .find(|pair| matches!(pair, [name, _] if trace.text(*name, 64).as_deref() == Some(key)));
        pair.and_then(|pair| pair.get(1).copied())
    };
    let count = tuple(trace, get("shape")?)?.kept.iter().try_fold(1u64, |count, size| match size {
        Value::Int(size @ 0..) => count.checked_mul(size.unsigned_abs()),
        _ => None,
    })?;
    let item = item_size(trace, get("dtype")?)?;
    let Some(item) = item else { return Some(Inline::Pickle) };
    let mut start = at;
    if let Some(Value::Int(_)) = get("numpy_array_alignment_bytes") {
        let padding = read_vec(trace.source.as_ref(), at, 1).ok()?;
        start = at.checked_add(1)?.checked_add(u64::from(*padding.first()?))?;
    }
    let end = start.checked_add(count.checked_mul(item)?)?;
    Some(Inline::Array { end })
}

fn dict(trace: &Trace, value: Value) -> Option<&Items> {
    let Value::Node(id) = value else { return None };
    match trace.heap.get(id)? {
        Node::Container { kind: Kind::Dict, items } if items.complete() => Some(items),
        _ => None,
    }
}

fn tuple(trace: &Trace, value: Value) -> Option<&Items> {
    let Value::Node(id) = value else { return None };
    match trace.heap.get(id)? {
        Node::Container { kind: Kind::Tuple, items } if items.complete() => Some(items),
        _ => None,
    }
}

/// Bytes of an item of a dtype made by `numpy.dtype(text, ...)`: `Some(None)` when it holds objects.
fn item_size(trace: &Trace, dtype: Value) -> Option<Option<u64>> {
    let Value::Node(id) = dtype else { return None };
    let Node::Call(call) = trace.heap.get(id)? else { return None };
    let text = trace.text(*tuple(trace, call.args)?.kept.first()?, 64)?;
    let text = text.trim_start_matches(['<', '>', '|', '=']);
    let (kind, digits) = text.split_at_checked(1)?;
    let count: u64 = digits.split('[').next()?.parse().ok().filter(|count| *count <= 1 << 30)?;
    match kind {
        "O" => Some(None),
        "U" => Some(Some(count * 4)),
        "b" | "i" | "u" | "f" | "c" | "S" | "a" | "m" | "M" | "B" => Some(Some(count)),
        "V" => {
            // A structured dtype holds objects when one of its fields does: its flags say so.
            let state = call.states.last().and_then(|state| tuple(trace, *state));
            let flags = state.and_then(|state| state.kept.get(7).copied());
            Some(if matches!(flags, Some(Value::Int(flags)) if flags & 1 != 0) { None } else { Some(count) })
        }
        _ => None,
    }
}
