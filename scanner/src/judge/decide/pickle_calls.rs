//! Findings on the imports and calls of a pickle. The pickle machine reports each event as it happens, so that a pickle of
//! 10^8 events needs no memory for them.

use super::arguments::{self, ArgumentProblem};
use super::{attributes, names, pickle_form};
use crate::finding::RawFinding;
use crate::io::artifact::Artifact;
use crate::judge::effect::{self, AllowedUse, CallableEffect, Effect, EffectTable};
use crate::judge::rule::{computed_callable, implicit_call, unexpected_arguments, unknown_callable};
use crate::observe::observations::Listener;
use crate::pickle::trace::{Action, Event, Trace};
use crate::pickle::value::{CallKind, CallableId, Node, NodeId, Value};
use crate::pickle::{Callable, preview};
use std::collections::HashMap;

/// A call, where it is and what it gets.
#[derive(Clone, Copy)]
struct CallSite<'a> {
    trace: &'a Trace,
    /// Offset of the opcode.
    at: u64,
    how: CallKind,
    callee: Value,
    args: Value,
}

impl CallSite<'_> {
    /// Adds the place of this call to a finding, and the call as Python code for evidence.
    fn locate(&self, finding: RawFinding) -> RawFinding {
        finding.at(self.at).evidence(preview::call(self.trace, self.how, self.callee, self.args))
    }
}

/// A name that hands over what its arguments name (`getattr`). Harmless as long as each call of it gives an inert object.
struct Importer {
    /// The finding on the first import of the name.
    finding: RawFinding,
    imports: u64,
    /// Calls that gave an inert object.
    inert_calls: u64,
}

/// The findings of a rule on one name, apart for imports and calls of it.
#[derive(PartialEq, Eq, Hash)]
struct Repeat {
    rule: &'static str,
    name: Option<String>,
    called: bool,
}

/// Decides on the events of one stream.
#[derive(Default)]
pub struct CallDecider {
    /// What each name of the stream does, by its id. Outer `None`: not looked up. Inner `None`: a computed name.
    effects: Vec<Option<Option<CallableEffect>>>,
    /// Start of the stream that `effects` belongs to.
    stream: Option<u64>,
    importers: HashMap<String, Importer>,
    /// The findings, each with the name as the stream writes it.
    findings: Vec<(Option<String>, RawFinding)>,
    /// Index in `findings`: a name that is imported 10,000 times is one finding with a count.
    first: HashMap<Repeat, usize>,
    max_findings: usize,
}

fn global_id(value: Value) -> Option<CallableId> {
    if let Value::Global(id) = value { Some(id) } else { None }
}

const fn is_inert(known: CallableEffect) -> bool {
    matches!(known.effect, Effect::Inert(_))
}

/// Classes beside the literal containers whose own `append` and `__setitem__` only keep the item.
const CONTAINERS: &[&str] =
    &["OrderedDict", "Counter", "defaultdict", "deque", "Bunch", "FrozenList", "UserDict", "UserList"];

impl CallDecider {
    /// The listener of one stream.
    pub fn listen(artifact: &Artifact) -> Box<dyn Listener> {
        Box::new(Self { max_findings: artifact.budget.limits.findings, ..Self::default() })
    }

    fn effect(&mut self, trace: &Trace, id: CallableId) -> Option<CallableEffect> {
        let index = id as usize;
        if self.effects.len() <= index {
            self.effects.resize(index + 1, None);
        }
        let slot = self.effects.get_mut(index)?;
        *slot.get_or_insert_with(|| trace.callables.get(index).and_then(effect::lookup))
    }

    fn add(&mut self, trace: &Trace, mut finding: RawFinding) {
        // A call replaces the import before it: it says more.
        let called = finding.evidence.is_some();
        let raw = finding.callable.clone();
        let key = Repeat { rule: finding.rule, name: raw.clone(), called };
        if let Some((_, first)) = self.first.get(&key).and_then(|index| self.findings.get_mut(*index)) {
            first.count += 1;
        } else if self.findings.len() < self.max_findings {
            // Under the name that Python 3 has for it: people look up and allow that one.
            let named = raw.as_deref().and_then(|name| trace.callables.iter().find(|callable| callable.is_named(name)));
            finding.callable = named.and_then(effect::canonical).or(finding.callable);
            self.first.insert(key, self.findings.len());
            self.findings.push((raw, finding));
        }
    }

    fn import(&mut self, trace: &Trace, event: &Event, id: CallableId) {
        let known = self.effect(trace, id);
        // Most imports are inert. They return before anything is allocated.
        if known.is_some_and(is_inert) {
            return;
        }
        let name = trace.callable_name(id);
        // The empty pair is what Python asks for where a stream is cut right behind GLOBAL; nothing has that name.
        if name == "." {
            return;
        }
        let finding = match known {
            None => computed_callable::import(),
            Some(known) => match names::finding("pickle imports", &name, known) {
                Some(finding) if trace.callables.get(id as usize).is_some_and(arguments::imports_by_arguments) => {
                    let finding = finding.at(event.at).callable(name.clone());
                    let importer = Importer { finding, imports: 0, inert_calls: 0 };
                    self.importers.entry(name).or_insert(importer).imports += 1;
                    return;
                }
                Some(finding) => finding,
                None => return,
            },
        };
        self.add(trace, finding.at(event.at).callable(name));
    }

    fn call(&mut self, site: CallSite<'_>) {
        match site.callee {
            _ if site.how == CallKind::Persistent => self.persistent(&site),
            Value::Global(id) => self.call_global(&site, id),
            Value::Node(id) => self.call_node(&site, id),
            Value::Instance(id) => self.call_result(&site, CallKind::Reduce, Value::Global(id)),
            // `X.__new__` of plain data: refused by C, `int.__new__` and its like by Python.
            value if value.is_plain() => {}
            _ => self.call_unknown(&site),
        }
    }

    fn persistent(&mut self, site: &CallSite<'_>) {
        match arguments::persistent_id(site.trace, site.args) {
            Ok(()) | Err(ArgumentProblem::Unknown) => {}
            Err(ArgumentProblem::Wrong(what)) => {
                self.add(site.trace, site.locate(unexpected_arguments::persistent_id(&what)));
            }
        }
    }

    /// A call of a value in the heap.
    fn call_node(&mut self, site: &CallSite<'_>, id: NodeId) {
        let Some(Node::Call(call)) = site.trace.heap.get(id) else { return self.call_unknown(site) };
        let imported = global_id(call.callee).and_then(|id| arguments::import_by_arguments(site.trace, id, call.args));
        if imported.is_some_and(|imported| call_of_imported_is_inert(site, &imported)) {
            return;
        }
        let class = (call.how == CallKind::Persistent).then(|| arguments::persistent_class(site.trace, call.args));
        match class.flatten() {
            Some(Value::Global(id)) => self.call_global(&CallSite { callee: Value::Global(id), ..*site }, id),
            _ => self.call_result(site, call.how, call.callee),
        }
    }

    fn call_global(&mut self, site: &CallSite<'_>, id: CallableId) {
        let known = self.effect(site.trace, id);
        if known.is_some() && imports_inert_object(site, id) {
            if let Some(importer) = self.importers.get_mut(&site.trace.callable_name(id)) {
                importer.inert_calls += 1;
            }
            return;
        }
        if let Some(finding) = finding_on_global(site, id, known) {
            self.add(site.trace, site.locate(finding).callable(site.trace.callable_name(id)));
        }
    }

    /// A call on the result of an earlier call: `made_by` is how `class` was called.
    fn call_result(&mut self, site: &CallSite<'_>, made_by: CallKind, class: Value) {
        let id = global_id(class);
        let known = id.and_then(|id| self.effect(site.trace, id));
        let name = id.map(|id| site.trace.callable_name(id));
        let finding = match site.how {
            CallKind::Reduce | CallKind::Instance | CallKind::New | CallKind::NewEx => {
                Some(computed_callable::call_of_result())
            }
            CallKind::Build => finding_on_state(site, made_by, name.as_deref()),
            // A class that is not inert has its finding where it is imported.
            CallKind::Append | CallKind::Add | CallKind::SetItem
                if known.is_some_and(is_inert) && !keeps_items(made_by, known, name.as_deref()) =>
            {
                Some(implicit_call::items_of_other_object(name.as_deref()))
            }
            CallKind::Append | CallKind::Add | CallKind::SetItem if made_by == CallKind::Persistent => {
                Some(implicit_call::items_of_loader_object())
            }
            CallKind::Append
            | CallKind::Add
            | CallKind::SetItem
            | CallKind::Hash
            | CallKind::Delete
            | CallKind::Persistent
            | CallKind::Extension => None,
        };
        if let Some(finding) = finding {
            self.add(site.trace, site.locate(finding).callable(name));
        }
    }

    fn call_unknown(&mut self, site: &CallSite<'_>) {
        let finding = match site.how {
            CallKind::Hash => computed_callable::unknown_key(),
            CallKind::Extension => computed_callable::extension(),
            CallKind::SetItem if site.args == Value::Unknown => computed_callable::untracked_attribute(),
            CallKind::Reduce
            | CallKind::Instance
            | CallKind::New
            | CallKind::NewEx
            | CallKind::Build
            | CallKind::Append
            | CallKind::Add
            | CallKind::SetItem
            | CallKind::Delete
            | CallKind::Persistent => computed_callable::unknown_object(),
        };
        self.add(site.trace, site.locate(finding));
    }
}

impl Listener for CallDecider {
    fn event(&mut self, trace: &Trace, event: &Event) {
        // A pickle between the opcodes of another one numbers its names anew.
        if self.stream != Some(trace.start) {
            self.stream = Some(trace.start);
            self.effects.clear();
        }
        match event.action {
            Action::Import(id) => self.import(trace, event, id),
            Action::Call { how, callee, args } => self.call(CallSite { trace, at: event.at, how, callee, args }),
        }
    }

    fn finish(self: Box<Self>, trace: &Trace) -> Vec<RawFinding> {
        let Self { findings, first, importers, .. } = *self;
        let replaced = |name: &Option<String>, finding: &RawFinding| {
            let call = Repeat { rule: finding.rule, name: name.clone(), called: true };
            finding.evidence.is_none() && first.contains_key(&call)
        };
        let mut kept: Vec<RawFinding> = findings
            .into_iter()
            .filter(|(name, finding)| !replaced(name, finding))
            .map(|(_, finding)| finding)
            .collect();
        // The program could call an importer that the pickle only keeps, with any arguments.
        let kept_importers = importers.into_values().filter(|importer| importer.inert_calls < importer.imports);
        kept.extend(kept_importers.map(|importer| importer.finding));
        kept.extend(pickle_form::findings(trace));
        kept
    }
}

/// Whether it is a call of an importer that gives an inert object.
fn imports_inert_object(site: &CallSite<'_>, id: CallableId) -> bool {
    site.how == CallKind::Reduce
        && arguments::import_by_arguments(site.trace, id, site.args)
            .is_some_and(|imported| effect::lookup(&imported).is_some_and(is_inert))
}

/// The finding on a call of an import, whose effect is `known`.
fn finding_on_global(site: &CallSite<'_>, id: CallableId, known: Option<CallableEffect>) -> Option<RawFinding> {
    let name = || site.trace.callable_name(id);
    let Some(known) = known else { return Some(computed_callable::call()) };
    if matches!(site.how, CallKind::Build | CallKind::Append | CallKind::Add | CallKind::SetItem) {
        return Some(implicit_call::changed_import(&name()));
    }
    if !is_inert(known) {
        return names::finding("pickle calls", &name(), known);
    }
    let bare = site.how == CallKind::Instance
        && arguments::Args::of(site.trace, site.args).is_ok_and(|args| args.items.is_empty());
    let needed = if matches!(site.how, CallKind::New | CallKind::NewEx) || bare {
        AllowedUse::Construct
    } else {
        AllowedUse::Call
    };
    if known.effect < Effect::Inert(needed) {
        return Some(unknown_callable::called(&name()));
    }
    let checked = site.how == CallKind::Reduce || site.how == CallKind::Instance && !bare;
    let rule = known.argument_check.filter(|_| checked)?;
    match arguments::check(rule, site.trace, site.args) {
        Ok(()) => None,
        Err(ArgumentProblem::Wrong(what)) => Some(unexpected_arguments::wrong(&name(), &what)),
        Err(ArgumentProblem::Unknown) => Some(unexpected_arguments::unchecked(&name())),
    }
}

/// The finding on a state for the result of a call of `name`.
fn finding_on_state(site: &CallSite<'_>, made_by: CallKind, name: Option<&str>) -> Option<RawFinding> {
    if let Some(attribute) = attributes::called_later(site.trace, site.args) {
        return Some(implicit_call::planted_attribute(&attribute));
    }
    if let Some(what) = arguments::array_state(site.trace, name, site.args) {
        return Some(unexpected_arguments::array_state(&what));
    }
    (made_by == CallKind::Persistent).then(implicit_call::state_of_loader_object)
}

/// Whether `append` and `__setitem__` of the result of a call only keep the item. The result of a class is an instance of it;
/// a function may return any object.
fn keeps_items(made_by: CallKind, class: Option<CallableEffect>, name: Option<&str>) -> bool {
    let instance = matches!(made_by, CallKind::New | CallKind::NewEx | CallKind::Instance);
    let last = name.and_then(|name| name.rsplit('.').next());
    instance && class.is_some_and(|class| class.origin == EffectTable::Library)
        || last.is_some_and(|last| CONTAINERS.contains(&last) || last == "_reconstructor")
}

/// Whether a call of the object that an importer gave is inert.
fn call_of_imported_is_inert(site: &CallSite<'_>, imported: &Callable) -> bool {
    let Some(known) = effect::lookup(imported) else { return false };
    let needed = match site.how {
        CallKind::Reduce => AllowedUse::Call,
        CallKind::New | CallKind::NewEx => AllowedUse::Construct,
        // `hash` and attributes of a class or an enum member.
        CallKind::Hash | CallKind::Delete => AllowedUse::Value,
        CallKind::Instance
        | CallKind::Build
        | CallKind::Append
        | CallKind::Add
        | CallKind::SetItem
        | CallKind::Persistent
        | CallKind::Extension => {
            return false;
        }
    };
    if !is_inert(known) || known.effect < Effect::Inert(needed) {
        return false;
    }
    let rule = known.argument_check.filter(|_| site.how == CallKind::Reduce);
    rule.is_none_or(|rule| arguments::check(rule, site.trace, site.args).is_ok())
}
