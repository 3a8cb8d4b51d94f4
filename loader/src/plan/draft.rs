//! The tensors of a source, named and bound to their bytes, before each has its place in the result. What cannot be one is
//! refused by name, what is none is left out by name: nothing is lost without a word.

use crate::bytes::dtype::Dtype;
use crate::bytes::tensor_source::TensorSource;
use crate::plan::lossless_parts;
use crate::plan::storage::StorageResolver;
use crate::values::names::{NamedTensor, SINGLE_TENSOR_NAME};
use crate::values::tensor::TensorData;
use crate::values::walk::{Exclusion, walk};
use serde_json::Value;
use std::collections::BTreeMap;

/// A tensor that can be written.
#[derive(Clone)]
pub(crate) struct DraftTensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    /// As safetensors counts.
    pub(crate) shape: Vec<u64>,
    pub(crate) source: TensorSource,
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
    pub(crate) tensors: Vec<DraftTensor>,
    pub(crate) left_out: Vec<LeftOut>,
    /// Things left out that have no line of their own.
    pub(crate) left_out_more: u64,
    pub(crate) refused: Vec<Refused>,
    /// Whether a refusal is about what an unknown function would do.
    pub(crate) unknown_callable: bool,
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
pub(crate) struct TensorSelection<'a> {
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
    pub(crate) fn leave_out(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.left_out.push(LeftOut { name: name.into(), why: why.into(), tensor: false });
    }

    /// Leaves a tensor out.
    pub(crate) fn leave_out_tensor(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.left_out.push(LeftOut { name: name.into(), why: why.into(), tensor: true });
    }

    /// Keeps what stands under a path of names that no pickle gave.
    pub(crate) fn select_root(&mut self, root: &str) {
        let rest = |name: &str| match name.strip_prefix(root) {
            Some("") => Some(SINGLE_TENSOR_NAME.to_owned()),
            rest => Some(rest?.strip_prefix('.')?.to_owned()),
        };
        let mut kept = Vec::new();
        for mut draft in std::mem::take(&mut self.tensors) {
            match rest(&draft.name) {
                Some(name) => {
                    draft.name = name;
                    kept.push(draft);
                }
                None => self.leave_out_tensor(draft.name, "it stands outside of the part that is converted"),
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
    pub(crate) fn add_pickle(&mut self, storages: &mut StorageResolver<'_>, wanted: &TensorSelection<'_>) {
        let (refused, left) = (self.refused.len(), self.left_out.len());
        let walk = walk(storages.trace, wanted.proven);
        match walk.name_tensors(wanted.root, |named| self.add_named(named, storages, wanted)) {
            // What holds for all of it goes before what is said of single tensors.
            Ok(names) => {
                if let Some(why) = names.incomplete_reason {
                    let why = format!("not all tensors can be named: {why}");
                    self.refused.insert(refused, Refused { name: String::new(), why });
                }
                (self.root, self.flat) = (names.root, names.flat);
                let more = names.other_values.into_iter().map(|(name, why)| LeftOut { name, why, tensor: false });
                self.left_out.splice(left..left, more);
                self.left_out_more += names.other_values_more;
            }
            Err(paths) => {
                let there = if paths.is_empty() { "nothing with a name".to_owned() } else { paths.join(", ") };
                let root = wanted.root.unwrap_or_default();
                self.refuse(root, format!("there is nothing under this path; there is {there}"));
            }
        }
    }

    fn add_named(&mut self, mut named: NamedTensor, storages: &mut StorageResolver<'_>, wanted: &TensorSelection<'_>) {
        if named.is_root {
            SINGLE_TENSOR_NAME.clone_into(&mut named.name);
        }
        let name = &named.name;
        if !named.below_root {
            return self.leave_out_tensor(name.as_str(), "it stands outside of the part that is converted");
        }
        match &named.excluded {
            None => {}
            Some(Exclusion::ModuleAttribute) => {
                return self.leave_out_tensor(name.as_str(), "it is neither parameter nor buffer of its module");
            }
            Some(Exclusion::NonPersistentBuffer) => {
                return self
                    .leave_out_tensor(name.as_str(), "it is a buffer that its module does not keep in state dicts");
            }
            Some(Exclusion::ObjectAttribute) => {
                return self
                    .leave_out_tensor(name.as_str(), "it is an attribute of what stands there, and no part of it");
            }
            Some(Exclusion::DictKey) => {
                return self.leave_out_tensor(name.as_str(), "it is a key of a dict, and no name leads to it");
            }
            Some(Exclusion::BareStorage) => {
                return self.leave_out_tensor(name.as_str(), "it is a storage, and no tensor says what shape it has");
            }
            Some(Exclusion::SetMember) => {
                return self.refuse(name.as_str(), "it is in a set, where it has no name");
            }
            Some(Exclusion::UnknownCallable(function)) => {
                self.unknown_callable |= !wanted.proven;
                let why = format!(
                    "it is reached through {function}, and what that makes of it is not known; --root converts a part without it"
                );
                return self.refuse(name.as_str(), why);
            }
        }
        if named.auxiliary && !wanted.lossless_parts {
            return;
        }
        if let Some(kind) = named.composite
            && !named.auxiliary
            && !wanted.lossless_parts
        {
            let whole = name.rsplit_once('.').map_or(name.as_str(), |(whole, _)| whole);
            if self.refused.last().is_none_or(|last| last.name != whole) {
                self.refuse(whole, lossless_parts::refusal(kind));
            }
            return;
        }
        self.add_resolved(named, storages, wanted);
    }

    fn add_resolved(&mut self, named: NamedTensor, storages: &mut StorageResolver<'_>, wanted: &TensorSelection<'_>) {
        let NamedTensor { name, tensor, composite: special, .. } = named;
        if let Some(kind) = special {
            let whole = name.rsplit_once('.').map_or(name.as_str(), |(whole, _)| whole);
            self.parts.entry(whole.to_owned()).or_insert_with(|| serde_json::json!({ "kind": kind }));
        }
        if let TensorData::Invalid(why) = tensor.elements {
            return self.refuse(name, why);
        }
        let shape = tensor.safetensors_shape();
        if matches!(tensor.elements, TensorData::Meta) {
            if !wanted.lossless_parts {
                return self.refuse(name, lossless_parts::refusal("meta"));
            }
            let dtype = tensor.dtype.map_or("?", Dtype::name);
            let part = serde_json::json!({ "kind": "meta", "dtype": dtype, "shape": shape });
            self.parts.insert(name, part);
            return;
        }
        let per = tensor.dtype.and_then(Dtype::quantized_per_byte);
        if let (Some(per), TensorData::Storage(stored), Some(shape)) = (per, &tensor.elements, &tensor.shape) {
            return match storages.resolve_packed(stored, shape, per) {
                Ok(packed) if wanted.lossless_parts => self.add_stand_in(name, &tensor, packed.0, packed.1),
                Ok(_) => self.refuse(name, lossless_parts::refusal(&tensor.dtype_name)),
                Err(why) => self.refuse(name, why),
            };
        }
        match storages.resolve(&tensor) {
            Err(why) => self.refuse(name, why),
            Ok((data, dtype, found)) => {
                let held = dtype.safetensors().is_some()
                    && (tensor.dtype.is_some() || matches!(tensor.elements, TensorData::TarKey(_)));
                if held {
                    self.tensors.push(DraftTensor { name, dtype, shape: shape.unwrap_or(found), source: data });
                } else if wanted.lossless_parts {
                    self.add_stand_in(name, &tensor, data, found);
                } else {
                    self.refuse(name, lossless_parts::refusal(&tensor.dtype_name));
                }
            }
        }
    }

    /// Writes something that safetensors cannot hold as something that it can.
    fn add_stand_in(
        &mut self,
        name: String,
        tensor: &crate::values::tensor::TensorDescription,
        data: TensorSource,
        shape: Vec<u64>,
    ) {
        match lossless_parts::stand_in(&tensor.dtype_name, tensor.element_size, shape.clone()) {
            Some((word, dtype, stand_in_shape)) => {
                let part =
                    serde_json::json!({ "kind": tensor.dtype_name, "shape": tensor.shape.clone().unwrap_or(shape) });
                self.parts.insert(name.clone(), part);
                self.tensors.push(DraftTensor {
                    name: format!("{name}.{word}"),
                    dtype,
                    shape: stand_in_shape,
                    source: data,
                });
            }
            None => self.refuse(name, lossless_parts::refusal(&tensor.dtype_name)),
        }
    }
}
