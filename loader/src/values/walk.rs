//! From the root of a pickle to its tensors, each reached by a path of keys.
//!
//! A worklist, no recursion: each step is a value and how it was reached. Steps form a tree in an arena, so a name is put
//! together only where a tensor is found. A value that contains itself ends where it is met again on its own path; what
//! is shared is named once for each path, as in a state dict; and all of it stops at a bound, since a few hundred bytes
//! of shared lists name more values than anybody can count. What objects hold is told in `object`, how the paths become
//! names in `names`.

use crate::bounds::{MAX_DEPTH, MAX_KEY_BYTES, MAX_OTHER_VALUES, MAX_STEPS, MAX_TENSORS, MAX_VALUES};
use crate::values::constructed::Constructed;
use crate::values::keys::dedup_keys;
use crate::values::tensor::{Component, TensorData, TensorDescription};
use crate::values::trace_ext::{import, key_value_pairs, qualified_name};
use crate::values::{numpy, torch};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, Items, Kind, NodeId, Value};

/// How a value is reached from the one above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum PathPart {
    /// It is the same value for the reader: a parameter and its tensor, a module and its state.
    Transparent,
    /// By a key.
    Key(Value),
    /// By its place.
    Index(usize),
    /// By a word of ours.
    Name(&'static str),
}

/// Why a tensor that is there is none of those that are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exclusion {
    /// A function that the loader does not know gets hold of it.
    UnknownCallable(String),
    /// An attribute of a module that is neither parameter nor buffer: no state dict has it.
    ModuleAttribute,
    /// A buffer that is not kept in state dicts.
    NonPersistentBuffer,
    /// A member of a set, which has no order and no names.
    SetMember,
    /// A key of a dict: only what it leads to has a name.
    DictKey,
    /// A storage that is no tensor's here.
    BareStorage,
    /// An attribute of a tensor or dict.
    ObjectAttribute,
}

/// One value on its way.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) parent: Option<u32>,
    pub(crate) part: PathPart,
    pub(crate) value: Value,
    depth: u16,
    /// The topmost step above that is reached by the key `state_dict`.
    pub(crate) state_dict: Option<u32>,
    /// Index of why it counts as blocked.
    excluded: Option<u32>,
    /// The kind of thing that it is a part of.
    composite: Option<&'static str>,
    /// Whether it is listed: what merely belongs to a tensor is not.
    auxiliary: bool,
}

/// A tensor and where it was found.
pub(crate) struct FoundTensor {
    pub(crate) step: u32,
    pub(crate) tensor: TensorDescription,
    pub(crate) composite_kind: Option<&'static str>,
    pub(crate) auxiliary: bool,
    pub(crate) excluded: Option<Exclusion>,
}

/// Something that is no tensor.
pub(crate) struct OtherValue {
    pub(crate) parent: u32,
    pub(crate) part: PathPart,
    pub(crate) what: String,
}

/// All that was met.
pub(crate) struct Walk<'a> {
    pub(crate) trace: &'a Trace,
    /// Whether all callables of the file are known to be inert.
    pub(crate) proven: bool,
    pub(crate) steps: Vec<Step>,
    worklist: Vec<u32>,
    pub(crate) found: Vec<FoundTensor>,
    pub(crate) other_values: Vec<OtherValue>,
    pub(crate) other_count: u64,
    exclusions: Vec<Exclusion>,
    value_count: usize,
    /// Why these may not be all tensors: something was forgotten on the way, or a bound was hit.
    pub(crate) incomplete_reason: Option<&'static str>,
}

/// Follows the value of a pickle.
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
        incomplete_reason: trace.heap.overflowed().then_some("its values take more memory than they are allowed"),
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
                self.incomplete_reason = Some("it names more values than anybody can count");
                break;
            }
            let before = self.worklist.len();
            if let Some(step) = self.steps.get(id as usize).copied() {
                self.visit(id, step);
            }
            // The last one pushed is taken first: turned round, what comes first in the pickle does.
            self.worklist.get_mut(before..).unwrap_or_default().reverse();
        }
    }

    /// Puts a value on the list, where there can be a tensor in it. Gives its step.
    pub(crate) fn push(&mut self, above: Option<u32>, part: PathPart, value: Value) -> Option<u32> {
        self.value_count += 1;
        match value {
            Value::Node(node) if self.is_ancestor(above, node) => return None,
            Value::Node(_) => {}
            Value::Opaque(_) | Value::Unknown | Value::Instance(_) => {
                self.incomplete_reason = Some("a value of it is not known");
                return None;
            }
            plain => {
                self.note_other(above, part, || plain_value_kind(plain).to_owned());
                return None;
            }
        }
        let id = self.step(above, part, value)?;
        self.worklist.push(id);
        Some(id)
    }

    /// Adds a step; what holds for the one above holds for it.
    fn step(&mut self, above: Option<u32>, part: PathPart, value: Value) -> Option<u32> {
        let from = above.and_then(|id| self.steps.get(id as usize)).copied();
        let depth = from.map_or(0, |from| from.depth + 1);
        if depth >= MAX_DEPTH || self.steps.len() >= MAX_STEPS {
            self.incomplete_reason = Some("it is nested too deeply, or has too many values");
            return None;
        }
        let id = u32::try_from(self.steps.len()).ok()?;
        let mut state_dict = from.and_then(|from| from.state_dict);
        if let (None, Some(above), Some(from)) = (state_dict, above, from)
            && matches!(from.part, PathPart::Key(key) if self.trace.shown(key, MAX_KEY_BYTES).as_deref() == Some("state_dict"))
        {
            state_dict = Some(above);
        }
        let (blocked, special) = from.map_or((None, None), |from| (from.excluded, from.composite));
        let hidden = from.is_some_and(|from| from.auxiliary);
        self.steps.push(Step {
            parent: above,
            part,
            value,
            depth,
            state_dict,
            excluded: blocked,
            composite: special,
            auxiliary: hidden,
        });
        Some(id)
    }

    /// As [`Self::push`], of something that is reached in a way that no state dict knows.
    pub(crate) fn push_excluded(&mut self, above: u32, part: PathPart, value: Value, why: Exclusion) {
        let Value::Node(_) = value else { return };
        if let Some(id) = self.push(Some(above), part, value) {
            self.exclude(id, why);
        }
    }

    /// Has all from that step on count as blocked, for the reason that was there first.
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

    /// Notes something that is no tensor.
    pub(crate) fn note_other(&mut self, above: Option<u32>, part: PathPart, what: impl FnOnce() -> String) {
        let Some(above) = above else { return };
        // Of what is left out as a whole, nothing more is said.
        if self.steps.get(above as usize).is_some_and(|step| step.excluded.is_some()) {
            return;
        }
        self.other_count += 1;
        if self.other_values.len() < MAX_OTHER_VALUES {
            self.other_values.push(OtherValue { parent: above, part, what: what() });
        }
    }

    /// Whether that node is one of those that lead here.
    fn is_ancestor(&self, mut above: Option<u32>, node: NodeId) -> bool {
        while let Some(step) = above.and_then(|id| self.steps.get(id as usize)) {
            if step.value == Value::Node(node) {
                return true;
            }
            above = step.parent;
        }
        false
    }

    fn visit(&mut self, id: u32, step: Step) {
        let trace = self.trace;
        if let Some((kind, items)) = trace.container(step.value) {
            match kind {
                Kind::Dict => self.dict_items(id, items),
                Kind::List | Kind::Tuple => self.sequence_items(id, items),
                Kind::Set | Kind::FrozenSet => self.set_items(id, items),
            }
        } else if let (Some(made), Value::Node(node)) = (trace.made(step.value), step.value) {
            self.constructed(id, node, made);
        }
    }

    pub(crate) fn dict_items(&mut self, id: u32, items: &Items) {
        self.require_complete(items);
        self.dict_pairs(id, key_value_pairs(items));
    }

    /// What a dict holds that was given these pairs.
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

    /// Notes where not all items are known.
    pub(crate) fn require_complete(&mut self, items: &Items) {
        if !items.complete() {
            self.incomplete_reason = Some("a container of it has more items than are kept");
        }
    }

    fn constructed(&mut self, id: u32, node: NodeId, made: &Call) {
        let mut meaning =
            torch::construct(self.trace, made.callee, made.args).or_else(|| numpy::construct(self.trace, node, made));
        if let Some((class, state)) = torch::tensor_attributes(self.trace, made) {
            self.tensor_attributes(id, class, state);
        }
        // A function that is called by `_rebuild_from_type_v2`; one of those in one of those is nobody's doing.
        if let Some(Constructed::Call { function, args }) = meaning {
            meaning = torch::construct(self.trace, function, args);
            if matches!(meaning, None | Some(Constructed::Call { .. })) {
                self.incomplete_reason = Some("a tensor of it is made by a function that is not known to make any");
                return;
            }
        }
        if matches!(meaning, Some(Constructed::Tensor(_) | Constructed::Argument(_) | Constructed::Composite { .. }))
            && is_modified(self.trace, made)
        {
            self.incomplete_reason = Some("a tensor of it is changed after it was made");
            return;
        }
        match meaning {
            Some(Constructed::Tensor(tensor)) => self.found_tensor(id, tensor),
            Some(Constructed::Argument(value)) => {
                self.push(Some(id), PathPart::Transparent, value);
            }
            Some(Constructed::Composite { kind, components: parts }) => {
                self.mark_composite(id, kind, false);
                self.push_components(id, parts);
            }
            Some(Constructed::ObjectArray) => {
                self.note_other(Some(id), PathPart::Transparent, || "an array of objects".to_owned())
            }
            Some(Constructed::Call { .. }) | None if self.persistent_object(id, made) => {}
            Some(Constructed::Call { .. }) | None if self.is_tensor_constructor(made) => {
                let word = qualified_name(self.trace, made.callee).unwrap_or_default().into();
                let numbers = TensorData::Invalid("its constructor is given what no library gives it");
                self.found_tensor(
                    id,
                    TensorDescription {
                        dtype_name: word,
                        dtype: None,
                        element_size: 0,
                        shape: None,
                        elements: numbers,
                        components: Vec::new(),
                    },
                );
            }
            Some(Constructed::Call { .. }) | None => {
                self.object(id, &qualified_name(self.trace, made.callee).unwrap_or_default(), made);
            }
        }
    }

    /// Whether it is a constructor of tensors, whatever it is given.
    fn is_tensor_constructor(&self, made: &Call) -> bool {
        import(self.trace, made.callee)
            .is_some_and(|named| torch::is_tensor_constructor(named) || numpy::is_array_constructor(named))
    }

    fn mark_composite(&mut self, id: u32, kind: &'static str, hidden: bool) {
        if let Some(step) = self.steps.get_mut(id as usize) {
            step.composite = Some(kind);
            step.auxiliary |= hidden;
        }
    }

    pub(crate) fn found_tensor(&mut self, id: u32, mut tensor: TensorDescription) {
        let Some(step) = self.steps.get(id as usize).copied() else { return };
        let beside = std::mem::take(&mut tensor.components);
        let blocked = step.excluded.and_then(|reason| self.exclusions.get(reason as usize)).cloned();
        let (special, hidden) = (step.composite, step.auxiliary);
        self.found.push(FoundTensor {
            step: id,
            tensor,
            composite_kind: special,
            auxiliary: hidden,
            excluded: blocked,
        });
        if !beside.is_empty() {
            self.mark_composite(id, "quantized", true);
            self.push_components(id, beside);
        }
    }

    /// What makes up a tensor, or belongs to it.
    fn push_components(&mut self, id: u32, parts: Vec<(&'static str, Component)>) {
        for (word, part) in parts {
            match part {
                Component::Value(value) => {
                    self.push(Some(id), PathPart::Name(word), value);
                }
                Component::Tensor(tensor) => {
                    let Some(step) = self.step(Some(id), PathPart::Name(word), Value::None) else { continue };
                    // Of a masked array, what is made here is all that there is.
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

/// Whether what was made is given other numbers afterwards: items, or the state `(storage, offset, size, stride)` that
/// `Tensor.__setstate__` still takes. Arrays get all of theirs by one state; three flags change no number.
fn is_modified(trace: &Trace, made: &Call) -> bool {
    let flags = |state: &Value| matches!(trace.container(*state), Some((Kind::Tuple, items)) if items.total == 3);
    let torch = |module: &str| module == "torch" || module.starts_with("torch.");
    let array = import(trace, made.callee).is_none_or(|(module, _)| !torch(module));
    made.items().total > 0 || if array { made.states().len() > 1 } else { !made.states().iter().all(flags) }
}

/// An object as a key (an optimizer keeps its state by parameter) has no name but its place.
pub(crate) fn key_part(key: Value, index: usize) -> PathPart {
    if matches!(key, Value::Node(_)) { PathPart::Index(index) } else { PathPart::Key(key) }
}

fn plain_value_kind(value: Value) -> &'static str {
    match value {
        Value::None => "None",
        Value::Bool(_) => "a truth value",
        Value::Int(_) | Value::BigInt { .. } => "a whole number",
        Value::Float(_) => "a number",
        Value::Text { .. } => "a text",
        Value::Bytes { .. } => "bytes",
        Value::Global(_) => "a name that is imported",
        Value::Node(_) | Value::Opaque(_) | Value::Instance(_) | Value::Unknown => "a value",
    }
}
