//! Drafts: the tensors of a source with names and bytes, before each has its offset in the result. Tensors that cannot be
//! converted are refused by name, other values are left out by name.

use crate::bytes::dtype::Dtype;
use crate::bytes::tensor_source::TensorSource;
use crate::plan::left_out::{LeftOut, LeftOutReason};
use crate::plan::lossless_parts::{StandIn, stand_in};
use crate::plan::reason::Reason;
use crate::plan::storage::{ResolvedTensor, StorageResolver};
use crate::values::names::{NamedTensor, SINGLE_TENSOR_NAME};
use crate::values::tensor::{TensorData, TensorDescription};
use crate::values::walk::{Exclusion, walk};
use serde_json::Value;
use std::collections::BTreeMap;

/// A tensor that can be converted.
#[derive(Clone)]
pub(crate) struct DraftTensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    /// The length of each dimension, as safetensors counts elements.
    pub(crate) shape: Vec<u64>,
    pub(crate) source: TensorSource,
}

/// A tensor that cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// Its name; empty for reasons that concern all tensors of the file.
    pub name: String,
    /// Why. Its text names the option that helps, where one does.
    pub why: Reason,
}

/// The tensors of a source.
#[derive(Default)]
pub(crate) struct Drafts {
    pub(crate) tensors: Vec<DraftTensor>,
    pub(crate) left_out: Vec<LeftOut>,
    /// Number of values left out beyond those in `left_out`.
    pub(crate) left_out_more: u64,
    pub(crate) refused: Vec<Refused>,
    /// Whether a tensor is refused because it reaches an unknown callable.
    pub(crate) unknown_callable: bool,
    /// The path of the root; `None` for all of the source.
    pub(crate) root: Option<String>,
    /// Whether the source is a dict from names to tensors and nothing else.
    pub(crate) flat: bool,
    /// Tensors that are written as parts: kind and shape by name, as JSON.
    pub(crate) parts: BTreeMap<String, Value>,
    /// `__metadata__` of the source.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The value of `format` in the metadata, unless the source has one.
    pub(crate) framework: &'static str,
}

/// Which tensors of a pickle are converted, and how.
#[derive(Debug, Clone, Default)]
pub(crate) struct TensorSelection<'a> {
    /// The path of the root; `None` for the default.
    pub(crate) root: Option<&'a str>,
    pub(crate) lossless_parts: bool,
    /// Whether the scan proved that all callables of the file are inert.
    pub(crate) proven: bool,
}

impl Drafts {
    /// Refuses a tensor; an empty name refuses all of the file.
    pub(crate) fn refuse(&mut self, name: impl Into<String>, why: impl Into<Reason>) {
        self.refused.push(Refused { name: name.into(), why: why.into() });
    }

    /// Leaves out a value that is not a tensor.
    pub(crate) fn leave_out(&mut self, name: impl Into<String>, why: LeftOutReason) {
        self.left_out.push(LeftOut { name: name.into(), why, tensor: false });
    }

    /// Leaves out a tensor.
    pub(crate) fn leave_out_tensor(&mut self, name: impl Into<String>, why: LeftOutReason) {
        self.left_out.push(LeftOut { name: name.into(), why, tensor: true });
    }

    /// Keeps the tensors below a root, for formats whose names do not come from a pickle.
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
                None => self.leave_out_tensor(draft.name, LeftOutReason::OutsideRoot),
            }
        }
        self.tensors = kept;
        self.refused.retain(|refused| refused.name.is_empty() || rest(&refused.name).is_some());
        let parts = std::mem::take(&mut self.parts).into_iter();
        self.parts = parts.filter_map(|(name, part)| Some((rest(&name)?, part))).collect();
        if self.tensors.is_empty() && self.refused.is_empty() {
            self.refuse(root, Reason::NoSuchRoot { present: None });
        }
        self.root = Some(root.to_owned());
    }

    /// Adds the tensors of a pickle.
    pub(crate) fn add_pickle(&mut self, storages: &mut StorageResolver<'_>, selection: &TensorSelection<'_>) {
        let (refused, left_out) = (self.refused.len(), self.left_out.len());
        let walk = walk(storages.trace, selection.proven);
        match walk.name_tensors(selection.root, |named| self.add_named(named, storages, selection)) {
            // Reasons and values that concern the pickle go before those of single tensors.
            Ok(names) => {
                if let Some(reason) = names.incomplete_reason {
                    self.refused.insert(refused, Refused { name: String::new(), why: reason.into() });
                }
                (self.root, self.flat) = (names.root, names.flat);
                let others = names.other_values.into_iter().map(|(name, kind)| {
                    let why = LeftOutReason::Value(kind);
                    LeftOut { name, why, tensor: false }
                });
                self.left_out.splice(left_out..left_out, others);
                self.left_out_more += names.other_values_more;
            }
            Err(paths) => {
                let root = selection.root.unwrap_or_default();
                self.refuse(root, Reason::NoSuchRoot { present: Some(paths) });
            }
        }
    }

    fn add_named(
        &mut self,
        mut named: NamedTensor,
        storages: &mut StorageResolver<'_>,
        selection: &TensorSelection<'_>,
    ) {
        if named.is_root {
            SINGLE_TENSOR_NAME.clone_into(&mut named.name);
        }
        let name = named.name.as_str();
        if !named.below_root {
            return self.leave_out_tensor(name, LeftOutReason::OutsideRoot);
        }
        match &named.excluded {
            None => {}
            Some(Exclusion::SetMember) => return self.refuse(name, Reason::SetItem),
            Some(Exclusion::UnknownCallable(function)) => {
                self.unknown_callable |= !selection.proven;
                return self.refuse(name, Reason::UnknownCallable { function: function.clone() });
            }
            Some(Exclusion::ModuleAttribute) => return self.leave_out_tensor(name, LeftOutReason::ModuleAttribute),
            Some(Exclusion::NonPersistentBuffer) => {
                return self.leave_out_tensor(name, LeftOutReason::NonPersistentBuffer);
            }
            Some(Exclusion::ObjectAttribute) => return self.leave_out_tensor(name, LeftOutReason::ObjectAttribute),
            Some(Exclusion::DictKey) => return self.leave_out_tensor(name, LeftOutReason::DictKey),
            Some(Exclusion::BareStorage) => return self.leave_out_tensor(name, LeftOutReason::BareStorage),
        }
        if named.auxiliary && !selection.lossless_parts {
            return;
        }
        if let Some(kind) = named.composite
            && !named.auxiliary
            && !selection.lossless_parts
        {
            let composite = composite_name(name);
            if self.refused.last().is_none_or(|last| last.name != composite) {
                self.refuse(composite, Reason::NotInSafetensors { kind: kind.to_owned() });
            }
            return;
        }
        self.add_resolved(named, storages, selection);
    }

    fn add_resolved(
        &mut self,
        named: NamedTensor,
        storages: &mut StorageResolver<'_>,
        selection: &TensorSelection<'_>,
    ) {
        let NamedTensor { name, tensor, composite, .. } = named;
        if let Some(kind) = composite {
            let part = || serde_json::json!({ "kind": kind });
            self.parts.entry(composite_name(&name).to_owned()).or_insert_with(part);
        }
        if let TensorData::Invalid(reason) = tensor.elements {
            return self.refuse(name, reason);
        }
        let shape = tensor.safetensors_shape();
        if matches!(tensor.elements, TensorData::Meta) {
            if !selection.lossless_parts {
                return self.refuse(name, Reason::NotInSafetensors { kind: "meta".to_owned() });
            }
            let dtype = tensor.dtype.map_or("?", Dtype::name);
            let part = serde_json::json!({ "kind": "meta", "dtype": dtype, "shape": shape });
            self.parts.insert(name, part);
            return;
        }
        let per_byte = tensor.dtype.and_then(Dtype::quantized_per_byte);
        if let (Some(per_byte), TensorData::Storage(stored), Some(shape)) = (per_byte, &tensor.elements, &tensor.shape)
        {
            return match storages.resolve_packed(stored, shape, per_byte) {
                Ok((source, shape)) if selection.lossless_parts => self.add_stand_in(name, &tensor, source, shape),
                Ok(_) => self.refuse(name, not_in_safetensors(&tensor)),
                Err(reason) => self.refuse(name, reason),
            };
        }
        match storages.resolve(&tensor) {
            Err(reason) => self.refuse(name, reason),
            Ok(ResolvedTensor { source, dtype, shape: resolved_shape }) => {
                let is_typed = tensor.dtype.is_some() || matches!(tensor.elements, TensorData::TarKey(_));
                if dtype.safetensors().is_some() && is_typed {
                    let shape = shape.unwrap_or(resolved_shape);
                    self.tensors.push(DraftTensor { name, dtype, shape, source });
                } else if selection.lossless_parts {
                    self.add_stand_in(name, &tensor, source, resolved_shape);
                } else {
                    self.refuse(name, not_in_safetensors(&tensor));
                }
            }
        }
    }

    /// Adds a tensor that safetensors does not have as one that it has.
    fn add_stand_in(&mut self, name: String, tensor: &TensorDescription, source: TensorSource, shape: Vec<u64>) {
        match stand_in(&tensor.dtype_name, tensor.element_size, shape.clone()) {
            Some(StandIn { suffix, dtype, shape: stand_in_shape }) => {
                let shape = tensor.shape.clone().unwrap_or(shape);
                let part = serde_json::json!({ "kind": tensor.dtype_name, "shape": shape });
                self.parts.insert(name.clone(), part);
                let name = format!("{name}.{suffix}");
                self.tensors.push(DraftTensor { name, dtype, shape: stand_in_shape, source });
            }
            None => self.refuse(name, not_in_safetensors(tensor)),
        }
    }
}

/// The name of the tensor that a component belongs to.
fn composite_name(component: &str) -> &str {
    component.rsplit_once('.').map_or(component, |(composite, _)| composite)
}

fn not_in_safetensors(tensor: &TensorDescription) -> Reason {
    Reason::NotInSafetensors { kind: tensor.dtype_name.clone().into_owned() }
}
