//! Storage keys that a pickle declares in more than one way.
//!
//! torch makes a storage when it reads its key for the first time. Later persistent ids with that key get this storage,
//! whatever class and size they give. So the elements depend on an order that the loader does not reproduce.

use crate::bounds::MAX_KEY_BYTES;
use crate::values::trace_ext::{import, sequence};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::Value;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// How a persistent id declares a storage: its class, the key of the storage that it is a view of, and the element count of
/// the storage with offset and count of the view.
type Declaration<'a> = (Option<(&'a str, &'a str)>, Option<Cow<'a, str>>, [Value; 3]);

/// The keys of which two persistent ids give different declarations.
pub(crate) fn ambiguous_keys(trace: &Trace) -> HashSet<Cow<'_, str>> {
    // Only the id of the first declaration is kept, not the declaration: there are as many keys as tensors.
    let mut first: HashMap<Cow<'_, str>, (Value, bool)> = HashMap::with_capacity(trace.persistent.len());
    let mut ambiguous = HashSet::new();
    for id in &trace.persistent {
        for is_view in [false, true] {
            let Some((key, declared)) = declaration(trace, *id, is_view) else { continue };
            match first.entry(key) {
                Entry::Occupied(known) => {
                    let (id, is_view) = *known.get();
                    if declaration(trace, id, is_view).is_none_or(|(_, first)| first != declared) {
                        ambiguous.insert(known.key().clone());
                    }
                }
                Entry::Vacant(entry) => _ = entry.insert((*id, is_view)),
            }
        }
    }
    ambiguous
}

/// The key and the declaration of a storage, or of the view that the same persistent id declares.
fn declaration(trace: &Trace, id: Value, is_view: bool) -> Option<(Cow<'_, str>, Declaration<'_>)> {
    let [_, class, key, _, count, more @ ..] = trace.tuple(id)?.kept.as_slice() else { return None };
    let class = import(trace, *class);
    if is_view {
        let [view_key, offset, size] = sequence(trace, *more.first()?)? else { return None };
        let root = trace.short_text(*key, MAX_KEY_BYTES);
        return Some((trace.short_text(*view_key, MAX_KEY_BYTES)?, (class, root, [*count, *offset, *size])));
    }
    // Some versions of torch write one key for empty storages of all types.
    let is_empty = *count == Value::Int(0);
    (!is_empty)
        .then(|| Some((trace.short_text(*key, MAX_KEY_BYTES)?, (class, None, [*count, Value::None, Value::None]))))?
}
