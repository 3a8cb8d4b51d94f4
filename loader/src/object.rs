//! What objects hold: their items, their attributes, and of a module its parameters, buffers and modules. No class is
//! imported to know that; the stream says what is put into it.

use crate::keys::settled;
use crate::reading::{call, container, field, name, row};
use crate::tensor::{Numbers, Tensor};
use crate::walk::{Blocked, KEY, Part, Walk, key_part, pairs_of};
use scanner::internal::judge::effect::{Effect, judge};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, CallKind, ContainerKind, Items, Value};
use std::collections::HashSet;

/// Makers of empty objects: what they are made of is a class, and no part of the value.
const RECONSTRUCTORS: &[&str] = &["copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__"];

impl Walk<'_> {
    /// A tensor of torch's tar, which is named by a number (`"200"`), or a storage without a tensor over it.
    pub(crate) fn keyed(&mut self, id: u32, made: &Call) -> bool {
        if made.how != CallKind::Persistent {
            return false;
        }
        let key = match made.args {
            Value::Int(key) => Some(key.to_string()),
            text @ Value::Text { .. } => self.trace.text(text, KEY),
            _ => None,
        };
        let kind = row(self.trace, made.args).and_then(|args| self.trace.text(*args.first()?, KEY));
        let numbers = match key {
            Some(key) => Numbers::Keyed(key),
            // The class of a whole module.
            None if kind.as_deref() == Some("module") => return true,
            None => {
                self.block(id, Blocked::Storage);
                Numbers::Wrong("it is a storage")
            }
        };
        self.tensor(id, Tensor { word: "".into(), dtype: None, item: 0, shape: None, numbers, beside: Vec::new() });
        true
    }

    /// An object of any class: what it was made of, the items it was given, and its state.
    pub(crate) fn object(&mut self, id: u32, class: &str, made: &Call) {
        // A name that is known to be harmless may still do something to what it gets: of an unproven file, nothing that
        // passed through an unknown function is taken for what the stream says.
        let known = self.proven || matches!(made.how, CallKind::New | CallKind::NewEx) || self.inert(made.callee);
        let unknown = || Blocked::Unknown(if class.is_empty() { "a computed callable".into() } else { class.into() });
        match container(self.trace, made.args) {
            Some((ContainerKind::Tuple, args)) => {
                self.whole(args);
                match class {
                    // Python 2 gives the pairs to the constructor.
                    "collections.OrderedDict" if made.how != CallKind::New => return self.ordered(id, args, made),
                    // A named tuple is made of its fields.
                    _ if made.how == CallKind::New => self.row(id, args),
                    // Class, base, and what the base is made of: of a dict or list, all that it holds.
                    _ if RECONSTRUCTORS.contains(&class) => {
                        for value in args
                            .kept
                            .iter()
                            .skip(if class.ends_with("newobj__") { 1 } else { 2 })
                            .filter(|value| matches!(value, Value::Node(_)))
                        {
                            self.push(Some(id), Part::Nothing, *value);
                        }
                    }
                    // A set, a frozenset, and whatever else is called with tensors.
                    _ => {
                        for (index, value) in args.kept.iter().enumerate() {
                            self.push_blocked(id, Part::Index(index), *value, unknown());
                        }
                    }
                }
            }
            // A tuple that a call made.
            _ => self.push_blocked(id, Part::Word("args"), made.args, unknown()),
        }
        self.push_blocked(id, Part::Word("kwargs"), made.kwargs(), unknown());
        if !known {
            for (index, value) in made.items().kept.iter().chain(made.states()).enumerate() {
                self.push_blocked(id, Part::Index(index), *value, unknown());
            }
            return self.leave(Some(id), Part::Nothing, || format!("what {class} makes"));
        }
        // The subclass of a dict or the subclass of a list: nothing but the keys tells which.
        let text = |key: &Value| matches!(key, Value::Text { .. });
        if matches!(class, "collections.OrderedDict" | "collections.Counter" | "collections.defaultdict")
            || made.items().kept.len().is_multiple_of(2) && made.items().kept.iter().step_by(2).all(text)
        {
            self.pairs(id, made.items());
        } else {
            self.row(id, made.items());
        }
        self.states(id, class, made);
    }

    /// Attributes of a tensor are no part of it. Three of them are: setting these sets its numbers.
    pub(crate) fn tensor_attributes(&mut self, id: u32, class: Option<Value>, state: Value) {
        let trace = self.trace;
        if let Some(class) = class.filter(|class| !self.proven && !self.inert(*class)) {
            self.block(id, Blocked::Unknown(name(trace, class).unwrap_or_else(|| "a computed class".to_owned())));
        }
        // `__dict__`, or that and what stands in slots.
        let halves = row(trace, state).map_or_else(|| vec![state], <[Value]>::to_vec);
        for half in halves.into_iter().filter(|half| *half != Value::None) {
            let Some((ContainerKind::Dict, items)) = container(trace, half) else {
                self.lacking = Some("attributes of a tensor of it cannot be told");
                continue;
            };
            self.settled_when_taken(half);
            self.whole(items);
            for [key, value] in settled(trace, pairs_of(items)) {
                if trace.text(key, KEY).is_none_or(|key| matches!(key.as_str(), "data" | "real" | "imag")) {
                    self.lacking = Some("a tensor of it is changed after it was made");
                }
                self.push_blocked(id, Part::Key(key), value, Blocked::Beside);
            }
        }
    }

    fn inert(&self, callee: Value) -> bool {
        let Value::Global(callable) = callee else { return false };
        let callable = self.trace.callables.get(callable as usize);
        callable.and_then(judge).is_some_and(|judgement| matches!(judgement.effect, Effect::Inert(_)))
    }

    /// `OrderedDict([[key, value], ...])`, then items.
    fn ordered(&mut self, id: u32, args: &Items, made: &Call) {
        self.whole(args);
        self.whole(made.items());
        let trace = self.trace;
        let mut pairs = Vec::new();
        if let Some(listed) = args.kept.first() {
            let of_pair = |pair: &Value| <[Value; 2]>::try_from(row(trace, *pair)?).ok();
            self.settled_when_taken(*listed);
            row(trace, *listed).unwrap_or_default().iter().for_each(|pair| self.settled_when_taken(*pair));
            match container(trace, *listed) {
                Some((ContainerKind::Dict, listed)) => pairs.extend(pairs_of(listed).filter(|_| listed.complete())),
                Some((_, listed)) => pairs.extend(listed.kept.iter().map_while(of_pair)),
                None => {}
            }
            let given = container(trace, *listed).map(|(kind, listed)| (kind, listed.total));
            if given.map(|(kind, total)| if kind == ContainerKind::Dict { total / 2 } else { total })
                != Some(pairs.len() as u64)
            {
                self.lacking = Some("an ordered dict of it is made of what is no list of pairs");
            }
        }
        pairs.extend(pairs_of(made.items()));
        self.settled(id, pairs);
        self.states(id, "collections.OrderedDict", made);
    }

    fn states(&mut self, id: u32, class: &str, made: &Call) {
        // The later one replaces what it names of the earlier one, by rules of the class.
        if made.states().len() > 1 {
            self.lacking = Some("an object of it is given a state twice");
        }
        for state in made.states() {
            self.state(id, class, *state);
        }
    }

    fn state(&mut self, id: u32, class: &str, state: Value) {
        let trace = self.trace;
        self.settled_when_taken(state);
        match container(trace, state) {
            Some((ContainerKind::Dict, items)) => match module(trace, state) {
                Some([parameters, buffers, modules]) => {
                    self.push(Some(id), Part::Nothing, parameters);
                    self.buffers(id, buffers, not_persistent(trace, state));
                    self.push(Some(id), Part::Nothing, modules);
                    self.attributes(id, class, items);
                }
                // `_metadata` of a state dict has versions, and no tensors.
                None if class == "collections.OrderedDict" => {
                    for [key, value] in settled(trace, pairs_of(items)) {
                        self.push_blocked(id, Part::Key(key), value, Blocked::Beside);
                    }
                }
                None => self.pairs(id, items),
            },
            // Attributes of `__dict__` and of `__slots__`.
            Some((ContainerKind::Tuple, items)) if items.kept.len() == 2 => {
                for (index, half) in items.kept.iter().enumerate() {
                    self.settled_when_taken(*half);
                    match container(trace, *half) {
                        Some((ContainerKind::Dict, items)) => self.pairs(id, items),
                        _ if *half == Value::None => {}
                        _ => {
                            self.push(Some(id), Part::Index(index), *half);
                        }
                    }
                }
            }
            Some((ContainerKind::Tuple | ContainerKind::List, items)) => self.row(id, items),
            Some((ContainerKind::Set | ContainerKind::FrozenSet, _)) => {}
            None => {
                self.push(Some(id), Part::Nothing, state);
            }
        }
    }

    /// Notes where a container got more after its items were taken: what took them has not got it.
    fn settled_when_taken(&mut self, value: Value) {
        if self.trace.heap.changed_after_capture(value) {
            self.lacking = Some("a container of it is changed after an object was made of its items");
        }
    }

    fn buffers(&mut self, id: u32, buffers: Value, skipped: HashSet<String>) {
        let trace = self.trace;
        let pairs = match (container(trace, buffers), call(trace, buffers)) {
            (Some((ContainerKind::Dict, items)), _) => items,
            (_, Some(made)) if !skipped.is_empty() => made.items(),
            _ => {
                self.push(Some(id), Part::Nothing, buffers);
                return;
            }
        };
        self.whole(pairs);
        for (index, [key, value]) in settled(trace, pairs_of(pairs)).into_iter().enumerate() {
            if trace.text(key, KEY).is_some_and(|key| skipped.contains(&key)) {
                self.push_blocked(id, Part::Key(key), value, Blocked::NotPersistent);
            } else {
                self.push(Some(id), key_part(key, index), value);
            }
        }
    }

    /// Everything else that a module holds: no state dict has it.
    fn attributes(&mut self, id: u32, class: &str, items: &Items) {
        self.leave(Some(id), Part::Nothing, || format!("the class {class} and its other attributes"));
        for [key, value] in settled(self.trace, pairs_of(items)) {
            let known = self.trace.text(key, KEY);
            if !matches!(known.as_deref(), Some("_parameters" | "_buffers" | "_modules")) {
                self.push_blocked(id, Part::Key(key), value, Blocked::Attribute);
            }
        }
    }
}

/// Parameters, buffers and modules of an `nn.Module`: what its state dict is made of. Everything else of it is no weight.
fn module(trace: &Trace, state: Value) -> Option<[Value; 3]> {
    let parameters = field(trace, state, "_parameters")?;
    let modules = field(trace, state, "_modules")?;
    Some([parameters, field(trace, state, "_buffers").unwrap_or(Value::None), modules])
}

/// The names of the buffers that no state dict has.
fn not_persistent(trace: &Trace, state: Value) -> HashSet<String> {
    let Some(set) = field(trace, state, "_non_persistent_buffers_set") else { return HashSet::new() };
    let names = |items: &Items| items.kept.iter().filter_map(|name| trace.text(*name, KEY)).collect();
    match (container(trace, set), call(trace, set)) {
        (Some((_, items)), _) => names(items),
        // `set([...])`, as older protocols write it.
        (None, Some(made))
            if matches!(name(trace, made.callee).as_deref(), Some("builtins.set" | "__builtin__.set")) =>
        {
            let listed = container(trace, made.args).and_then(|(_, args)| container(trace, *args.kept.first()?));
            listed.map_or_else(HashSet::new, |(_, items)| names(items))
        }
        _ => HashSet::new(),
    }
}
