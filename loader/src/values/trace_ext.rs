//! Accessors to the values of a trace, which constructors use to read their arguments.

use crate::bounds::MAX_KEY_BYTES;
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{ContainerKind, Items, Value};

/// The items of a tuple or list; `None` unless the scan kept all of them.
pub(crate) fn sequence(trace: &Trace, value: Value) -> Option<&[Value]> {
    match trace.container(value)? {
        (ContainerKind::Tuple | ContainerKind::List, items) if items.complete() => Some(&items.kept),
        _ => None,
    }
}

/// The full name (`module.name`) of an imported object.
pub(crate) fn qualified_name(trace: &Trace, value: Value) -> Option<String> {
    let Value::Global(id) = value else { return None };
    Some(trace.callable_name(id))
}

/// Module and name of an imported object.
pub(crate) fn import(trace: &Trace, value: Value) -> Option<(&str, &str)> {
    let Value::Global(id) = value else { return None };
    let callable = trace.callables.get(id as usize)?;
    Some((callable.module.as_deref()?, callable.name.as_deref()?))
}

/// The value of a text key in a dict. Of several equal keys the last one counts, as in Python.
pub(crate) fn field(trace: &Trace, dict: Value, name: &str) -> Option<Value> {
    let (ContainerKind::Dict, items) = trace.container(dict)? else { return None };
    let mut pairs = items.kept.chunks_exact(2).rev();
    pairs.find_map(|pair| match pair {
        [key, value] if trace.text(*key, MAX_KEY_BYTES).as_deref() == Some(name) => Some(*value),
        _ => None,
    })
}

/// A shape: integers in a tuple or `torch.Size`. Lists are not accepted: no library writes them, and they can change after
/// the tensor was made.
pub(crate) fn shape(trace: &Trace, value: Value) -> Option<Vec<u64>> {
    let sizes = match trace.made(value) {
        Some(call) if import(trace, call.callee)? == ("torch", "Size") => *sequence(trace, call.args)?.first()?,
        Some(_) => return None,
        None => value,
    };
    let unsigned = |size: &Value| match size {
        Value::Int(size) => u64::try_from(*size).ok(),
        _ => None,
    };
    trace.tuple(sizes).filter(|sizes| sizes.complete())?.kept.iter().map(unsigned).collect()
}

/// Keys and values of a dict in the order of the pickle.
pub(crate) fn key_value_pairs(items: &Items) -> impl Iterator<Item = [Value; 2]> {
    items.kept.chunks_exact(2).filter_map(|pair| <[Value; 2]>::try_from(pair).ok())
}
