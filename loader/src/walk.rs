//! From the root of a pickle to its tensors, each named by the path of keys that leads to it.
//!
//! A worklist, no recursion: each step is a value and how it was reached. Steps form a tree in an arena, so a name is put
//! together only where a tensor is found. A value that contains itself ends where it is met again on its own path; what
//! is shared is named once for each path, as in a state dict; and all of it stops at a bound, since a few hundred bytes
//! of shared lists name more values than anybody can count.

use crate::reading::{call, container, field, name};
use crate::{numpy, torch};
use scanner::pickle::value::{Call, How, Items, Kind, NodeId, Value};
use scanner::pickle::{Trace, preview};
use scanner::seen::Tensor;

/// Values looked at. The largest checkpoints hold some hundred thousand tensors of some thirty values each.
const VALUES: usize = 20_000_000;
/// Steps kept in the arena: 48 bytes each.
const STEPS: usize = 2_000_000;
/// Tensors of one pickle.
const TENSORS: usize = 1_000_000;
/// Bytes of all names together.
const NAMES: usize = 64 << 20;
/// Bytes of one key.
const KEY: usize = 1024;
/// How deep keys are nested: modules in modules reach some thirty.
const DEPTH: u16 = 256;

/// The tensors of a pickle.
#[derive(Debug, Default)]
pub struct Listing {
    /// In the order in which the pickle names them.
    pub tensors: Vec<Tensor>,
    /// Whether these are all: nothing was forgotten on the way, and no bound was hit.
    pub complete: bool,
}

/// What a call makes, as far as tensors go.
pub(crate) enum Meaning {
    /// A tensor; its name is not known yet.
    Tensor(Tensor),
    /// What its argument is.
    Same(Value),
    /// Several tensors that stand for one.
    Parts(Vec<(&'static str, Value)>),
    /// What another function makes of these arguments.
    Calls { function: String, args: Value },
}

/// How a value is reached from the one above it.
#[derive(Clone, Copy)]
enum Part {
    /// It is the same value for the reader: a parameter and its tensor, a module and its state.
    Nothing,
    /// By a key.
    Key(Value),
    /// By its place.
    Index(usize),
    /// By a word of ours.
    Word(&'static str),
}

/// One value on its way.
#[derive(Clone, Copy)]
struct Step {
    above: Option<u32>,
    part: Part,
    value: Value,
    depth: u16,
    /// The topmost step above that is reached by the key `state_dict`.
    state_dict: Option<u32>,
}

/// Follows the value of a pickle.
pub fn walk(trace: &Trace) -> Listing {
    let complete = !trace.heap.overflowed();
    let listing = Listing { tensors: Vec::new(), complete };
    let mut walk = Walk { trace, steps: Vec::new(), todo: Vec::new(), found: Vec::new(), values: 0, listing };
    if let Some(root) = trace.root {
        walk.push(None, Part::Nothing, root);
    }
    walk.run()
}

struct Walk<'a> {
    trace: &'a Trace,
    steps: Vec<Step>,
    todo: Vec<u32>,
    found: Vec<(u32, Tensor)>,
    values: usize,
    listing: Listing,
}

impl Walk<'_> {
    fn run(mut self) -> Listing {
        while let Some(id) = self.todo.pop() {
            if self.found.len() >= TENSORS || self.values >= VALUES {
                self.listing.complete = false;
                break;
            }
            let before = self.todo.len();
            if let Some(step) = self.steps.get(id as usize).copied() {
                self.follow(id, step);
            }
            // The last one pushed is taken first: turned round, what comes first in the pickle does.
            self.todo.get_mut(before..).unwrap_or_default().reverse();
        }
        self.name_all();
        self.listing
    }

    /// Puts a value on the list, where there can be a tensor in it.
    fn push(&mut self, above: Option<u32>, part: Part, value: Value) {
        self.values += 1;
        let from = above.and_then(|id| self.steps.get(id as usize)).copied();
        let depth = from.map_or(0, |from| from.depth + 1);
        match value {
            Value::Node(node) => {
                if self.own_path(above, node) {
                    return;
                }
            }
            Value::Opaque(_) | Value::Unknown => {
                self.listing.complete = false;
                return;
            }
            _ => return,
        }
        if depth >= DEPTH || self.steps.len() >= STEPS {
            self.listing.complete = false;
            return;
        }
        let Ok(id) = u32::try_from(self.steps.len()) else { return };
        let mut state_dict = from.and_then(|from| from.state_dict);
        if let (None, Some(above), Some(from)) = (state_dict, above, from)
            && matches!(from.part, Part::Key(key) if self.trace.text(key, KEY).as_deref() == Some("state_dict"))
        {
            state_dict = Some(above);
        }
        self.steps.push(Step { above, part, value, depth, state_dict });
        self.todo.push(id);
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
                Kind::Dict => self.pairs(id, items),
                Kind::List | Kind::Tuple => self.row(id, items),
                // Without an order there is no name.
                Kind::Set | Kind::FrozenSet => {}
            }
        } else if let Some(made) = call(trace, step.value) {
            self.made(id, made);
        }
    }

    fn pairs(&mut self, id: u32, items: &Items) {
        self.listing.complete &= items.complete();
        for (index, pair) in items.kept.chunks_exact(2).enumerate() {
            let [key, value] = pair else { continue };
            // An object as a key (an optimizer keeps its state by parameter) has no name but its place.
            let part = if matches!(key, Value::Node(_)) { Part::Index(index) } else { Part::Key(*key) };
            self.push(Some(id), part, *value);
        }
    }

    fn row(&mut self, id: u32, items: &Items) {
        self.listing.complete &= items.complete();
        for (index, value) in items.kept.iter().enumerate() {
            self.push(Some(id), Part::Index(index), *value);
        }
    }

    fn made(&mut self, id: u32, made: &Call) {
        let function = name(self.trace, made.callee).unwrap_or_default();
        let mut meaning = self.meaning(&function, made);
        // A function that is called by `_rebuild_from_type_v2`; one of those in one of those is nobody's doing.
        if let Some(Meaning::Calls { function, args }) = meaning {
            meaning = torch::meaning(self.trace, &function, args);
            if matches!(meaning, None | Some(Meaning::Calls { .. })) {
                self.listing.complete = false;
                return;
            }
        }
        match meaning {
            Some(Meaning::Tensor(tensor)) => self.found.push((id, tensor)),
            Some(Meaning::Same(value)) => self.push(Some(id), Part::Nothing, value),
            Some(Meaning::Parts(parts)) => {
                parts.into_iter().for_each(|(word, value)| self.push(Some(id), Part::Word(word), value));
            }
            Some(Meaning::Calls { .. }) | None => self.object(id, &function, made),
        }
    }

    fn meaning(&self, function: &str, made: &Call) -> Option<Meaning> {
        torch::meaning(self.trace, function, made.args).or_else(|| numpy::meaning(self.trace, function, made))
    }

    /// An object of any class: what it was made of, the items it was given, and its state.
    fn object(&mut self, id: u32, class: &str, made: &Call) {
        if made.how == How::Persistent {
            return;
        }
        if let Some((Kind::Tuple, args)) = container(self.trace, made.args) {
            match class {
                // Python 2 gives the pairs to the constructor.
                "collections.OrderedDict" => {
                    args.kept.first().into_iter().for_each(|pairs| self.listed_pairs(id, *pairs))
                }
                // A named tuple is made of its fields.
                _ if made.how == How::New => self.row(id, args),
                _ => {}
            }
        }
        // The subclass of a dict or the subclass of a list: nothing but the keys tells which.
        let text = |key: &Value| matches!(key, Value::Text { .. });
        if matches!(class, "collections.OrderedDict" | "collections.Counter" | "collections.defaultdict")
            || made.items.kept.len().is_multiple_of(2) && made.items.kept.iter().step_by(2).all(text)
        {
            self.pairs(id, &made.items);
        } else {
            self.row(id, &made.items);
        }
        for state in &made.states {
            self.state(id, class, *state);
        }
    }

    /// `[[key, value], ...]`.
    fn listed_pairs(&mut self, id: u32, pairs: Value) {
        let trace = self.trace;
        let Some((Kind::List | Kind::Tuple, items)) = container(trace, pairs) else { return };
        self.listing.complete &= items.complete();
        for pair in &items.kept {
            if let Some((Kind::List | Kind::Tuple, pair)) = container(trace, *pair)
                && let [key, value] = pair.kept.as_slice()
            {
                self.push(Some(id), Part::Key(*key), *value);
            }
        }
    }

    fn state(&mut self, id: u32, class: &str, state: Value) {
        let trace = self.trace;
        match container(trace, state) {
            Some((Kind::Dict, items)) => match module(trace, state) {
                Some([parameters, buffers, modules]) => {
                    self.push(Some(id), Part::Nothing, parameters);
                    self.push(Some(id), Part::Nothing, buffers);
                    self.push(Some(id), Part::Nothing, modules);
                }
                // `_metadata` of a state dict: versions, no tensors.
                None if class == "collections.OrderedDict" => {}
                None => self.pairs(id, items),
            },
            // Attributes of `__dict__` and of `__slots__`.
            Some((Kind::Tuple, items)) if items.kept.len() == 2 => {
                for half in &items.kept {
                    if let Some((Kind::Dict, items)) = container(trace, *half) {
                        self.pairs(id, items);
                    }
                }
            }
            Some((Kind::Tuple | Kind::List, items)) => self.row(id, items),
            _ => {}
        }
    }

    fn name_all(&mut self) {
        let roots = self.found.iter().map(|(id, _)| self.steps.get(*id as usize).and_then(|step| step.state_dict));
        let mut roots: Vec<_> = roots.collect();
        roots.dedup();
        let root = match roots.as_slice() {
            [one] => *one,
            _ => None,
        };
        let mut room = NAMES;
        for (id, mut tensor) in std::mem::take(&mut self.found) {
            tensor.name = self.name(id, root);
            let Some(left) = room.checked_sub(tensor.name.len()) else {
                self.listing.complete = false;
                return;
            };
            room = left;
            self.listing.tensors.push(tensor);
        }
    }

    /// The keys on the way, joined by dots, below `root`.
    fn name(&self, id: u32, root: Option<u32>) -> String {
        let mut parts = Vec::new();
        let mut at = Some(id);
        while at != root {
            let Some(step) = at.and_then(|id| self.steps.get(id as usize)) else { break };
            match step.part {
                Part::Nothing => {}
                Part::Key(key) => parts.push(self.key(key)),
                Part::Index(index) => parts.push(index.to_string()),
                Part::Word(word) => parts.push(word.to_owned()),
            }
            at = step.above;
        }
        parts.reverse();
        parts.join(".")
    }

    fn key(&self, key: Value) -> String {
        self.trace.text(key, KEY).unwrap_or_else(|| preview::value(self.trace, key))
    }
}

/// Parameters, buffers and modules of an `nn.Module`: what its state dict is made of. Everything else of it is no weight.
fn module(trace: &Trace, state: Value) -> Option<[Value; 3]> {
    let parameters = field(trace, state, "_parameters")?;
    let modules = field(trace, state, "_modules")?;
    Some([parameters, field(trace, state, "_buffers").unwrap_or(Value::None), modules])
}
