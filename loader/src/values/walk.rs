//! Visits the values of a pickle from the root on and collects tensors, each with the path of keys to it.
//!
//! It uses a worklist, not recursion. Each step is a value and the way to it from its parent. Steps form a tree in an arena,
//! so names are made only for tensors. A value that contains itself is not visited again on its own path. A shared value is
//! visited once for each path, as in a state dict. The number of steps is bounded: a few hundred bytes of shared lists have
//! an exponential number of paths. `object` visits the contents of objects, `names` makes names of paths.

use crate::bounds::{MAX_DEPTH, MAX_KEY_BYTES, MAX_OTHER_VALUES, MAX_STEPS, MAX_TENSORS, MAX_VALUES};
use crate::values::constructed::Constructed;
use crate::values::incomplete::IncompleteReason;
use crate::values::keys::dedup_keys;
use crate::values::tensor::{Component, InvalidTensor, TensorData, TensorDescription};
use crate::values::trace_ext::{import, key_value_pairs, qualified_name};
use crate::values::value_kind::ValueKind;
use crate::values::{numpy, torch};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, ContainerKind, Items, NodeId, Value};

/// How a value is reached from its parent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum PathPart {
    /// Without a name: from a parameter to its tensor, from a module to its state.
    Transparent,
    /// By a key.
    Key(Value),
    /// By its index.
    Index(usize),
    /// By a name that the loader gives, such as `scale`.
    Name(&'static str),
}

/// Why a tensor in the pickle is not a tensor of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exclusion {
    /// It is an argument of this callable, which is not known to be inert.
    UnknownCallable(String),
    /// An attribute of a module other than parameters and buffers: not part of state dicts.
    ModuleAttribute,
    /// A buffer with `persistent=False`: not part of state dicts.
    NonPersistentBuffer,
    /// An item of a set, where it has neither key nor index.
    SetMember,
    /// A key of a dict: only values have names.
    DictKey,
    /// A storage without a tensor.
    BareStorage,
    /// An attribute of a tensor or dict.
    ObjectAttribute,
}

/// A value and the way to it.
#[derive(Clone, Copy)]
pub(crate) struct PathStep {
    pub(crate) parent: Option<u32>,
    pub(crate) part: PathPart,
    pub(crate) value: Value,
    depth: u16,
    /// The topmost ancestor that is reached by the key `state_dict`.
    pub(crate) state_dict: Option<u32>,
    /// Index of the reason why its tensors are excluded.
    excluded: Option<u32>,
    /// Layout of the tensor that it is a component of.
    composite: Option<&'static str>,
    /// Whether it belongs to another tensor, as scale and zero point do: such tensors are not listed.
    auxiliary: bool,
}

/// A tensor and the step that leads to it.
pub(crate) struct FoundTensor {
    pub(crate) step: u32,
    pub(crate) tensor: TensorDescription,
    pub(crate) composite: Option<&'static str>,
    pub(crate) auxiliary: bool,
    pub(crate) excluded: Option<Exclusion>,
}

/// A value that is not a tensor.
pub(crate) struct OtherValue {
    pub(crate) parent: u32,
    pub(crate) part: PathPart,
    pub(crate) kind: ValueKind,
}

/// The state of a walk, and its results.
pub(crate) struct Walk<'a> {
    pub(crate) trace: &'a Trace,
    /// Whether the scan proved that all callables of the file are inert.
    pub(crate) proven: bool,
    pub(crate) steps: Vec<PathStep>,
    worklist: Vec<u32>,
    pub(crate) found: Vec<FoundTensor>,
    pub(crate) other_values: Vec<OtherValue>,
    pub(crate) other_count: u64,
    exclusions: Vec<Exclusion>,
    value_count: usize,
    /// Why these may not be all tensors.
    pub(crate) incomplete_reason: Option<IncompleteReason>,
}

/// Visits all values of a pickle. `proven`: the scan proved that all its callables are inert.
pub(crate) fn walk(trace: &Trace, proven: bool) -> Walk<'_> {
    let mut walk = Walk {
        trace,
        proven,
        steps: Vec::new(),
        worklist: Vec::new(),
        found: Vec::new(),
        other_values: Vec::new(),
        other_count: 0,
        exclusions: Vec::new(),
        value_count: 0,
        incomplete_reason: trace.heap.overflowed().then_some(IncompleteReason::HeapFull),
    };
    if let Some(root) = trace.root {
        walk.push(None, PathPart::Transparent, root);
    }
    walk.run();
    walk
}

impl Walk<'_> {
    fn run(&mut self) {
        while let Some(id) = self.worklist.pop() {
            if self.found.len() >= MAX_TENSORS || self.value_count >= MAX_VALUES {
                self.incomplete_reason = Some(IncompleteReason::TooManyValues);
                break;
            }
            let before = self.worklist.len();
            if let Some(step) = self.steps.get(id as usize).copied() {
                self.visit(id, step);
            }
            // The worklist is a stack: reversed, tensors are found in the order of the pickle.
            self.worklist.get_mut(before..).unwrap_or_default().reverse();
        }
    }

    /// Adds a value to the worklist if it can contain a tensor. Returns its step.
    pub(crate) fn push(&mut self, parent: Option<u32>, part: PathPart, value: Value) -> Option<u32> {
        self.value_count += 1;
        match value {
            Value::Node(node) if self.is_ancestor(parent, node) => return None,
            Value::Node(_) => {}
            Value::Opaque(_) | Value::Unknown | Value::Instance(_) => {
                self.incomplete_reason = Some(IncompleteReason::UnknownValue);
                return None;
            }
            plain => {
                self.note_other(parent, part, || plain_value_kind(plain));
                return None;
            }
        }
        let id = self.step(parent, part, value)?;
        self.worklist.push(id);
        Some(id)
    }

    /// Adds a step, which inherits exclusion and layout from its parent.
    fn step(&mut self, parent: Option<u32>, part: PathPart, value: Value) -> Option<u32> {
        let inherited = parent.and_then(|id| self.steps.get(id as usize)).copied();
        let depth = inherited.map_or(0, |step| step.depth + 1);
        if depth >= MAX_DEPTH || self.steps.len() >= MAX_STEPS {
            self.incomplete_reason = Some(IncompleteReason::TooDeep);
            return None;
        }
        let id = u32::try_from(self.steps.len()).ok()?;
        let mut state_dict = inherited.and_then(|step| step.state_dict);
        if let (None, Some(parent), Some(step)) = (state_dict, parent, inherited)
            && matches!(step.part, PathPart::Key(key) if self.trace.short_text(key, MAX_KEY_BYTES).as_deref() == Some("state_dict"))
        {
            state_dict = Some(parent);
        }
        let (excluded, composite) = inherited.map_or((None, None), |step| (step.excluded, step.composite));
        let auxiliary = inherited.is_some_and(|step| step.auxiliary);
        self.steps.push(PathStep { parent, part, value, depth, state_dict, excluded, composite, auxiliary });
        Some(id)
    }

    /// As [`Self::push`], and excludes the tensors of the value.
    pub(crate) fn push_excluded(&mut self, parent: u32, part: PathPart, value: Value, why: Exclusion) {
        let Value::Node(_) = value else { return };
        if let Some(id) = self.push(Some(parent), part, value) {
            self.exclude(id, why);
        }
    }

    /// Excludes all tensors below a step. The first reason counts.
    pub(crate) fn exclude(&mut self, id: u32, why: Exclusion) {
        let reason = match self.exclusions.iter().position(|reason| *reason == why) {
            Some(reason) => reason,
            None => {
                self.exclusions.push(why);
                self.exclusions.len() - 1
            }
        };
        if let Some(step) = self.steps.get_mut(id as usize) {
            step.excluded = step.excluded.or(u32::try_from(reason).ok());
        }
    }

    /// Records a value that is not a tensor.
    pub(crate) fn note_other(&mut self, parent: Option<u32>, part: PathPart, kind: impl FnOnce() -> ValueKind) {
        let Some(parent) = parent else { return };
        // Values below an excluded step are not reported one by one.
        if self.steps.get(parent as usize).is_some_and(|step| step.excluded.is_some()) {
            return;
        }
        self.other_count += 1;
        if self.other_values.len() < MAX_OTHER_VALUES {
            self.other_values.push(OtherValue { parent, part, kind: kind() });
        }
    }

    /// Whether the node is on the path to `parent`.
    fn is_ancestor(&self, mut parent: Option<u32>, node: NodeId) -> bool {
        while let Some(step) = parent.and_then(|id| self.steps.get(id as usize)) {
            if step.value == Value::Node(node) {
                return true;
            }
            parent = step.parent;
        }
        false
    }

    fn visit(&mut self, id: u32, step: PathStep) {
        let trace = self.trace;
        if let Some((kind, items)) = trace.container(step.value) {
            match kind {
                ContainerKind::Dict => self.dict_items(id, items),
                ContainerKind::List | ContainerKind::Tuple => self.sequence_items(id, items),
                ContainerKind::Set | ContainerKind::FrozenSet => self.set_items(id, items),
            }
        } else if let (Some(made), Value::Node(node)) = (trace.made(step.value), step.value) {
            self.constructed(id, node, made);
        }
    }

    pub(crate) fn dict_items(&mut self, id: u32, items: &Items) {
        self.require_complete(items);
        self.dict_pairs(id, key_value_pairs(items));
    }

    /// The values of a dict that was given these pairs in this order.
    pub(crate) fn dict_pairs(&mut self, id: u32, pairs: impl IntoIterator<Item = [Value; 2]>) {
        for (index, [key, value]) in dedup_keys(self.trace, pairs).into_iter().enumerate() {
            self.push(Some(id), key_part(key, index), value);
            self.push_excluded(id, PathPart::Index(index), key, Exclusion::DictKey);
        }
    }

    pub(crate) fn sequence_items(&mut self, id: u32, items: &Items) {
        self.require_complete(items);
        for (index, value) in items.kept.iter().enumerate() {
            self.push(Some(id), PathPart::Index(index), *value);
        }
    }

    fn set_items(&mut self, id: u32, items: &Items) {
        self.require_complete(items);
        for (index, value) in items.kept.iter().enumerate() {
            self.push_excluded(id, PathPart::Index(index), *value, Exclusion::SetMember);
        }
    }

    /// Records that tensors may be missing, if the scan did not keep all items.
    pub(crate) fn require_complete(&mut self, items: &Items) {
        if !items.complete() {
            self.incomplete_reason = Some(IncompleteReason::ItemsDropped);
        }
    }

    fn constructed(&mut self, id: u32, node: NodeId, made: &Call) {
        let mut result =
            torch::construct(self.trace, made.callee, made.args).or_else(|| numpy::construct(self.trace, node, made));
        if let Some((class, state)) = torch::tensor_attributes(self.trace, made) {
            self.tensor_attributes(id, class, state);
        }
        // `_rebuild_from_type_v2` calls another function. No library nests such calls.
        if let Some(Constructed::Call { function, args }) = result {
            result = torch::construct(self.trace, function, args);
            if matches!(result, None | Some(Constructed::Call { .. })) {
                self.incomplete_reason = Some(IncompleteReason::UnknownTensorFunction);
                return;
            }
        }
        if matches!(result, Some(Constructed::Tensor(_) | Constructed::Argument(_) | Constructed::Composite { .. }))
            && is_modified(self.trace, made)
        {
            self.incomplete_reason = Some(IncompleteReason::TensorModified);
            return;
        }
        match result {
            Some(Constructed::Tensor(tensor)) => self.found_tensor(id, tensor),
            Some(Constructed::Argument(value)) => {
                self.push(Some(id), PathPart::Transparent, value);
            }
            Some(Constructed::Composite { kind, components }) => {
                self.mark_composite(id, kind, false);
                self.push_components(id, components);
            }
            Some(Constructed::ObjectArray) => {
                self.note_other(Some(id), PathPart::Transparent, || ValueKind::ObjectArray)
            }
            Some(Constructed::Call { .. }) | None if self.persistent_object(id, made) => {}
            Some(Constructed::Call { .. }) | None if self.is_tensor_constructor(made) => {
                let name = qualified_name(self.trace, made.callee).unwrap_or_default();
                let elements = TensorData::Invalid(InvalidTensor::Arguments);
                self.found_tensor(id, TensorDescription::untyped(name, elements));
            }
            Some(Constructed::Call { .. }) | None => {
                self.object(id, &qualified_name(self.trace, made.callee).unwrap_or_default(), made);
            }
        }
    }

    /// Whether the callable makes tensors, whatever its arguments are.
    fn is_tensor_constructor(&self, made: &Call) -> bool {
        import(self.trace, made.callee)
            .is_some_and(|named| torch::is_tensor_constructor(named) || numpy::is_array_constructor(named))
    }

    fn mark_composite(&mut self, id: u32, kind: &'static str, auxiliary: bool) {
        if let Some(step) = self.steps.get_mut(id as usize) {
            step.composite = Some(kind);
            step.auxiliary |= auxiliary;
        }
    }

    pub(crate) fn found_tensor(&mut self, id: u32, mut tensor: TensorDescription) {
        let Some(step) = self.steps.get(id as usize).copied() else { return };
        let components = std::mem::take(&mut tensor.components);
        let excluded = step.excluded.and_then(|reason| self.exclusions.get(reason as usize)).cloned();
        let (composite, auxiliary) = (step.composite, step.auxiliary);
        self.found.push(FoundTensor { step: id, tensor, composite, auxiliary, excluded });
        if !components.is_empty() {
            self.mark_composite(id, "quantized", true);
            self.push_components(id, components);
        }
    }

    fn push_components(&mut self, id: u32, components: Vec<(&'static str, Component)>) {
        for (name, component) in components {
            match component {
                Component::Value(value) => {
                    self.push(Some(id), PathPart::Name(name), value);
                }
                Component::Tensor(tensor) => {
                    let Some(step) = self.step(Some(id), PathPart::Name(name), Value::None) else { continue };
                    // Both components of a masked array are listed: the array has no other tensor.
                    let kind = self.composite(id);
                    self.mark_composite(step, kind, kind != "masked");
                    self.found_tensor(step, tensor);
                }
            }
        }
    }

    fn composite(&self, id: u32) -> &'static str {
        self.steps.get(id as usize).and_then(|step| step.composite).unwrap_or("part")
    }
}

/// Whether a tensor gets other elements after it was made: by items, or by the state `(storage, offset, size, stride)` of
/// `Tensor.__setstate__`. A state of three flags changes no element. Arrays get all elements by one state.
fn is_modified(trace: &Trace, made: &Call) -> bool {
    let flags =
        |state: &Value| matches!(trace.container(*state), Some((ContainerKind::Tuple, items)) if items.total == 3);
    let torch = |module: &str| module == "torch" || module.starts_with("torch.");
    let array = import(trace, made.callee).is_none_or(|(module, _)| !torch(module));
    made.items().total > 0 || if array { made.states().len() > 1 } else { !made.states().iter().all(flags) }
}

/// The path part of a key. An object as a key has no name, only an index: optimizers keep their state by parameter.
pub(crate) fn key_part(key: Value, index: usize) -> PathPart {
    if matches!(key, Value::Node(_)) { PathPart::Index(index) } else { PathPart::Key(key) }
}

fn plain_value_kind(value: Value) -> ValueKind {
    match value {
        Value::None => ValueKind::None,
        Value::Bool(_) => ValueKind::Bool,
        Value::Int(_) | Value::BigInt { .. } => ValueKind::Int,
        Value::Float(_) => ValueKind::Float,
        Value::Text { .. } => ValueKind::Text,
        Value::Bytes { .. } => ValueKind::Bytes,
        Value::Global(_) => ValueKind::Import,
        Value::Node(_) | Value::Opaque(_) | Value::Instance(_) | Value::Unknown => ValueKind::Other,
    }
}
