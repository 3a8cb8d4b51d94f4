//! The finding on a name that is not inert, wherever it occurs.

use crate::finding::{RawFinding, Severity};
use crate::judge::effect::{CallableEffect, Effect};
use crate::judge::rule::{unknown_callable, unsafe_callable};

/// `action` is subject and verb (`pickle imports`). `None` for an inert name.
///
/// Only a row of a table makes a name unsafe. A name that merely looks harmful is unknown.
pub(super) fn finding(action: &str, name: &str, known: CallableEffect) -> Option<RawFinding> {
    Some(match known.effect {
        Effect::Inert(_) => return None,
        Effect::Critical => unsafe_callable::named(Severity::Critical, action, name, known.reason),
        Effect::High if known.is_listed() => unsafe_callable::named(Severity::High, action, name, known.reason),
        Effect::High => unknown_callable::named(Severity::High, action, name, known.reason),
        Effect::Unknown => unknown_callable::named(Severity::Medium, action, name, known.reason),
    })
}
