//! The tensors of a source, named and bound to their bytes, before each has its place in the result. What cannot be one is
//! refused by name, what is none is left out by name: nothing is lost without a word.

use crate::bytes::dtype::Dtype;
use crate::bytes::tensor_source::Data;
use crate::plan::lossless_parts;
use crate::plan::storage::Storages;
use crate::values::names::{BARE, Named};
use crate::values::tensor::Numbers;
use crate::values::walk::{Blocked, walk};
use serde_json::Value;
use std::collections::BTreeMap;

/// A tensor that can be written.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    /// As safetensors counts.
    pub(crate) shape: Vec<u64>,
    pub(crate) data: Data,
}

/// A tensor that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// Its name; empty where it is about all of them.
    pub name: String,
    /// Why, and what to do.
    pub why: String,
}

/// Something of the source that is not in the result.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// The path of keys to it, or its name in the archive.
    pub name: String,
    /// What it is and why it is left out.
    pub why: String,
    /// Whether it is a tensor.
    pub tensor: bool,
}

/// All tensors of a source.
#[derive(Default)]
pub(crate) struct Drafts {
    pub(crate) tensors: Vec<Draft>,
    pub(crate) left_out: Vec<LeftOut>,
    /// Things left out that have no line of their own.
    pub(crate) left_out_more: u64,
    pub(crate) refused: Vec<Refused>,
    /// Whether a refusal is about what an unknown function would do.
    pub(crate) unknown: bool,
    /// The part of the value that was taken, where it is not all of it.
    pub(crate) root: Option<String>,
    /// Whether it is a dict from names to tensors and nothing else.
    pub(crate) flat: bool,
    /// What stands for tensors that safetensors cannot hold.
    pub(crate) parts: BTreeMap<String, Value>,
    /// What the source itself has as `__metadata__`.
    pub(crate) metadata: BTreeMap<String, String>,
    /// What `format` says in the metadata, where the source does not say it.
    pub(crate) framework: &'static str,
}

/// What is asked of a pickle.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) root: Option<&'a str>,
    pub(crate) lossless_parts: bool,
    /// Whether all callables of the file are known to be inert.
    pub(crate) proven: bool,
}

impl Drafts {
    /// Refuses something.
    pub(crate) fn refuse(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.refused.push(Refused { name: name.into(), why: why.into() });
    }

    /// Leaves something out that is no tensor.
    pub(crate) fn leave(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.left_out.push(LeftOut { name: name.into(), why: why.into(), tensor: false });
    }

    /// Leaves a tensor out.
    pub(crate) fn leave_tensor(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.left_out.push(LeftOut { name: name.into(), why: why.into(), tensor: true });
    }

    /// Keeps what stands under a path of names that no pickle gave.
    pub(crate) fn keep_under(&mut self, root: &str) {
        let rest = |name: &str| match name.strip_prefix(root) {
            Some("") => Some(BARE.to_owned()),
            rest => Some(rest?.strip_prefix('.')?.to_owned()),
        };
        let mut kept = Vec::new();
        for mut draft in std::mem::take(&mut self.tensors) {
            match rest(&draft.name) {
                Some(name) => {
                    draft.name = name;
                    kept.push(draft);
                }
                None => self.leave_tensor(draft.name, "it stands outside of the part that is converted"),
            }
        }
        self.tensors = kept;
        self.refused.retain(|refused| refused.name.is_empty() || rest(&refused.name).is_some());
        self.parts =
            std::mem::take(&mut self.parts).into_iter().filter_map(|(name, of)| Some((rest(&name)?, of))).collect();
        if self.tensors.is_empty() && self.refused.is_empty() {
            self.refuse(root, "there is nothing under this path");
        }
        self.root = Some(root.to_owned());
    }

    /// Takes in the tensors of a pickle.
    pub(crate) fn pickle(&mut self, storages: &mut Storages<'_>, wanted: &Wanted<'_>) {
        let (refused, left) = (self.refused.len(), self.left_out.len());
        let walk = walk(storages.trace, wanted.proven);
        match walk.named(wanted.root, |named| self.named(named, storages, wanted)) {
            // What holds for all of it goes before what is said of single tensors.
            Ok(names) => {
                if let Some(why) = names.lacking {
                    let why = format!("not all tensors can be named: {why}");
                    self.refused.insert(refused, Refused { name: String::new(), why });
                }
                (self.root, self.flat) = (names.root, names.flat);
                let more = names.left.into_iter().map(|(name, why)| LeftOut { name, why, tensor: false });
                self.left_out.splice(left..left, more);
                self.left_out_more += names.left_more;
            }
            Err(paths) => {
                let there = if paths.is_empty() { "nothing with a name".to_owned() } else { paths.join(", ") };
                let root = wanted.root.unwrap_or_default();
                self.refuse(root, format!("there is nothing under this path; there is {there}"));
            }
        }
    }

    fn named(&mut self, mut named: Named, storages: &mut Storages<'_>, wanted: &Wanted<'_>) {
        if named.bare {
            BARE.clone_into(&mut named.name);
        }
        let name = &named.name;
        if !named.below {
            return self.leave_tensor(name.as_str(), "it stands outside of the part that is converted");
        }
        match &named.blocked {
            None => {}
            Some(Blocked::Attribute) => {
                return self.leave_tensor(name.as_str(), "it is neither parameter nor buffer of its module");
            }
            Some(Blocked::NotPersistent) => {
                return self.leave_tensor(name.as_str(), "it is a buffer that its module does not keep in state dicts");
            }
            Some(Blocked::Beside) => {
                return self.leave_tensor(name.as_str(), "it is an attribute of what stands there, and no part of it");
            }
            Some(Blocked::Key) => {
                return self.leave_tensor(name.as_str(), "it is a key of a dict, and no name leads to it");
            }
            Some(Blocked::Storage) => {
                return self.leave_tensor(name.as_str(), "it is a storage, and no tensor says what shape it has");
            }
            Some(Blocked::Unordered) => {
                return self.refuse(name.as_str(), "it is in a set, where it has no name");
            }
            Some(Blocked::Unknown(function)) => {
                self.unknown |= !wanted.proven;
                let why = format!(
                    "it is reached through {function}, and what that makes of it is not known; --root converts a part without it"
                );
                return self.refuse(name.as_str(), why);
            }
        }
        if named.hidden && !wanted.lossless_parts {
            return;
        }
        if let Some(kind) = named.special
            && !named.hidden
            && !wanted.lossless_parts
        {
            let whole = name.rsplit_once('.').map_or(name.as_str(), |(whole, _)| whole);
            if self.refused.last().is_none_or(|last| last.name != whole) {
                self.refuse(whole, lossless_parts::refusal(kind));
            }
            return;
        }
        self.bind(named, storages, wanted);
    }

    fn bind(&mut self, named: Named, storages: &mut Storages<'_>, wanted: &Wanted<'_>) {
        let Named { name, tensor, special, .. } = named;
        if let Some(kind) = special {
            let whole = name.rsplit_once('.').map_or(name.as_str(), |(whole, _)| whole);
            self.parts.entry(whole.to_owned()).or_insert_with(|| serde_json::json!({ "kind": kind }));
        }
        if let Numbers::Wrong(why) = tensor.numbers {
            return self.refuse(name, why);
        }
        let shape = tensor.shown_shape();
        if matches!(tensor.numbers, Numbers::Absent) {
            if !wanted.lossless_parts {
                return self.refuse(name, lossless_parts::refusal("meta"));
            }
            let dtype = tensor.dtype.map_or("?", Dtype::word);
            let part = serde_json::json!({ "kind": "meta", "dtype": dtype, "shape": shape });
            self.parts.insert(name, part);
            return;
        }
        let per = tensor.dtype.and_then(Dtype::packed);
        if let (Some(per), Numbers::Stored(stored), Some(shape)) = (per, &tensor.numbers, &tensor.shape) {
            return match storages.packed(stored, shape, per) {
                Ok(packed) if wanted.lossless_parts => self.side(name, &tensor, packed.0, packed.1),
                Ok(_) => self.refuse(name, lossless_parts::refusal(&tensor.word)),
                Err(why) => self.refuse(name, why),
            };
        }
        match storages.find(&tensor) {
            Err(why) => self.refuse(name, why),
            Ok((data, dtype, found)) => {
                let held =
                    dtype.held().is_some() && (tensor.dtype.is_some() || matches!(tensor.numbers, Numbers::Keyed(_)));
                if held {
                    self.tensors.push(Draft { name, dtype, shape: shape.unwrap_or(found), data });
                } else if wanted.lossless_parts {
                    self.side(name, &tensor, data, found);
                } else {
                    self.refuse(name, lossless_parts::refusal(&tensor.word));
                }
            }
        }
    }

    /// Writes something that safetensors cannot hold as something that it can.
    fn side(&mut self, name: String, tensor: &crate::values::tensor::Tensor, data: Data, shape: Vec<u64>) {
        match lossless_parts::stand_in(&tensor.word, tensor.item, shape.clone()) {
            Some((word, dtype, stand_in_shape)) => {
                let part = serde_json::json!({ "kind": tensor.word, "shape": tensor.shape.clone().unwrap_or(shape) });
                self.parts.insert(name.clone(), part);
                self.tensors.push(Draft { name: format!("{name}.{word}"), dtype, shape: stand_in_shape, data });
            }
            None => self.refuse(name, lossless_parts::refusal(&tensor.word)),
        }
    }
}
