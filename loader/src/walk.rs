//! From the root of a pickle to its tensors, each reached by a path of keys.
//!
//! A worklist, no recursion: each step is a value and how it was reached. Steps form a tree in an arena, so a name is put
//! together only where a tensor is found. A value that contains itself ends where it is met again on its own path; what
//! is shared is named once for each path, as in a state dict; and all of it stops at a bound, since a few hundred bytes
//! of shared lists name more values than anybody can count. What objects hold is told in `object`, how the paths become
//! names in `names`.

use crate::keys::settled;
use crate::reading::{call, container, import, name};
use crate::tensor::{Beside, Numbers, Tensor};
use crate::{numpy, torch};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, ContainerKind, Items, NodeId, Value};

/// Values looked at. The largest checkpoints hold some hundred thousand tensors of some thirty values each.
const VALUES: usize = 20_000_000;
/// Steps kept in the arena: 64 bytes each.
const STEPS: usize = 2_000_000;
/// Tensors of one pickle.
const TENSORS: usize = 1_000_000;
/// Things left out that are kept by name; the others are counted.
const LEFT: usize = 10_000;
/// Bytes of one key.
pub(crate) const KEY: usize = 1024;
/// How deep keys are nested: modules in modules reach some thirty.
const DEPTH: u16 = 256;

/// What a call makes, as far as tensors go.
pub(crate) enum Meaning {
    /// A tensor.
    Tensor(Tensor),
    /// What its argument is.
    Same(Value),
    /// Several tensors that stand for one of this kind.
    Parts {
        /// `sparse_coo`, `nested`.
        kind: &'static str,
        /// The tensors.
        parts: Vec<(&'static str, Beside)>,
    },
    /// What another function makes of these arguments.
    Calls {
        /// The function.
        function: Value,
        /// Its arguments.
        args: Value,
    },
    /// Objects in a pickle of their own, between the opcodes.
    Objects,
}

/// How a value is reached from the one above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Part {
    /// It is the same value for the reader: a parameter and its tensor, a module and its state.
    Nothing,
    /// By a key.
    Key(Value),
    /// By its place.
    Index(usize),
    /// By a word of ours.
    Word(&'static str),
}

/// Why a tensor that is there is none of those that are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocked {
    /// A function that the loader does not know gets hold of it.
    Unknown(String),
    /// An attribute of a module that is neither parameter nor buffer: no state dict has it.
    Attribute,
    /// A buffer that is not kept in state dicts.
    NotPersistent,
    /// A member of a set, which has no order and no names.
    Unordered,
    /// A key of a dict: only what it leads to has a name.
    Key,
    /// A storage that is no tensor's here.
    Storage,
    /// An attribute of a tensor or dict.
    Beside,
}

/// One value on its way.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) above: Option<u32>,
    pub(crate) part: Part,
    pub(crate) value: Value,
    depth: u16,
    /// The topmost step above that is reached by the key `state_dict`.
    pub(crate) state_dict: Option<u32>,
    /// Index of why it counts as blocked.
    blocked: Option<u32>,
    /// The kind of thing that it is a part of.
    special: Option<&'static str>,
    /// Whether it is listed: what merely belongs to a tensor is not.
    hidden: bool,
}

/// A tensor and where it was found.
pub(crate) struct Found {
    pub(crate) step: u32,
    pub(crate) tensor: Tensor,
    pub(crate) special: Option<&'static str>,
    pub(crate) hidden: bool,
    pub(crate) blocked: Option<Blocked>,
}

/// Something that is no tensor.
pub(crate) struct Left {
    pub(crate) above: u32,
    pub(crate) part: Part,
    pub(crate) what: String,
}

/// All that was met.
pub(crate) struct Walk<'a> {
    pub(crate) trace: &'a Trace,
    /// Whether all callables of the file are known to be inert.
    pub(crate) proven: bool,
    pub(crate) steps: Vec<Step>,
    todo: Vec<u32>,
    pub(crate) found: Vec<Found>,
    pub(crate) left: Vec<Left>,
    pub(crate) left_count: u64,
    reasons: Vec<Blocked>,
    values: usize,
    /// Why these may not be all tensors: something was forgotten on the way, or a bound was hit.
    pub(crate) lacking: Option<&'static str>,
}

/// Follows the value of a pickle.
pub(crate) fn walk(trace: &Trace, proven: bool) -> Walk<'_> {
    let mut walk = Walk {
        trace,
        proven,
        steps: Vec::new(),
        todo: Vec::new(),
        found: Vec::new(),
        left: Vec::new(),
        left_count: 0,
        reasons: Vec::new(),
        values: 0,
        lacking: trace.heap.overflowed().then_some("its values take more memory than they are allowed"),
    };
    if let Some(root) = trace.root {
        walk.push(None, Part::Nothing, root);
    }
    walk.run();
    walk
}

impl Walk<'_> {
    fn run(&mut self) {
        while let Some(id) = self.todo.pop() {
            if self.found.len() >= TENSORS || self.values >= VALUES {
                self.lacking = Some("it names more values than anybody can count");
                break;
            }
            let before = self.todo.len();
            if let Some(step) = self.steps.get(id as usize).copied() {
                self.follow(id, step);
            }
            // The last one pushed is taken first: turned round, what comes first in the pickle does.
            self.todo.get_mut(before..).unwrap_or_default().reverse();
        }
    }

    /// Puts a value on the list, where there can be a tensor in it. Gives its step.
    pub(crate) fn push(&mut self, above: Option<u32>, part: Part, value: Value) -> Option<u32> {
        self.values += 1;
        match value {
            Value::Node(node) if self.own_path(above, node) => return None,
            Value::Node(_) => {}
            Value::Opaque(_) | Value::Unknown | Value::Instance(_) => {
                self.lacking = Some("a value of it is not known");
                return None;
            }
            plain => {
                self.leave(above, part, || plain_kind(plain).to_owned());
                return None;
            }
        }
        let id = self.step(above, part, value)?;
        self.todo.push(id);
        Some(id)
    }

    /// Adds a step; what holds for the one above holds for it.
    fn step(&mut self, above: Option<u32>, part: Part, value: Value) -> Option<u32> {
        let from = above.and_then(|id| self.steps.get(id as usize)).copied();
        let depth = from.map_or(0, |from| from.depth + 1);
        if depth >= DEPTH || self.steps.len() >= STEPS {
            self.lacking = Some("it is nested too deeply, or has too many values");
            return None;
        }
        let id = u32::try_from(self.steps.len()).ok()?;
        let mut state_dict = from.and_then(|from| from.state_dict);
        if let (None, Some(above), Some(from)) = (state_dict, above, from)
            && matches!(from.part, Part::Key(key) if self.trace.short_text(key, KEY).as_deref() == Some("state_dict"))
        {
            state_dict = Some(above);
        }
        let (blocked, special) = from.map_or((None, None), |from| (from.blocked, from.special));
        let hidden = from.is_some_and(|from| from.hidden);
        self.steps.push(Step { above, part, value, depth, state_dict, blocked, special, hidden });
        Some(id)
    }

    /// As [`Self::push`], of something that is reached in a way that no state dict knows.
    pub(crate) fn push_blocked(&mut self, above: u32, part: Part, value: Value, why: Blocked) {
        let Value::Node(_) = value else { return };
        if let Some(id) = self.push(Some(above), part, value) {
            self.block(id, why);
        }
    }

    /// Has all from that step on count as blocked, for the reason that was there first.
    pub(crate) fn block(&mut self, id: u32, why: Blocked) {
        let reason = match self.reasons.iter().position(|reason| *reason == why) {
            Some(reason) => reason,
            None => {
                self.reasons.push(why);
                self.reasons.len() - 1
            }
        };
        if let Some(step) = self.steps.get_mut(id as usize) {
            step.blocked = step.blocked.or(u32::try_from(reason).ok());
        }
    }

    /// Notes something that is no tensor.
    pub(crate) fn leave(&mut self, above: Option<u32>, part: Part, what: impl FnOnce() -> String) {
        let Some(above) = above else { return };
        // Of what is left out as a whole, nothing more is said.
        if self.steps.get(above as usize).is_some_and(|step| step.blocked.is_some()) {
            return;
        }
        self.left_count += 1;
        if self.left.len() < LEFT {
            self.left.push(Left { above, part, what: what() });
        }
    }

    /// Whether that node is one of those that lead here.
    fn own_path(&self, mut above: Option<u32>, node: NodeId) -> bool {
        while let Some(step) = above.and_then(|id| self.steps.get(id as usize)) {
            if step.value == Value::Node(node) {
                return true;
            }
            above = step.above;
        }
        false
    }

    fn follow(&mut self, id: u32, step: Step) {
        let trace = self.trace;
        if let Some((kind, items)) = container(trace, step.value) {
            match kind {
                ContainerKind::Dict => self.pairs(id, items),
                ContainerKind::List | ContainerKind::Tuple => self.row(id, items),
                ContainerKind::Set | ContainerKind::FrozenSet => self.unordered(id, items),
            }
        } else if let (Some(made), Value::Node(node)) = (call(trace, step.value), step.value) {
            self.made(id, node, made);
        }
    }

    pub(crate) fn pairs(&mut self, id: u32, items: &Items) {
        self.whole(items);
        self.settled(id, pairs_of(items));
    }

    /// What a dict holds that was given these pairs.
    pub(crate) fn settled(&mut self, id: u32, pairs: impl IntoIterator<Item = [Value; 2]>) {
        for (index, [key, value]) in settled(self.trace, pairs).into_iter().enumerate() {
            self.push(Some(id), key_part(key, index), value);
            self.push_blocked(id, Part::Index(index), key, Blocked::Key);
        }
    }

    pub(crate) fn row(&mut self, id: u32, items: &Items) {
        self.whole(items);
        for (index, value) in items.kept.iter().enumerate() {
            self.push(Some(id), Part::Index(index), *value);
        }
    }

    fn unordered(&mut self, id: u32, items: &Items) {
        self.whole(items);
        for (index, value) in items.kept.iter().enumerate() {
            self.push_blocked(id, Part::Index(index), *value, Blocked::Unordered);
        }
    }

    /// Notes where not all items are known.
    pub(crate) fn whole(&mut self, items: &Items) {
        if !items.complete() {
            self.lacking = Some("a container of it has more items than are kept");
        }
    }

    fn made(&mut self, id: u32, node: NodeId, made: &Call) {
        let mut meaning =
            torch::meaning(self.trace, made.callee, made.args).or_else(|| numpy::meaning(self.trace, node, made));
        if let Some((class, state)) = torch::attributes(self.trace, made) {
            self.tensor_attributes(id, class, state);
        }
        // A function that is called by `_rebuild_from_type_v2`; one of those in one of those is nobody's doing.
        if let Some(Meaning::Calls { function, args }) = meaning {
            meaning = torch::meaning(self.trace, function, args);
            if matches!(meaning, None | Some(Meaning::Calls { .. })) {
                self.lacking = Some("a tensor of it is made by a function that is not known to make any");
                return;
            }
        }
        if matches!(meaning, Some(Meaning::Tensor(_) | Meaning::Same(_) | Meaning::Parts { .. }))
            && changed(self.trace, made)
        {
            self.lacking = Some("a tensor of it is changed after it was made");
            return;
        }
        match meaning {
            Some(Meaning::Tensor(tensor)) => self.tensor(id, tensor),
            Some(Meaning::Same(value)) => {
                self.push(Some(id), Part::Nothing, value);
            }
            Some(Meaning::Parts { kind, parts }) => {
                self.mark(id, kind, false);
                self.beside(id, parts);
            }
            Some(Meaning::Objects) => self.leave(Some(id), Part::Nothing, || "an array of objects".to_owned()),
            Some(Meaning::Calls { .. }) | None if self.keyed(id, made) => {}
            Some(Meaning::Calls { .. }) | None if self.must_make(made) => {
                let word = name(self.trace, made.callee).unwrap_or_default().into();
                let numbers = Numbers::Wrong("its constructor is given what no library gives it");
                self.tensor(id, Tensor { word, dtype: None, item: 0, shape: None, numbers, beside: Vec::new() });
            }
            Some(Meaning::Calls { .. }) | None => {
                self.object(id, &name(self.trace, made.callee).unwrap_or_default(), made);
            }
        }
    }

    /// Whether it is a constructor of tensors, whatever it is given.
    fn must_make(&self, made: &Call) -> bool {
        import(self.trace, made.callee).is_some_and(|named| torch::makes_tensors(named) || numpy::makes_arrays(named))
    }

    fn mark(&mut self, id: u32, kind: &'static str, hidden: bool) {
        if let Some(step) = self.steps.get_mut(id as usize) {
            step.special = Some(kind);
            step.hidden |= hidden;
        }
    }

    pub(crate) fn tensor(&mut self, id: u32, mut tensor: Tensor) {
        let Some(step) = self.steps.get(id as usize).copied() else { return };
        let beside = std::mem::take(&mut tensor.beside);
        let blocked = step.blocked.and_then(|reason| self.reasons.get(reason as usize)).cloned();
        let (special, hidden) = (step.special, step.hidden);
        self.found.push(Found { step: id, tensor, special, hidden, blocked });
        if !beside.is_empty() {
            self.mark(id, "quantized", true);
            self.beside(id, beside);
        }
    }

    /// What makes up a tensor, or belongs to it.
    fn beside(&mut self, id: u32, parts: Vec<(&'static str, Beside)>) {
        for (word, part) in parts {
            match part {
                Beside::Value(value) => {
                    self.push(Some(id), Part::Word(word), value);
                }
                Beside::Made(tensor) => {
                    let Some(step) = self.step(Some(id), Part::Word(word), Value::None) else { continue };
                    // Of a masked array, what is made here is all that there is.
                    let kind = self.special(id);
                    self.mark(step, kind, kind != "masked");
                    self.tensor(step, tensor);
                }
            }
        }
    }

    fn special(&self, id: u32) -> &'static str {
        self.steps.get(id as usize).and_then(|step| step.special).unwrap_or("part")
    }
}

/// Whether what was made is given other numbers afterwards: items, or the state `(storage, offset, size, stride)` that
/// `Tensor.__setstate__` still takes. Arrays get all of theirs by one state; three flags change no number.
fn changed(trace: &Trace, made: &Call) -> bool {
    let flags =
        |state: &Value| matches!(container(trace, *state), Some((ContainerKind::Tuple, items)) if items.total == 3);
    let torch = |module: &str| module == "torch" || module.starts_with("torch.");
    let array = import(trace, made.callee).is_none_or(|(module, _)| !torch(module));
    made.items().total > 0 || if array { made.states().len() > 1 } else { !made.states().iter().all(flags) }
}

/// An object as a key (an optimizer keeps its state by parameter) has no name but its place.
pub(crate) fn key_part(key: Value, index: usize) -> Part {
    if matches!(key, Value::Node(_)) { Part::Index(index) } else { Part::Key(key) }
}

/// Keys and values in the order in which they were given.
pub(crate) fn pairs_of(items: &Items) -> impl Iterator<Item = [Value; 2]> {
    items.kept.chunks_exact(2).filter_map(|pair| <[Value; 2]>::try_from(pair).ok())
}

fn plain_kind(value: Value) -> &'static str {
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
