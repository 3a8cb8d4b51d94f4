//! Visits the contents of objects: their items, their attributes, and the parameters, buffers and modules of a module. No
//! class is imported: the pickle says what an object is made of.

use crate::bounds::MAX_KEY_BYTES;
use crate::values::incomplete::IncompleteReason;
use crate::values::keys::dedup_keys;
use crate::values::tensor::{InvalidTensor, TensorData, TensorDescription};
use crate::values::trace_ext::{field, key_value_pairs, qualified_name, sequence};
use crate::values::value_kind::ValueKind;
use crate::values::walk::{Exclusion, PathPart, Walk, key_part};
use scanner::internal::judge::effect::{Effect, lookup};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, CallKind, ContainerKind, Items, Value};
use std::collections::HashSet;

/// Functions that make an object of a class and a base. The class is their first argument.
const RECONSTRUCTORS: &[&str] = &["copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__"];

impl Walk<'_> {
    /// Visits a persistent id: a tensor of a torch tar, whose key is a number (`"200"`), or a storage without a tensor. Returns
    /// whether the call is a persistent id.
    pub(crate) fn persistent_object(&mut self, id: u32, made: &Call) -> bool {
        if made.how != CallKind::Persistent {
            return false;
        }
        let key = match made.args {
            Value::Int(key) => Some(key.to_string()),
            text @ Value::Text { .. } => self.trace.text(text, MAX_KEY_BYTES),
            _ => None,
        };
        let kind = sequence(self.trace, made.args).and_then(|args| self.trace.text(*args.first()?, MAX_KEY_BYTES));
        let elements = match key {
            Some(key) => TensorData::TarKey(key),
            // The source text of the class of a module.
            None if kind.as_deref() == Some("module") => return true,
            None => {
                self.exclude(id, Exclusion::BareStorage);
                TensorData::Invalid(InvalidTensor::BareStorage)
            }
        };
        self.found_tensor(id, TensorDescription::untyped(String::new(), elements));
        true
    }

    /// Visits an object of any class: its constructor arguments, its items and its state.
    pub(crate) fn object(&mut self, id: u32, class: &str, made: &Call) {
        // In an unproven file, an unknown callable may change or drop its arguments: tensors that reach it are excluded.
        let known = self.proven || matches!(made.how, CallKind::New | CallKind::NewEx) || self.is_inert(made.callee);
        let unknown =
            || Exclusion::UnknownCallable(if class.is_empty() { "a computed callable".into() } else { class.into() });
        match self.trace.container(made.args) {
            Some((ContainerKind::Tuple, args)) => {
                self.require_complete(args);
                match class {
                    // Pickles of Python 2 give the pairs to the constructor.
                    "collections.OrderedDict" if made.how != CallKind::New => return self.ordered_dict(id, args, made),
                    // The arguments of a named tuple are its fields.
                    _ if made.how == CallKind::New => self.sequence_items(id, args),
                    // Class, base and the argument of the base: for a dict or list, all its items.
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
                    // set, frozenset and all other callables.
                    _ => {
                        for (index, value) in args.kept.iter().enumerate() {
                            self.push_excluded(id, PathPart::Index(index), *value, unknown());
                        }
                    }
                }
            }
            // The arguments are the result of a call.
            _ => self.push_excluded(id, PathPart::Name("args"), made.args, unknown()),
        }
        self.push_excluded(id, PathPart::Name("kwargs"), made.kwargs(), unknown());
        if !known {
            for (index, value) in made.items().kept.iter().chain(made.states()).enumerate() {
                self.push_excluded(id, PathPart::Index(index), *value, unknown());
            }
            return self
                .note_other(Some(id), PathPart::Transparent, || ValueKind::CallResult { callable: class.to_owned() });
        }
        // Subclasses of dict and of list are told apart by their items: a dict has text keys.
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

    /// Excludes the attributes of a tensor. Setting `data`, `real` or `imag` would change its elements.
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
        // The state is `__dict__`, or a pair of `__dict__` and the values of `__slots__`.
        let halves = sequence(trace, state).map_or_else(|| vec![state], <[Value]>::to_vec);
        for half in halves.into_iter().filter(|half| *half != Value::None) {
            let Some((ContainerKind::Dict, items)) = trace.container(half) else {
                self.incomplete_reason = Some(IncompleteReason::UnknownAttributes);
                continue;
            };
            self.require_unchanged(half);
            self.require_complete(items);
            for [key, value] in dedup_keys(trace, key_value_pairs(items)) {
                if trace.text(key, MAX_KEY_BYTES).is_none_or(|key| matches!(key.as_str(), "data" | "real" | "imag")) {
                    self.incomplete_reason = Some(IncompleteReason::TensorModified);
                }
                self.push_excluded(id, PathPart::Key(key), value, Exclusion::ObjectAttribute);
            }
        }
    }

    fn is_inert(&self, callee: Value) -> bool {
        let Value::Global(callable) = callee else { return false };
        let callable = self.trace.callables.get(callable as usize);
        callable.and_then(lookup).is_some_and(|judgement| matches!(judgement.effect, Effect::Inert(_)))
    }

    /// Visits `OrderedDict([[key, value], ...])` and the items that follow.
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
                Some((ContainerKind::Dict, listed)) => {
                    pairs.extend(key_value_pairs(listed).filter(|_| listed.complete()))
                }
                Some((_, listed)) => pairs.extend(listed.kept.iter().map_while(of_pair)),
                None => {}
            }
            let given = trace.container(*listed).map(|(kind, listed)| (kind, listed.total));
            if given.map(|(kind, total)| if kind == ContainerKind::Dict { total / 2 } else { total })
                != Some(pairs.len() as u64)
            {
                self.incomplete_reason = Some(IncompleteReason::OrderedDictArguments);
            }
        }
        pairs.extend(key_value_pairs(made.items()));
        self.dict_pairs(id, pairs);
        self.states(id, "collections.OrderedDict", made);
    }

    fn states(&mut self, id: u32, class: &str, made: &Call) {
        // The class decides what a second state replaces.
        if made.states().len() > 1 {
            self.incomplete_reason = Some(IncompleteReason::TwoStates);
        }
        for state in made.states() {
            self.state(id, class, *state);
        }
    }

    fn state(&mut self, id: u32, class: &str, state: Value) {
        let trace = self.trace;
        self.require_unchanged(state);
        match trace.container(state) {
            Some((ContainerKind::Dict, items)) => match module_dicts(trace, state) {
                Some([parameters, buffers, modules]) => {
                    self.push(Some(id), PathPart::Transparent, parameters);
                    self.buffers(id, buffers, non_persistent_buffers(trace, state));
                    self.push(Some(id), PathPart::Transparent, modules);
                    self.module_attributes(id, class, items);
                }
                // Attributes of a state dict: `_metadata` holds versions of modules.
                None if class == "collections.OrderedDict" => {
                    for [key, value] in dedup_keys(trace, key_value_pairs(items)) {
                        self.push_excluded(id, PathPart::Key(key), value, Exclusion::ObjectAttribute);
                    }
                }
                None => self.dict_items(id, items),
            },
            // A pair of `__dict__` and the values of `__slots__`.
            Some((ContainerKind::Tuple, items)) if items.kept.len() == 2 => {
                for (index, half) in items.kept.iter().enumerate() {
                    self.require_unchanged(*half);
                    match trace.container(*half) {
                        Some((ContainerKind::Dict, items)) => self.dict_items(id, items),
                        _ if *half == Value::None => {}
                        _ => {
                            self.push(Some(id), PathPart::Index(index), *half);
                        }
                    }
                }
            }
            Some((ContainerKind::Tuple | ContainerKind::List, items)) => self.sequence_items(id, items),
            Some((ContainerKind::Set | ContainerKind::FrozenSet, _)) => {}
            None => {
                self.push(Some(id), PathPart::Transparent, state);
            }
        }
    }

    /// Records that tensors may be missing, if a container got items after an object was made of it.
    fn require_unchanged(&mut self, value: Value) {
        if self.trace.heap.changed_after_capture(value) {
            self.incomplete_reason = Some(IncompleteReason::ContainerModified);
        }
    }

    fn buffers(&mut self, id: u32, buffers: Value, skipped: HashSet<String>) {
        let trace = self.trace;
        let pairs = match (trace.container(buffers), trace.made(buffers)) {
            (Some((ContainerKind::Dict, items)), _) => items,
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

    /// Excludes the other attributes of a module: they are not part of state dicts.
    fn module_attributes(&mut self, id: u32, class: &str, items: &Items) {
        self.note_other(Some(id), PathPart::Transparent, || ValueKind::Module { class: class.to_owned() });
        for [key, value] in dedup_keys(self.trace, key_value_pairs(items)) {
            let known = self.trace.text(key, MAX_KEY_BYTES);
            if !matches!(known.as_deref(), Some("_parameters" | "_buffers" | "_modules")) {
                self.push_excluded(id, PathPart::Key(key), value, Exclusion::ModuleAttribute);
            }
        }
    }
}

/// Parameters, buffers and modules of an `nn.Module`, of which its state dict consists. `None` for other objects.
fn module_dicts(trace: &Trace, state: Value) -> Option<[Value; 3]> {
    let parameters = field(trace, state, "_parameters")?;
    let modules = field(trace, state, "_modules")?;
    Some([parameters, field(trace, state, "_buffers").unwrap_or(Value::None), modules])
}

/// The names of the buffers that are not part of state dicts.
fn non_persistent_buffers(trace: &Trace, state: Value) -> HashSet<String> {
    let Some(set) = field(trace, state, "_non_persistent_buffers_set") else { return HashSet::new() };
    let names = |items: &Items| items.kept.iter().filter_map(|name| trace.text(*name, MAX_KEY_BYTES)).collect();
    match (trace.container(set), trace.made(set)) {
        (Some((_, items)), _) => names(items),
        // `set([...])` in protocols before 4.
        (None, Some(made))
            if matches!(qualified_name(trace, made.callee).as_deref(), Some("builtins.set" | "__builtin__.set")) =>
        {
            let listed = trace.container(made.args).and_then(|(_, args)| trace.container(*args.kept.first()?));
            listed.map_or_else(HashSet::new, |(_, items)| names(items))
        }
        _ => HashSet::new(),
    }
}
