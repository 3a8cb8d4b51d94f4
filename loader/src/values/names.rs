//! Names of tensors: the keys on their path below a root, joined by dots.
//!
//! The root is the path of `LoadOptions::root`. Without one it is the key `state_dict` if all tensors are below it, else the
//! value of the pickle.

use crate::bounds::{MAX_NAME_PART_BYTES, MAX_NAMES_BYTES};
use crate::values::incomplete::IncompleteReason;
use crate::values::tensor::TensorDescription;
use crate::values::value_kind::ValueKind;
use crate::values::walk::{Exclusion, FoundTensor, PathPart, Walk};
use scanner::internal::pickle::preview;
use scanner::internal::pickle::value::{ContainerKind, Node, Value};
use std::borrow::Cow;

/// The name of the only tensor of a file, where no key leads to it.
pub const SINGLE_TENSOR_NAME: &str = "tensor";

/// A tensor and its name.
pub(crate) struct NamedTensor {
    pub(crate) name: String,
    pub(crate) tensor: TensorDescription,
    pub(crate) composite: Option<&'static str>,
    pub(crate) auxiliary: bool,
    pub(crate) excluded: Option<Exclusion>,
    /// Whether the root contains it.
    pub(crate) below_root: bool,
    /// Whether no key leads from the root to it. An empty key is a key.
    pub(crate) is_root: bool,
}

/// The results of a walk other than its tensors.
pub(crate) struct NamedValues {
    /// The path of the root; `None` for the value of the pickle.
    pub(crate) root: Option<String>,
    /// Values that are not tensors: their paths and what they are.
    pub(crate) other_values: Vec<(String, ValueKind)>,
    /// Number of further values that are not tensors.
    pub(crate) other_values_more: u64,
    /// Whether the value is a dict from names to tensors and nothing else.
    pub(crate) flat: bool,
    /// Why these may not be all tensors.
    pub(crate) incomplete_reason: Option<IncompleteReason>,
}

impl Walk<'_> {
    /// Names all tensors and passes each to `take`. `root` is the path of the root.
    ///
    /// # Errors
    /// When there is no such path: the topmost paths of the pickle.
    pub(crate) fn name_tensors(
        mut self,
        root: Option<&str>,
        mut take: impl FnMut(NamedTensor),
    ) -> Result<NamedValues, Vec<String>> {
        let root = match root {
            Some(path) => Some(self.find_root(path)?),
            None => self.common_state_dict(),
        };
        let flat = self.flat();
        let mut limit = MAX_NAMES_BYTES;
        for found in std::mem::take(&mut self.found) {
            let below_root = root.is_none_or(|root| self.is_below(found.step, root));
            let root = root.filter(|_| below_root);
            if self.has_too_long_key(found.step, root) {
                self.incomplete_reason = Some(IncompleteReason::KeyTooLong);
            }
            let (name, is_root) = (self.path_name(found.step, root), self.is_root_value(found.step, root));
            match limit.checked_sub(name.len()) {
                Some(left) => limit = left,
                None => {
                    self.incomplete_reason = Some(IncompleteReason::NamesTooLong);
                    break;
                }
            }
            let FoundTensor { tensor, composite, auxiliary, excluded, .. } = found;
            take(NamedTensor { name, tensor, composite, auxiliary, excluded, below_root, is_root });
        }
        let mut other_values = Vec::new();
        for other in &self.other_values {
            let path = self.path(other.parent, other.part);
            let Some(left) = limit.checked_sub(path.len()) else { break };
            limit = left;
            other_values.push((path, other.kind.clone()));
        }
        Ok(NamedValues {
            root: root.map(|root| self.path_name(root, None)),
            other_values_more: self.other_count.saturating_sub(other_values.len() as u64),
            other_values,
            flat,
            incomplete_reason: self.incomplete_reason,
        })
    }

    /// Whether the value is a `dict` or `OrderedDict` from texts to tensors.
    fn flat(&self) -> bool {
        let Some(Value::Node(root)) = self.trace.root else { return false };
        let dict = match self.trace.heap.get(root) {
            Some(Node::Container { kind, .. }) => *kind == ContainerKind::Dict,
            Some(Node::Call(call)) => match call.callee {
                Value::Global(id) | Value::Instance(id) => self.trace.callable_name(id) == "collections.OrderedDict",
                _ => false,
            },
            None => false,
        };
        let plain = |found: &FoundTensor| found.excluded.is_none() && found.composite.is_none() && !found.auxiliary;
        dict && self.other_count == 0 && self.found.iter().all(|found| plain(found) && self.is_root_item(found.step))
    }

    /// Whether exactly one key, a text, leads from the value to the step.
    fn is_root_item(&self, id: u32) -> bool {
        let (mut at, mut keys) = (Some(id), 0);
        while let Some(step) = at.and_then(|id| self.steps.get(id as usize)) {
            match step.part {
                PathPart::Transparent => {}
                PathPart::Key(Value::Text { .. }) => keys += 1,
                _ => return false,
            }
            at = step.parent;
        }
        keys == 1
    }

    /// The topmost step of this path.
    fn find_root(&self, path: &str) -> Result<u32, Vec<String>> {
        let ids = 0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        let found = ids.clone().find(|id| self.has_key(*id) && self.path_name(*id, None) == path);
        found.ok_or_else(|| {
            let keyed = ids.filter(|id| self.has_key(*id)).map(|id| self.path_name(id, None));
            let mut paths: Vec<String> = keyed.filter(|name| !name.contains('.')).take(20).collect();
            paths.dedup();
            paths
        })
    }

    fn has_key(&self, id: u32) -> bool {
        self.steps.get(id as usize).is_some_and(|step| matches!(step.part, PathPart::Key(_) | PathPart::Index(_)))
    }

    /// The `state_dict` that contains all tensors.
    fn common_state_dict(&self) -> Option<u32> {
        let free = || self.found.iter().filter(|found| found.excluded.is_none());
        let mut roots: Vec<_> =
            free().map(|found| self.steps.get(found.step as usize).and_then(|step| step.state_dict)).collect();
        roots.dedup();
        match roots.as_slice() {
            // A tensor that is itself the value of the key `state_dict` has that name.
            [Some(one)] if !free().any(|found| self.is_root_value(found.step, Some(*one))) => Some(*one),
            _ => None,
        }
    }

    fn is_below(&self, id: u32, root: u32) -> bool {
        let mut at = Some(id);
        while let Some(id) = at {
            if id == root {
                return true;
            }
            at = self.steps.get(id as usize).and_then(|step| step.parent);
        }
        false
    }

    /// The keys between `root` and a step, joined by dots.
    fn path_name(&self, id: u32, root: Option<u32>) -> String {
        let mut parts = Vec::new();
        let mut at = Some(id);
        while at != root {
            let Some(step) = at.and_then(|id| self.steps.get(id as usize)) else { break };
            parts.extend(self.part_text(step.part));
            at = step.parent;
        }
        parts.reverse();
        match parts.as_mut_slice() {
            [one] => std::mem::take(one).into_owned(),
            parts => parts.join("."),
        }
    }

    /// Whether no key is between `root` and a step.
    fn is_root_value(&self, id: u32, root: Option<u32>) -> bool {
        let mut at = Some(id);
        while at != root {
            let Some(step) = at.and_then(|id| self.steps.get(id as usize)) else { break };
            if step.part != PathPart::Transparent {
                return false;
            }
            at = step.parent;
        }
        true
    }

    /// Whether a key between `root` and a step is too long for a name.
    fn has_too_long_key(&self, id: u32, root: Option<u32>) -> bool {
        let mut at = Some(id);
        while at != root {
            let Some(step) = at.and_then(|id| self.steps.get(id as usize)) else { break };
            if matches!(step.part, PathPart::Key(Value::Text { len, .. }) if len as usize > MAX_NAME_PART_BYTES) {
                return true;
            }
            at = step.parent;
        }
        false
    }

    /// The full path of a child of a step.
    fn path(&self, parent: u32, part: PathPart) -> String {
        let parent = self.path_name(parent, None);
        match self.part_text(part) {
            Some(part) if parent.is_empty() => part.into_owned(),
            Some(part) => format!("{parent}.{part}"),
            None => parent,
        }
    }

    fn part_text(&self, part: PathPart) -> Option<Cow<'_, str>> {
        match part {
            PathPart::Transparent => None,
            PathPart::Key(key) => Some(self.key_text(key)),
            PathPart::Index(index) => Some(index.to_string().into()),
            PathPart::Name(name) => Some(name.into()),
        }
    }

    fn key_text(&self, key: Value) -> Cow<'_, str> {
        self.trace.short_text(key, MAX_NAME_PART_BYTES).unwrap_or_else(|| preview::value(self.trace, key).into())
    }
}
