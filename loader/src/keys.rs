//! Keys of a dict as Python compares them: of equal ones the last value stays, under the first key.

use crate::walk::KEY;
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// What makes two keys equal: `1`, `1.0` and `True` are one key, a text is one key however it is written.
#[derive(PartialEq, Eq, Hash)]
enum Same<'a> {
    Text(Cow<'a, str>),
    Range(u64, u32),
    Number(i64),
    Float(u64),
    None,
    Global(u32),
    Node(u32),
}

/// The pairs that are left of those that were put into a dict one after the other.
pub(crate) fn settled(trace: &Trace, pairs: impl IntoIterator<Item = [Value; 2]>) -> Vec<[Value; 2]> {
    let mut kept: Vec<[Value; 2]> = Vec::new();
    let mut places: HashMap<Same<'_>, usize> = HashMap::new();
    for [key, value] in pairs {
        match same(trace, key).map(|same| places.entry(same)) {
            Some(Entry::Occupied(place)) => {
                if let Some([_, old]) = kept.get_mut(*place.get()) {
                    *old = value;
                }
            }
            Some(Entry::Vacant(place)) => {
                place.insert(kept.len());
                kept.push([key, value]);
            }
            None => kept.push([key, value]),
        }
    }
    kept
}

fn same(trace: &Trace, key: Value) -> Option<Same<'_>> {
    Some(match key {
        Value::Text { at, len, .. } => trace.short_text(key, KEY).map_or(Same::Range(at, len), Same::Text),
        Value::Bytes { at, len } | Value::BigInt { at, len } => Same::Range(at, len),
        Value::Int(key) => Same::Number(key),
        Value::Bool(key) => Same::Number(key.into()),
        Value::Float(key) if key.fract() == 0.0 && key.abs() < 9e15 => Same::Number(key as i64),
        Value::Float(key) => Same::Float(key.to_bits()),
        Value::None => Same::None,
        Value::Global(id) => Same::Global(id),
        Value::Node(id) => Same::Node(id),
        Value::Opaque(_) | Value::Instance(_) | Value::Unknown => return None,
    })
}
