//! Keys of a dict as Python compares them: among pairs with equal keys, the first key and the last value stay.

use crate::bounds::MAX_KEY_BYTES;
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Equal for keys that Python treats as equal: `1`, `1.0` and `True`, or a text in any encoding of the pickle.
#[derive(PartialEq, Eq, Hash)]
enum KeyIdentity<'a> {
    Text(Cow<'a, str>),
    Range(u64, u32),
    Integer(i64),
    Float(u64),
    None,
    Global(u32),
    Node(u32),
}

/// The pairs of a dict after these pairs were put into it in this order.
pub(crate) fn dedup_keys(trace: &Trace, pairs: impl IntoIterator<Item = [Value; 2]>) -> Vec<[Value; 2]> {
    let mut kept: Vec<[Value; 2]> = Vec::new();
    let mut indices: HashMap<KeyIdentity<'_>, usize> = HashMap::new();
    for [key, value] in pairs {
        match key_identity(trace, key).map(|identity| indices.entry(identity)) {
            Some(Entry::Occupied(index)) => {
                if let Some([_, old]) = kept.get_mut(*index.get()) {
                    *old = value;
                }
            }
            Some(Entry::Vacant(index)) => {
                index.insert(kept.len());
                kept.push([key, value]);
            }
            None => kept.push([key, value]),
        }
    }
    kept
}

fn key_identity(trace: &Trace, key: Value) -> Option<KeyIdentity<'_>> {
    Some(match key {
        Value::Text { at, len, .. } => {
            trace.short_text(key, MAX_KEY_BYTES).map_or(KeyIdentity::Range(at, len), KeyIdentity::Text)
        }
        Value::Bytes { at, len } | Value::BigInt { at, len } => KeyIdentity::Range(at, len),
        Value::Int(key) => KeyIdentity::Integer(key),
        Value::Bool(key) => KeyIdentity::Integer(key.into()),
        Value::Float(key) if key.fract() == 0.0 && key.abs() < 9e15 => KeyIdentity::Integer(key as i64),
        Value::Float(key) => KeyIdentity::Float(key.to_bits()),
        Value::None => KeyIdentity::None,
        Value::Global(id) => KeyIdentity::Global(id),
        Value::Node(id) => KeyIdentity::Node(id),
        Value::Opaque(_) | Value::Instance(_) | Value::Unknown => return None,
    })
}
