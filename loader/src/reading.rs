//! Reading the values of a trace: the few questions that every constructor asks of its arguments.

use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, ContainerKind, Items, Value};

/// The longest name of a key that is read.
const KEY: usize = 1024;

/// The items of a tuple or list, when all of them are known.
pub(crate) fn row(trace: &Trace, value: Value) -> Option<&[Value]> {
    match container(trace, value)? {
        (ContainerKind::Tuple | ContainerKind::List, items) if items.complete() => Some(&items.kept),
        _ => None,
    }
}

/// The call that made a value.
pub(crate) fn call(trace: &Trace, value: Value) -> Option<&Call> {
    trace.made(value)
}

/// A literal container.
pub(crate) fn container(trace: &Trace, value: Value) -> Option<(ContainerKind, &Items)> {
    trace.container(value)
}

/// The full name of an imported object.
pub(crate) fn name(trace: &Trace, value: Value) -> Option<String> {
    let Value::Global(id) = value else { return None };
    Some(trace.callable_name(id))
}

/// Module and name of an imported object.
pub(crate) fn import(trace: &Trace, value: Value) -> Option<(&str, &str)> {
    let Value::Global(id) = value else { return None };
    let callable = trace.callables.get(id as usize)?;
    Some((callable.module.as_deref()?, callable.name.as_deref()?))
}

/// The value of a text key in a dict: the last one counts, as in Python.
pub(crate) fn field(trace: &Trace, dict: Value, wanted: &str) -> Option<Value> {
    let (ContainerKind::Dict, items) = container(trace, dict)? else { return None };
    let mut pairs = items.kept.chunks_exact(2).rev();
    pairs.find_map(|pair| match pair {
        [key, value] if trace.text(*key, KEY).as_deref() == Some(wanted) => Some(*value),
        _ => None,
    })
}

/// A shape: whole numbers in a tuple, or in torch's own `torch.Size`. No library writes a list, which may have been another
/// one when the tensor was made.
pub(crate) fn shape(trace: &Trace, value: Value) -> Option<Vec<u64>> {
    let sizes = match call(trace, value) {
        Some(call) if import(trace, call.callee)? == ("torch", "Size") => *row(trace, call.args)?.first()?,
        Some(_) => return None,
        None => value,
    };
    let whole = |size: &Value| match size {
        Value::Int(size) => u64::try_from(*size).ok(),
        _ => None,
    };
    trace.tuple(sizes).filter(|sizes| sizes.complete())?.kept.iter().map(whole).collect()
}
