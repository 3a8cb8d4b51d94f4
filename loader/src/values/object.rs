//! What objects hold: their items, their attributes, and of a module its parameters, buffers and modules. No class is
//! imported to know that; the stream says what is put into it.

use crate::bounds::MAX_KEY_BYTES;
use crate::values::keys::dedup_keys;
use crate::values::tensor::{TensorData, TensorDescription};
use crate::values::trace_ext::{field, key_value_pairs, qualified_name, sequence};
use crate::values::walk::{Exclusion, PathPart, Walk, key_part};
use scanner::internal::judge::effect::{Effect, judge};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, How, Items, Kind, Value};
use std::collections::HashSet;

/// Makers of empty objects: what they are made of is a class, and no part of the value.
const RECONSTRUCTORS: &[&str] = &["copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__"];

impl Walk<'_> {
    /// A tensor of torch's tar, which is named by a number (`"200"`), or a storage without a tensor over it.
    pub(crate) fn persistent_object(&mut self, id: u32, made: &Call) -> bool {
        if made.how != How::Persistent {
            return false;
        }
        let key = match made.args {
            Value::Int(key) => Some(key.to_string()),
            text @ Value::Text { .. } => self.trace.text(text, MAX_KEY_BYTES),
            _ => None,
        };
        let kind = sequence(self.trace, made.args).and_then(|args| self.trace.text(*args.first()?, MAX_KEY_BYTES));
        let numbers = match key {
            Some(key) => TensorData::TarKey(key),
            // The class of a whole module.
            None if kind.as_deref() == Some("module") => return true,
            None => {
                self.exclude(id, Exclusion::BareStorage);
                TensorData::Invalid("it is a storage")
            }
        };
        self.found_tensor(
            id,
            TensorDescription {
                dtype_name: "".into(),
                dtype: None,
                element_size: 0,
                shape: None,
                elements: numbers,
                components: Vec::new(),
            },
        );
        true
    }

    /// An object of any class: what it was made of, the items it was given, and its state.
    pub(crate) fn object(&mut self, id: u32, class: &str, made: &Call) {
        // A name that is known to be harmless may still do something to what it gets: of an unproven file, nothing that
        // passed through an unknown function is taken for what the stream says.
        let known = self.proven || matches!(made.how, How::New | How::NewEx) || self.is_inert(made.callee);
        let unknown =
            || Exclusion::UnknownCallable(if class.is_empty() { "a computed callable".into() } else { class.into() });
        match self.trace.container(made.args) {
            Some((Kind::Tuple, args)) => {
                self.require_complete(args);
                match class {
                    // Python 2 gives the pairs to the constructor.
                    "collections.OrderedDict" if made.how != How::New => return self.ordered_dict(id, args, made),
                    // A named tuple is made of its fields.
                    _ if made.how == How::New => self.sequence_items(id, args),
                    // Class, base, and what the base is made of: of a dict or list, all that it holds.
                    _ if RECONSTRUCTORS.contains(&class) => {
                        for value in args
                            .kept
                            .iter()
                            .skip(if class.ends_with("newobj__") { 1 } else { 2 })
                            .filter(|value| matches!(value, Value::Node(_)))
                        {
                            self.push(Some(id), PathPart::Transparent, *value);
                        }
                    }
                    // A set, a frozenset, and whatever else is called with tensors.
                    _ => {
                        for (index, value) in args.kept.iter().enumerate() {
                            self.push_excluded(id, PathPart::Index(index), *value, unknown());
                        }
                    }
                }
            }
            // A tuple that a call made.
            _ => self.push_excluded(id, PathPart::Name("args"), made.args, unknown()),
        }
        self.push_excluded(id, PathPart::Name("kwargs"), made.kwargs(), unknown());
        if !known {
            for (index, value) in made.items().kept.iter().chain(made.states()).enumerate() {
                self.push_excluded(id, PathPart::Index(index), *value, unknown());
            }
            return self.note_other(Some(id), PathPart::Transparent, || format!("what {class} makes"));
        }
        // The subclass of a dict or the subclass of a list: nothing but the keys tells which.
        let text = |key: &Value| matches!(key, Value::Text { .. });
        if matches!(class, "collections.OrderedDict" | "collections.Counter" | "collections.defaultdict")
            || made.items().kept.len().is_multiple_of(2) && made.items().kept.iter().step_by(2).all(text)
        {
            self.dict_items(id, made.items());
        } else {
            self.sequence_items(id, made.items());
        }
        self.states(id, class, made);
    }

    /// Attributes of a tensor are no part of it. Three of them are: setting these sets its numbers.
    pub(crate) fn tensor_attributes(&mut self, id: u32, class: Option<Value>, state: Value) {
        let trace = self.trace;
        if let Some(class) = class.filter(|class| !self.proven && !self.is_inert(*class)) {
            self.exclude(
                id,
                Exclusion::UnknownCallable(
                    qualified_name(trace, class).unwrap_or_else(|| "a computed class".to_owned()),
                ),
            );
        }
        // `__dict__`, or that and what stands in slots.
        let halves = sequence(trace, state).map_or_else(|| vec![state], <[Value]>::to_vec);
        for half in halves.into_iter().filter(|half| *half != Value::None) {
            let Some((Kind::Dict, items)) = trace.container(half) else {
                self.incomplete_reason = Some("attributes of a tensor of it cannot be told");
                continue;
            };
            self.require_unchanged(half);
            self.require_complete(items);
            for [key, value] in dedup_keys(trace, key_value_pairs(items)) {
                if trace.text(key, MAX_KEY_BYTES).is_none_or(|key| matches!(key.as_str(), "data" | "real" | "imag")) {
                    self.incomplete_reason = Some("a tensor of it is changed after it was made");
                }
                self.push_excluded(id, PathPart::Key(key), value, Exclusion::ObjectAttribute);
            }
        }
    }

    fn is_inert(&self, callee: Value) -> bool {
        let Value::Global(callable) = callee else { return false };
        let callable = self.trace.callables.get(callable as usize);
        callable.and_then(judge).is_some_and(|judgement| matches!(judgement.effect, Effect::Inert(_)))
    }

    /// `OrderedDict([[key, value], ...])`, then items.
    fn ordered_dict(&mut self, id: u32, args: &Items, made: &Call) {
        self.require_complete(args);
        self.require_complete(made.items());
        let trace = self.trace;
        let mut pairs = Vec::new();
        if let Some(listed) = args.kept.first() {
            let of_pair = |pair: &Value| <[Value; 2]>::try_from(sequence(trace, *pair)?).ok();
            self.require_unchanged(*listed);
            sequence(trace, *listed).unwrap_or_default().iter().for_each(|pair| self.require_unchanged(*pair));
            match trace.container(*listed) {
                Some((Kind::Dict, listed)) => pairs.extend(key_value_pairs(listed).filter(|_| listed.complete())),
                Some((_, listed)) => pairs.extend(listed.kept.iter().map_while(of_pair)),
                None => {}
            }
            let given = trace.container(*listed).map(|(kind, listed)| (kind, listed.total));
            if given.map(|(kind, total)| if kind == Kind::Dict { total / 2 } else { total }) != Some(pairs.len() as u64)
            {
                self.incomplete_reason = Some("an ordered dict of it is made of what is no list of pairs");
            }
        }
        pairs.extend(key_value_pairs(made.items()));
        self.dict_pairs(id, pairs);
        self.states(id, "collections.OrderedDict", made);
    }

    fn states(&mut self, id: u32, class: &str, made: &Call) {
        // The later one replaces what it names of the earlier one, by rules of the class.
        if made.states().len() > 1 {
            self.incomplete_reason = Some("an object of it is given a state twice");
        }
        for state in made.states() {
            self.state(id, class, *state);
        }
    }

    fn state(&mut self, id: u32, class: &str, state: Value) {
        let trace = self.trace;
        self.require_unchanged(state);
        match trace.container(state) {
            Some((Kind::Dict, items)) => match module_dicts(trace, state) {
                Some([parameters, buffers, modules]) => {
                    self.push(Some(id), PathPart::Transparent, parameters);
                    self.buffers(id, buffers, non_persistent_buffers(trace, state));
                    self.push(Some(id), PathPart::Transparent, modules);
                    self.module_attributes(id, class, items);
                }
                // `_metadata` of a state dict has versions, and no tensors.
                None if class == "collections.OrderedDict" => {
                    for [key, value] in dedup_keys(trace, key_value_pairs(items)) {
                        self.push_excluded(id, PathPart::Key(key), value, Exclusion::ObjectAttribute);
                    }
                }
                None => self.dict_items(id, items),
            },
            // Attributes of `__dict__` and of `__slots__`.
            Some((Kind::Tuple, items)) if items.kept.len() == 2 => {
                for (index, half) in items.kept.iter().enumerate() {
                    self.require_unchanged(*half);
                    match trace.container(*half) {
                        Some((Kind::Dict, items)) => self.dict_items(id, items),
                        _ if *half == Value::None => {}
                        _ => {
                            self.push(Some(id), PathPart::Index(index), *half);
                        }
                    }
                }
            }
            Some((Kind::Tuple | Kind::List, items)) => self.sequence_items(id, items),
            Some((Kind::Set | Kind::FrozenSet, _)) => {}
            None => {
                self.push(Some(id), PathPart::Transparent, state);
            }
        }
    }

    /// Notes where a container got more after its items were taken: what took them has not got it.
    fn require_unchanged(&mut self, value: Value) {
        if self.trace.heap.changed_late(value) {
            self.incomplete_reason = Some("a container of it is changed after an object was made of its items");
        }
    }

    fn buffers(&mut self, id: u32, buffers: Value, skipped: HashSet<String>) {
        let trace = self.trace;
        let pairs = match (trace.container(buffers), trace.made(buffers)) {
            (Some((Kind::Dict, items)), _) => items,
            (_, Some(made)) if !skipped.is_empty() => made.items(),
            _ => {
                self.push(Some(id), PathPart::Transparent, buffers);
                return;
            }
        };
        self.require_complete(pairs);
        for (index, [key, value]) in dedup_keys(trace, key_value_pairs(pairs)).into_iter().enumerate() {
            if trace.text(key, MAX_KEY_BYTES).is_some_and(|key| skipped.contains(&key)) {
                self.push_excluded(id, PathPart::Key(key), value, Exclusion::NonPersistentBuffer);
            } else {
                self.push(Some(id), key_part(key, index), value);
            }
        }
    }

    /// Everything else that a module holds: no state dict has it.
    fn module_attributes(&mut self, id: u32, class: &str, items: &Items) {
        self.note_other(Some(id), PathPart::Transparent, || format!("the class {class} and its other attributes"));
        for [key, value] in dedup_keys(self.trace, key_value_pairs(items)) {
            let known = self.trace.text(key, MAX_KEY_BYTES);
            if !matches!(known.as_deref(), Some("_parameters" | "_buffers" | "_modules")) {
                self.push_excluded(id, PathPart::Key(key), value, Exclusion::ModuleAttribute);
            }
        }
    }
}

/// Parameters, buffers and modules of an `nn.Module`: what its state dict is made of. Everything else of it is no weight.
fn module_dicts(trace: &Trace, state: Value) -> Option<[Value; 3]> {
    let parameters = field(trace, state, "_parameters")?;
    let modules = field(trace, state, "_modules")?;
    Some([parameters, field(trace, state, "_buffers").unwrap_or(Value::None), modules])
}

/// The names of the buffers that no state dict has.
fn non_persistent_buffers(trace: &Trace, state: Value) -> HashSet<String> {
    let Some(set) = field(trace, state, "_non_persistent_buffers_set") else { return HashSet::new() };
    let names = |items: &Items| items.kept.iter().filter_map(|name| trace.text(*name, MAX_KEY_BYTES)).collect();
    match (trace.container(set), trace.made(set)) {
        (Some((_, items)), _) => names(items),
        // `set([...])`, as older protocols write it.
        (None, Some(made))
            if matches!(qualified_name(trace, made.callee).as_deref(), Some("builtins.set" | "__builtin__.set")) =>
        {
            let listed = trace.container(made.args).and_then(|(_, args)| trace.container(*args.kept.first()?));
            listed.map_or_else(HashSet::new, |(_, items)| names(items))
        }
        _ => HashSet::new(),
    }
}
