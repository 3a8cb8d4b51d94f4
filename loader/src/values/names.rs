//! From paths to names: keys joined by dots, below a root.
//!
//! The root is what `--root` names; else, where all tensors stand under one `state_dict`, that one; else the value itself.

use crate::bounds::{MAX_NAME_PART_BYTES, MAX_NAMES_BYTES};
use crate::values::tensor::TensorDescription;
use crate::values::walk::{Exclusion, FoundTensor, PathPart, Walk};
use scanner::internal::pickle::preview;
use scanner::internal::pickle::value::{Kind, Node, Value};
use std::borrow::Cow;

/// The name of a tensor that is all there is.
pub const SINGLE_TENSOR_NAME: &str = "tensor";

/// A tensor and its name.
pub(crate) struct NamedTensor {
    pub(crate) name: String,
    pub(crate) tensor: TensorDescription,
    pub(crate) composite: Option<&'static str>,
    pub(crate) auxiliary: bool,
    pub(crate) excluded: Option<Exclusion>,
    /// Whether it stands below the root.
    pub(crate) below_root: bool,
    /// Whether no key leads to it: an empty key is a key.
    pub(crate) is_root: bool,
}

/// What there is to say of a pickle beside its named tensors.
pub(crate) struct NamedValues {
    /// The root, where it is not the value itself.
    pub(crate) root: Option<String>,
    /// What is no tensor: a path and what stands there.
    pub(crate) other_values: Vec<(String, String)>,
    /// Things left out that have no line of their own.
    pub(crate) other_values_more: u64,
    /// Whether each tensor is an item of one dict, under its name, and nothing else is.
    pub(crate) flat: bool,
    /// Why these may not be all.
    pub(crate) incomplete_reason: Option<&'static str>,
}

impl Walk<'_> {
    /// Names everything, and gives each tensor to `take` as soon as it has its name. `wanted` is the path of a root.
    ///
    /// # Errors
    /// When there is no such root: then the paths that there are, topmost first.
    pub(crate) fn name_tensors(
        mut self,
        wanted: Option<&str>,
        mut take: impl FnMut(NamedTensor),
    ) -> Result<NamedValues, Vec<String>> {
        let root = match wanted {
            Some(wanted) => Some(self.find_root(wanted)?),
            None => self.common_state_dict(),
        };
        let flat = self.flat();
        let mut room = MAX_NAMES_BYTES;
        for found in std::mem::take(&mut self.found) {
            let below = root.is_none_or(|root| self.is_below(found.step, root));
            let root = root.filter(|_| below);
            if self.has_too_long_key(found.step, root) {
                self.incomplete_reason = Some("a key of it is longer than any name");
            }
            let (name, bare) = (self.path_name(found.step, root), self.is_root_value(found.step, root));
            match room.checked_sub(name.len()) {
                Some(left) => room = left,
                None => {
                    self.incomplete_reason = Some("its names take more memory than they are allowed");
                    break;
                }
            }
            let (special, hidden, blocked) = (found.composite_kind, found.auxiliary, found.excluded);
            take(NamedTensor {
                name,
                tensor: found.tensor,
                composite: special,
                auxiliary: hidden,
                excluded: blocked,
                below_root: below,
                is_root: bare,
            });
        }
        let mut left = Vec::new();
        for one in &self.other_values {
            let path = self.path(one.parent, one.part);
            let Some(rest) = room.checked_sub(path.len()) else { break };
            room = rest;
            left.push((path, one.what.clone()));
        }
        Ok(NamedValues {
            root: root.map(|root| self.path_name(root, None)),
            other_values_more: self.other_count.saturating_sub(left.len() as u64),
            other_values: left,
            flat,
            incomplete_reason: self.incomplete_reason,
        })
    }

    /// Whether the value is a dict, plain or ordered, of texts and tensors.
    fn flat(&self) -> bool {
        let Some(Value::Node(root)) = self.trace.root else { return false };
        let dict = match self.trace.heap.get(root) {
            Some(Node::Container { kind, .. }) => *kind == Kind::Dict,
            Some(Node::Call(call)) => match call.callee {
                Value::Global(id) | Value::Instance(id) => self.trace.callable_name(id) == "collections.OrderedDict",
                _ => false,
            },
            None => false,
        };
        let plain =
            |found: &FoundTensor| found.excluded.is_none() && found.composite_kind.is_none() && !found.auxiliary;
        dict && self.other_count == 0 && self.found.iter().all(|found| plain(found) && self.is_root_item(found.step))
    }

    /// Whether it is reached from the root by one key that is a text.
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

    /// The topmost step of that name.
    fn find_root(&self, wanted: &str) -> Result<u32, Vec<String>> {
        let ids = 0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        let found = ids.clone().find(|id| self.has_key(*id) && self.path_name(*id, None) == wanted);
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

    /// The one `state_dict` that all tensors stand under.
    fn common_state_dict(&self) -> Option<u32> {
        let free = || self.found.iter().filter(|found| found.excluded.is_none());
        let mut roots: Vec<_> =
            free().map(|found| self.steps.get(found.step as usize).and_then(|step| step.state_dict)).collect();
        roots.dedup();
        match roots.as_slice() {
            // A tensor under that very key is named by it.
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

    /// The keys on the way, joined by dots, below `root`.
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

    /// Whether no key stands between it and `root`.
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

    /// Whether a key on the way is too long to be written out.
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

    /// The full path of something below a step.
    fn path(&self, above: u32, part: PathPart) -> String {
        let above = self.path_name(above, None);
        match self.part_text(part) {
            Some(part) if above.is_empty() => part.into_owned(),
            Some(part) => format!("{above}.{part}"),
            None => above,
        }
    }

    fn part_text(&self, part: PathPart) -> Option<Cow<'_, str>> {
        match part {
            PathPart::Transparent => None,
            PathPart::Key(key) => Some(self.key_text(key)),
            PathPart::Index(index) => Some(index.to_string().into()),
            PathPart::Name(word) => Some(word.into()),
        }
    }

    fn key_text(&self, key: Value) -> Cow<'_, str> {
        self.trace.shown(key, MAX_NAME_PART_BYTES).unwrap_or_else(|| preview::value(self.trace, key).into())
    }
}
