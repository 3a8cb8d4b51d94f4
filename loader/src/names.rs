//! From paths to names: keys joined by dots, below a root.
//!
//! The root is what `--root` names; else, where all tensors stand under one `state_dict`, that one; else the value itself.

use crate::tensor::Tensor;
use crate::walk::{Blocked, Found, Part, Walk};
use scanner::internal::pickle::preview;
use scanner::internal::pickle::value::{ContainerKind, Node, Value};
use std::borrow::Cow;

/// Bytes of all names together.
const NAMES: usize = 64 << 20;
/// Bytes of one key: longer ones are nobody's names.
const LONGEST: usize = 64 << 10;
/// The name of a tensor that is all there is.
pub const BARE: &str = "tensor";

/// A tensor and its name.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) tensor: Tensor,
    pub(crate) special: Option<&'static str>,
    pub(crate) hidden: bool,
    pub(crate) blocked: Option<Blocked>,
    /// Whether it stands below the root.
    pub(crate) below: bool,
    /// Whether no key leads to it: an empty key is a key.
    pub(crate) bare: bool,
}

/// What there is to say of a pickle beside its named tensors.
pub(crate) struct Names {
    /// The root, where it is not the value itself.
    pub(crate) root: Option<String>,
    /// What is no tensor: a path and what stands there.
    pub(crate) left: Vec<(String, String)>,
    /// Things left out that have no line of their own.
    pub(crate) left_more: u64,
    /// Whether each tensor is an item of one dict, under its name, and nothing else is.
    pub(crate) flat: bool,
    /// Why these may not be all.
    pub(crate) lacking: Option<&'static str>,
}

impl Walk<'_> {
    /// Names everything, and gives each tensor to `take` as soon as it has its name. `wanted` is the path of a root.
    ///
    /// # Errors
    /// When there is no such root: then the paths that there are, topmost first.
    pub(crate) fn named(mut self, wanted: Option<&str>, mut take: impl FnMut(Named)) -> Result<Names, Vec<String>> {
        let root = match wanted {
            Some(wanted) => Some(self.at(wanted)?),
            None => self.common(),
        };
        let flat = self.flat();
        let mut room = NAMES;
        for found in std::mem::take(&mut self.found) {
            let below = root.is_none_or(|root| self.below(found.step, root));
            let root = root.filter(|_| below);
            if self.too_long(found.step, root) {
                self.lacking = Some("a key of it is longer than any name");
            }
            let (name, bare) = (self.name(found.step, root), self.bare(found.step, root));
            match room.checked_sub(name.len()) {
                Some(left) => room = left,
                None => {
                    self.lacking = Some("its names take more memory than they are allowed");
                    break;
                }
            }
            let (special, hidden, blocked) = (found.special, found.hidden, found.blocked);
            take(Named { name, tensor: found.tensor, special, hidden, blocked, below, bare });
        }
        let mut left = Vec::new();
        for one in &self.left {
            let path = self.path(one.above, one.part);
            let Some(rest) = room.checked_sub(path.len()) else { break };
            room = rest;
            left.push((path, one.what.clone()));
        }
        Ok(Names {
            root: root.map(|root| self.name(root, None)),
            left_more: self.left_count.saturating_sub(left.len() as u64),
            left,
            flat,
            lacking: self.lacking,
        })
    }

    /// Whether the value is a dict, plain or ordered, of texts and tensors.
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
        let plain = |found: &Found| found.blocked.is_none() && found.special.is_none() && !found.hidden;
        dict && self.left_count == 0 && self.found.iter().all(|found| plain(found) && self.item(found.step))
    }

    /// Whether it is reached from the root by one key that is a text.
    fn item(&self, id: u32) -> bool {
        let (mut at, mut keys) = (Some(id), 0);
        while let Some(step) = at.and_then(|id| self.steps.get(id as usize)) {
            match step.part {
                Part::Nothing => {}
                Part::Key(Value::Text { .. }) => keys += 1,
                _ => return false,
            }
            at = step.above;
        }
        keys == 1
    }

    /// The topmost step of that name.
    fn at(&self, wanted: &str) -> Result<u32, Vec<String>> {
        let ids = 0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        let found = ids.clone().find(|id| self.steps_named(*id) && self.name(*id, None) == wanted);
        found.ok_or_else(|| {
            let keyed = ids.filter(|id| self.steps_named(*id)).map(|id| self.name(id, None));
            let mut paths: Vec<String> = keyed.filter(|name| !name.contains('.')).take(20).collect();
            paths.dedup();
            paths
        })
    }

    fn steps_named(&self, id: u32) -> bool {
        self.steps.get(id as usize).is_some_and(|step| matches!(step.part, Part::Key(_) | Part::Index(_)))
    }

    /// The one `state_dict` that all tensors stand under.
    fn common(&self) -> Option<u32> {
        let free = || self.found.iter().filter(|found| found.blocked.is_none());
        let mut roots: Vec<_> =
            free().map(|found| self.steps.get(found.step as usize).and_then(|step| step.state_dict)).collect();
        roots.dedup();
        match roots.as_slice() {
            // A tensor under that very key is named by it.
            [Some(one)] if !free().any(|found| self.bare(found.step, Some(*one))) => Some(*one),
            _ => None,
        }
    }

    fn below(&self, id: u32, root: u32) -> bool {
        let mut at = Some(id);
        while let Some(id) = at {
            if id == root {
                return true;
            }
            at = self.steps.get(id as usize).and_then(|step| step.above);
        }
        false
    }

    /// The keys on the way, joined by dots, below `root`.
    fn name(&self, id: u32, root: Option<u32>) -> String {
        let mut parts = Vec::new();
        let mut at = Some(id);
        while at != root {
            let Some(step) = at.and_then(|id| self.steps.get(id as usize)) else { break };
            parts.extend(self.part(step.part));
            at = step.above;
        }
        parts.reverse();
        match parts.as_mut_slice() {
            [one] => std::mem::take(one).into_owned(),
            parts => parts.join("."),
        }
    }

    /// Whether no key stands between it and `root`.
    fn bare(&self, id: u32, root: Option<u32>) -> bool {
        let mut at = Some(id);
        while at != root {
            let Some(step) = at.and_then(|id| self.steps.get(id as usize)) else { break };
            if step.part != Part::Nothing {
                return false;
            }
            at = step.above;
        }
        true
    }

    /// Whether a key on the way is too long to be written out.
    fn too_long(&self, id: u32, root: Option<u32>) -> bool {
        let mut at = Some(id);
        while at != root {
            let Some(step) = at.and_then(|id| self.steps.get(id as usize)) else { break };
            if matches!(step.part, Part::Key(Value::Text { len, .. }) if len as usize > LONGEST) {
                return true;
            }
            at = step.above;
        }
        false
    }

    /// The full path of something below a step.
    fn path(&self, above: u32, part: Part) -> String {
        let above = self.name(above, None);
        match self.part(part) {
            Some(part) if above.is_empty() => part.into_owned(),
            Some(part) => format!("{above}.{part}"),
            None => above,
        }
    }

    fn part(&self, part: Part) -> Option<Cow<'_, str>> {
        match part {
            Part::Nothing => None,
            Part::Key(key) => Some(self.key(key)),
            Part::Index(index) => Some(index.to_string().into()),
            Part::Word(word) => Some(word.into()),
        }
    }

    fn key(&self, key: Value) -> Cow<'_, str> {
        self.trace.short_text(key, LONGEST).unwrap_or_else(|| preview::value(self.trace, key).into())
    }
}
