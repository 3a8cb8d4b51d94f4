//! joblib's arrays: raw bytes in the pickle stream right after the BUILD of their wrapper.
//!
//! `joblib.load` skips them by the wrapper's shape and dtype. Plain `pickle.load` does not, and reads them as opcodes: so
//! both readings are followed (see [`crate::format::pickle`]). Layout: joblib `numpy_pickle.py`, `NumpyArrayWrapper`.

use crate::io::source::read_vec;
use crate::pickle::value::{Call, ContainerKind, Items, Node, NodeId, Value};
use crate::pickle::{Inline, Trace};

/// What follows the BUILD of that node.
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
    let (ContainerKind::Dict, state) = trace.container(*call.states().last()?)? else { return None };
    if !state.complete() {
        return None;
    }
    // The last of equal keys counts, as in Python. Otherwise a file could choose the length of the skipped bytes.
    let get = |key: &str| {
        let named = |pair: &&[Value]| matches!(pair, [name, _] if trace.text(*name, 64).as_deref() == Some(key));
        state.kept.chunks(2).rev().find(named).and_then(|pair| pair.get(1).copied())
    };
    let count = tuple(trace, get("shape")?)?.kept.iter().try_fold(1u64, |count, size| match size {
        Value::Int(size @ 0..) => count.checked_mul(size.unsigned_abs()),
        _ => None,
    })?;
    let item = item_size(trace, get("dtype")?)?;
    let Some(item) = item else { return Some(Inline::Pickle) };
    let mut start = at;
    // joblib asks only whether it is None.
    if get("numpy_array_alignment_bytes").is_some_and(|alignment| alignment != Value::None) {
        let padding = read_vec(trace.source.as_ref(), at, 1).ok()?;
        start = at.checked_add(1)?.checked_add(u64::from(*padding.first()?))?;
    }
    let end = start.checked_add(count.checked_mul(item)?)?;
    Some(Inline::Array { end })
}

/// The items of a tuple that are all known.
fn tuple(trace: &Trace, value: Value) -> Option<&Items> {
    trace.tuple(value).filter(|items| items.complete())
}

/// Bytes of an item of a dtype made by `numpy.dtype(text, ...)`: `Some(None)` when it holds objects.
///
/// numpy takes the flags of every dtype, and the size of texts and records, from the state given by BUILD
/// (`arraydescr_setstate`), not from the text.
pub fn item_size(trace: &Trace, dtype: Value) -> Option<Option<u64>> {
    let call = trace.made(dtype)?;
    let text = trace.text(*tuple(trace, call.args)?.kept.first()?, 64)?;
    let text = text.trim_start_matches(['<', '>', '|', '=']);
    let (kind, digits) = text.split_at_checked(1)?;
    let count: u64 = digits.split('[').next()?.parse().ok().filter(|count| *count <= 1 << 30)?;
    let (size, flags) = match call.states() {
        [] => (None, None),
        [state] => {
            let state = tuple(trace, *state)?.kept.as_slice();
            let [Value::Int(3 | 4), _, _, _, _, Value::Int(size), _, Value::Int(flags), ..] = state else {
                return None;
            };
            (u64::try_from(*size).ok(), Some(*flags))
        }
        _ => return None,
    };
    let objects = flags.map_or(kind == "O", |flags| flags & 1 != 0);
    match kind {
        "O" => objects.then_some(None),
        _ if objects => Some(None),
        "U" => Some(Some(size.unwrap_or(count * 4))),
        "S" | "a" | "V" => Some(Some(size.unwrap_or(count))),
        "b" | "i" | "u" | "f" | "c" | "m" | "M" | "B" => Some(Some(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::budget::ScanBudget;
    use crate::io::limits::Limits;
    use crate::io::source::{Memory, SharedSource};
    use crate::pickle::{self, Options};
    use std::sync::Arc;

    /// A wrapper whose state holds these pairs, then an array of two bytes and STOP.
    fn end_of(dtype: &[u8], pairs: &[u8]) -> Trace {
        let mut bytes =
            b"\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(X\x05\0\0\0dtypecnumpy\ndtype\n".to_vec();
        bytes.extend_from_slice(dtype);
        bytes.extend_from_slice(pairs);
        bytes.extend_from_slice(b"ubNN.");
        let source: SharedSource = Arc::new(Memory::new(bytes));
        let options = Options { inline: Some(&inline), ..Options::PLAIN };
        pickle::read(&source, 0, &options, &ScanBudget::start(Arc::new(Limits::default())), &mut |_, _| true)
    }

    const BYTES: &[u8] = b"X\x02\0\0\0u1\x89\x88\x87R";

    fn skipped(trace: &Trace) -> u64 {
        trace.arrays.iter().map(|array| array.end - array.start).sum()
    }

    #[test]
    fn the_last_of_equal_keys_says_how_long_an_array_is() {
        assert_eq!(skipped(&end_of(BYTES, b"X\x05\0\0\0shapeK\x02\x85")), 2);
        let twice = end_of(BYTES, b"X\x05\0\0\0shapeK\x02\x85X\x05\0\0\0shapeK\x01\x85");
        assert_eq!(skipped(&twice), 1);
    }

    #[test]
    fn the_state_of_a_dtype_says_how_large_an_item_is_and_whether_it_is_an_object() {
        let state = |size: u8, flags: u8| {
            let mut dtype = b"X\x02\0\0\0S9\x89\x88\x87R(K\x03X\x01\0\0\0|NNNK".to_vec();
            dtype.extend_from_slice(&[size, b'K', 1, b'K', flags]);
            dtype.extend_from_slice(b"tb");
            dtype
        };
        assert_eq!(skipped(&end_of(&state(1, 0), b"X\x05\0\0\0shapeK\x02\x85")), 2);
        let objects = end_of(&state(1, 1), b"X\x05\0\0\0shapeK\x02\x85");
        assert_eq!((skipped(&objects), objects.nested.len()), (0, 1));
    }
}
