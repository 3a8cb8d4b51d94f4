//! What the imports and calls of a pickle mean: asked of every event, at the moment it happens in the machine.

use super::arguments::{self, Problem};
use super::{CallSite, RawFinding};
use crate::io::artifact::Artifact;
use crate::judge::effect::{self, Effect, Judgement, Use};
use crate::judge::finding::{Severity, Verdict};
use crate::judge::rule::state_keys::is_watched_key;
use crate::observe::observations::Listener;
use crate::pickle::trace::{Action, Event, Trace};
use crate::pickle::value::{CallKind, CallableId, ContainerKind, Node, Value};
use crate::pickle::{Callable, preview};
use std::collections::HashMap;

/// Judges the events of one stream; remembers what each name means.
#[derive(Default)]
pub struct Calls {
    names: Vec<Option<Option<Judgement>>>,
    stream: Option<u64>,
    /// Importers by argument: where each was imported first, how often, and how often it imported something inert.
    importers: HashMap<String, (RawFinding, u64, u64)>,
    /// What is of concern, each with the name as it stands in the stream.
    raw_findings: Vec<(Option<String>, RawFinding)>,
    /// Where something was said first: a name imported ten thousand times is one concern with a count.
    said: HashMap<(&'static str, Option<String>, bool), usize>,
    limit: usize,
}

fn id_of(value: Value) -> Option<CallableId> {
    if let Value::Global(id) = value { Some(id) } else { None }
}

/// Classes outside the literal containers whose own `append` and `__setitem__` only keep the item.
const CONTAINERS: &[&str] =
    &["OrderedDict", "Counter", "defaultdict", "deque", "Bunch", "FrozenList", "UserDict", "UserList"];

impl Calls {
    /// Keeps at most `limit` concerns.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    fn judgement(&mut self, trace: &Trace, id: CallableId) -> Option<Judgement> {
        let index = id as usize;
        if self.names.len() <= index {
            self.names.resize(index + 1, None);
        }
        let slot = self.names.get_mut(index)?;
        *slot.get_or_insert_with(|| trace.callables.get(index).and_then(effect::judge))
    }

    /// The listener of one stream.
    pub fn listen(artifact: &Artifact) -> Box<dyn Listener> {
        Box::new(Self::new(artifact.budget.limits.findings))
    }

    fn add(&mut self, trace: &Trace, mut raw_finding: RawFinding) {
        // A call replaces the import before it: it says more.
        let called = raw_finding.evidence.is_some();
        let raw = raw_finding.callable.clone();
        let key = (raw_finding.rule, raw.clone(), called);
        if let Some((_, first)) = self.said.get(&key).and_then(|index| self.raw_findings.get_mut(*index)) {
            first.count += 1;
        } else if self.raw_findings.len() < self.limit {
            // Under the name that Python 3 has for it: that is what people look up and allow.
            let named = raw.as_deref().and_then(|name| trace.callables.iter().find(|callable| callable.is_named(name)));
            raw_finding.callable = named.and_then(effect::canonical).or(raw_finding.callable);
            self.said.insert(key, self.raw_findings.len());
            self.raw_findings.push((raw, raw_finding));
        }
    }

    fn import(&mut self, trace: &Trace, event: &Event, id: CallableId) {
        let judgement = self.judgement(trace, id);
        // By far the most: nothing is to be said, so nothing is written for it.
        if judgement.is_some_and(|judgement| matches!(judgement.effect, Effect::Inert(_))) {
            return;
        }
        let name = trace.callable_name(id);
        // The empty pair is what Python asks for where a stream is cut right behind GLOBAL; nothing has that name.
        if name == "." {
            return;
        }
        let raw_finding = match judgement {
            None => RawFinding {
                message: "pickle imports a name that it computes, so nothing says what it is".to_owned(),
                ..RawFinding::at(event.at, "computed-callable", Severity::Critical, Verdict::Unproven)
            },
            Some(judgement) => match name_concern(event.at, &name, judgement, "imports") {
                Some(raw_finding) if trace.callables.get(id as usize).is_some_and(arguments::is_importer) => {
                    let raw_finding = RawFinding { callable: Some(name.clone()), ..raw_finding };
                    self.importers.entry(name).or_insert((raw_finding, 0, 0)).1 += 1;
                    return;
                }
                Some(raw_finding) => raw_finding,
                None => return,
            },
        };
        self.add(trace, RawFinding { callable: Some(name), ..raw_finding });
    }

    fn call(&mut self, trace: &Trace, event: &Event, how: CallKind, callee: Value, args: Value) {
        let place = CallSite { trace, at: event.at, how, callee, args };
        match callee {
            _ if how == CallKind::Persistent => self.persistent(&place),
            Value::Global(id) => self.call_global(&place, id),
            Value::Node(id) => match trace.heap.get(id) {
                Some(Node::Call(call)) => {
                    let (made_by, class) = (call.how, call.callee);
                    if let Some(imported) =
                        id_of(class).and_then(|id| arguments::import_by_arguments(trace, id, call.args))
                        && self.call_imported(&place, &imported)
                    {
                        return;
                    }
                    let named = (made_by == CallKind::Persistent)
                        .then(|| arguments::persistent_class(trace, call.args))
                        .flatten();
                    match named {
                        Some(Value::Global(id)) => {
                            self.call_global(&CallSite { callee: Value::Global(id), ..place }, id)
                        }
                        _ => self.call_result(&place, made_by, class),
                    }
                }
                _ => self.call_unknown(&place),
            },
            Value::Instance(id) => self.call_result(&place, CallKind::Reduce, Value::Global(id)),
            // `X.__new__` of plain data: refused by C, `int.__new__` and its like by Python.
            value if value.is_plain() => {}
            _ => self.call_unknown(&place),
        }
    }

    fn persistent(&mut self, place: &CallSite<'_>) {
        match arguments::persistent_id(place.trace, place.args) {
            Ok(()) | Err(Problem::Unknown) => {}
            Err(Problem::Wrong(what)) => self.add(
                place.trace,
                RawFinding {
                    evidence: Some(place.preview()),
                    message: format!("pickle asks the loader for an object by {what}"),
                    ..RawFinding::at(place.at, "unexpected-arguments", Severity::High, Verdict::Unproven)
                },
            ),
        }
    }

    fn call_global(&mut self, place: &CallSite<'_>, id: CallableId) {
        let name = || place.trace.callable_name(id);
        let Some(judgement) = self.judgement(place.trace, id) else {
            self.add(
                place.trace,
                RawFinding {
                    callable: Some(name()),
                    evidence: Some(place.preview()),
                    message: "pickle calls something whose name it computes".to_owned(),
                    ..RawFinding::at(place.at, "computed-callable", Severity::Critical, Verdict::Unproven)
                },
            );
            return;
        };
        if matches!(place.how, CallKind::Build | CallKind::Append | CallKind::Add | CallKind::SetItem) {
            self.add(
                place.trace,
                RawFinding {
                    evidence: Some(place.preview()),
                    message: format!("pickle changes the imported object {} for the whole process", name()),
                    callable: Some(name()),
                    ..RawFinding::at(place.at, "implicit-call", Severity::Critical, Verdict::Dangerous)
                },
            );
            return;
        }
        if place.how == CallKind::Reduce
            && let Some(imported) = arguments::import_by_arguments(place.trace, id, place.args)
            && effect::judge(&imported).is_some_and(|judgement| matches!(judgement.effect, Effect::Inert(_)))
        {
            if let Some((_, _, resolved)) = self.importers.get_mut(&name()) {
                *resolved += 1;
            }
            return;
        }
        if !matches!(judgement.effect, Effect::Inert(_))
            && let Some(raw_finding) = name_concern(place.at, &name(), judgement, "calls")
        {
            self.add(
                place.trace,
                RawFinding { callable: Some(name()), evidence: Some(place.preview()), ..raw_finding },
            );
            return;
        }
        let bare = matches!(place.how, CallKind::Instance)
            && arguments::Args::of(place.trace, place.args).is_ok_and(|args| args.items.is_empty());
        let needed =
            if matches!(place.how, CallKind::New | CallKind::NewEx) || bare { Use::Construct } else { Use::Call };
        if judgement.effect < Effect::Inert(needed) {
            self.add(
                place.trace,
                RawFinding {
                    evidence: Some(place.preview()),
                    message: format!("pickle calls {}, which is known to be inert only when it is not called", name()),
                    callable: Some(name()),
                    ..RawFinding::at(place.at, "unknown-callable", Severity::Medium, Verdict::Unproven)
                },
            );
            return;
        }
        let checked = matches!(place.how, CallKind::Reduce) || place.how == CallKind::Instance && !bare;
        let problem = match judgement.arguments.filter(|_| checked) {
            Some(rule) => arguments::check(rule, place.trace, place.args),
            None => Ok(()),
        };
        let (severity, what) = match problem {
            Ok(()) => return,
            Err(Problem::Wrong(what)) => (Severity::High, what),
            Err(Problem::Unknown) => (Severity::Medium, "more arguments than are kept".to_owned()),
        };
        self.add(
            place.trace,
            RawFinding {
                evidence: Some(place.preview()),
                message: format!("pickle gives {} arguments that no pickler writes: {what}", name()),
                callable: Some(name()),
                ..RawFinding::at(place.at, "unexpected-arguments", severity, Verdict::Unproven)
            },
        );
    }

    /// A call on what an importer by argument gave. Whether that settles it.
    fn call_imported(&mut self, place: &CallSite<'_>, imported: &Callable) -> bool {
        let Some(judgement) = effect::judge(imported) else { return false };
        let needed = match place.how {
            CallKind::Reduce => Use::Call,
            CallKind::New | CallKind::NewEx => Use::Construct,
            // Keys and states of a class or enum member: `hash` and attributes of an inert thing.
            CallKind::Hash | CallKind::Delete => Use::Value,
            _ => return false,
        };
        if judgement.effect < Effect::Inert(needed) || judgement.effect > Effect::Inert(Use::Call) {
            return false;
        }
        let rule = judgement.arguments.filter(|_| place.how == CallKind::Reduce);
        rule.is_none_or(|rule| arguments::check(rule, place.trace, place.args).is_ok())
    }

    /// A call on what an earlier call made.
    fn call_result(&mut self, place: &CallSite<'_>, made_by: CallKind, class: Value) {
        let id = id_of(class);
        let judgement = id.and_then(|id| self.judgement(place.trace, id));
        let name = id.map(|id| place.trace.callable_name(id));
        let inert = judgement.is_some_and(|judgement| matches!(judgement.effect, Effect::Inert(_)));
        // What a class made is of that class; what a function returned may be anything with an `append` of its own.
        let last = name.as_deref().and_then(|name| name.rsplit('.').next());
        // Rows of the library tables carry no reason of their own.
        let container = matches!(made_by, CallKind::New | CallKind::NewEx | CallKind::Instance)
            && judgement.is_some_and(|judgement| judgement.why.is_empty())
            || last.is_some_and(|last| CONTAINERS.contains(&last) || last == "_reconstructor");
        let raw_finding = match place.how {
            CallKind::Reduce | CallKind::Instance | CallKind::New | CallKind::NewEx => Some((
                "computed-callable",
                Severity::Critical,
                "pickle calls what another call returned, so nothing says what it is".to_owned(),
            )),
            CallKind::Build => {
                if let Some(key) = self.risky_state(place) {
                    Some((
                        "implicit-call",
                        Severity::High,
                        format!("pickle plants the attribute {key}, which Python calls later"),
                    ))
                } else if let Some(what) =
                    id.and_then(|_| arguments::array_state(place.trace, name.as_deref(), place.args))
                {
                    Some((
                        "unexpected-arguments",
                        Severity::High,
                        format!("pickle gives an array a state that no pickler writes: {what}"),
                    ))
                } else if made_by == CallKind::Persistent {
                    Some((
                        "implicit-call",
                        Severity::High,
                        "pickle gives a state to an object of the loader".to_owned(),
                    ))
                } else {
                    None
                }
            }
            // Whatever is not known to be inert has its finding where it is imported.
            CallKind::Append | CallKind::Add | CallKind::SetItem if inert && !container => Some((
                "implicit-call",
                Severity::High,
                format!("pickle adds items to {}, which is no container", name.as_deref().unwrap_or("an object")),
            )),
            CallKind::Append | CallKind::Add | CallKind::SetItem if made_by == CallKind::Persistent => {
                Some(("implicit-call", Severity::High, "pickle adds items to an object of the loader".to_owned()))
            }
            _ => None,
        };
        if let Some((rule, severity, message)) = raw_finding {
            self.add(
                place.trace,
                RawFinding {
                    callable: name,
                    evidence: Some(place.preview()),
                    message,
                    ..RawFinding::at(place.at, rule, severity, Verdict::Unproven)
                },
            );
        }
    }

    fn call_unknown(&mut self, place: &CallSite<'_>) {
        let (severity, message) = match place.how {
            CallKind::Hash => (Severity::Medium, "pickle uses something unknown as a key"),
            CallKind::Extension => (Severity::High, "pickle asks for an object of the loader's extension table"),
            CallKind::SetItem if place.args == Value::Unknown => {
                (Severity::High, "pickle plants an attribute, among too many to follow, which Python calls later")
            }
            _ => (Severity::Critical, "pickle calls or changes something that cannot be known"),
        };
        self.add(
            place.trace,
            RawFinding {
                evidence: Some(place.preview()),
                message: message.to_owned(),
                ..RawFinding::at(place.at, "computed-callable", severity, Verdict::Unproven)
            },
        );
    }

    /// A key of the state that makes Python call something later, with a value that could be called.
    fn risky_state(&self, place: &CallSite<'_>) -> Option<String> {
        let trace = place.trace;
        let mut dicts = vec![place.args];
        if let Value::Node(id) = place.args
            && let Some(Node::Container { kind: ContainerKind::Tuple, items }) = trace.heap.get(id)
            && let Some([first, second]) = items.exactly::<2>()
        {
            dicts = vec![first, second];
        }
        for dict in dicts {
            let Value::Node(id) = dict else { continue };
            let items = match trace.heap.get(id) {
                Some(Node::Container { kind: ContainerKind::Dict, items }) => items,
                Some(Node::Call(call)) => call.items(),
                _ => continue,
            };
            for pair in items.kept.chunks(2) {
                let [key, value] = pair else { break };
                if quiet(trace, *value) {
                    continue;
                }
                match trace.text(*key, 400) {
                    Some(name) if is_watched_key(&name) => return Some(name),
                    None if !key.is_plain() => return Some(preview::value(trace, *key)),
                    _ => {}
                }
            }
        }
        None
    }
}

impl Listener for Calls {
    fn event(&mut self, trace: &Trace, event: &Event) {
        // A pickle between the opcodes of another one numbers its names anew.
        if self.stream != Some(trace.start) {
            self.stream = Some(trace.start);
            self.names.clear();
        }
        match event.action {
            Action::Import(id) => self.import(trace, event, id),
            Action::Call { how, callee, args } => self.call(trace, event, how, callee, args),
        }
    }

    fn finish(self: Box<Self>, trace: &Trace) -> Vec<RawFinding> {
        let Self { raw_findings, said, importers, .. } = *self;
        let spare = |raw: &Option<String>, raw_finding: &RawFinding| {
            raw_finding.evidence.is_none() && said.contains_key(&(raw_finding.rule, raw.clone(), true))
        };
        let mut kept: Vec<RawFinding> = raw_findings
            .into_iter()
            .filter(|(raw, raw_finding)| !spare(raw, raw_finding))
            .map(|(_, raw_finding)| raw_finding)
            .collect();
        // An importer that was kept rather than called could be called by the program, with anything.
        let unused = importers.into_values().filter(|(_, imported, resolved)| resolved < imported);
        kept.extend(unused.map(|(raw_finding, _, _)| raw_finding));
        kept.extend(super::facts::stream(trace));
        kept
    }
}

/// A value that does nothing under any name: plain, or an empty container.
fn quiet(trace: &Trace, value: Value) -> bool {
    match value {
        Value::Node(id) => match trace.heap.get(id) {
            Some(Node::Container { items, .. }) => items.total == 0,
            Some(Node::Call(call)) => {
                let empty = arguments::Args::of(trace, call.args).is_ok_and(|args| args.items.is_empty());
                let ordered = id_of(call.callee)
                    .and_then(|id| trace.callables.get(id as usize))
                    .is_some_and(|class| class.is_named("collections.OrderedDict"));
                ordered && empty && call.items().total == 0
            }
            None => false,
        },
        Value::Opaque(_) => false,
        other => other.is_plain(),
    }
}

fn name_concern(at: u64, name: &str, judgement: Judgement, verb: &str) -> Option<RawFinding> {
    let why = if judgement.why.is_empty() { String::new() } else { format!(": {}", judgement.why) };
    let (rule, severity, verdict) = match judgement.effect {
        Effect::Inert(_) => return None,
        Effect::Critical => ("unsafe-callable", Severity::Critical, Verdict::Dangerous),
        Effect::High if judgement.listed => ("unsafe-callable", Severity::High, Verdict::Dangerous),
        Effect::High => ("unknown-callable", Severity::High, Verdict::Unproven),
        Effect::Unknown => ("unknown-callable", Severity::Medium, Verdict::Unproven),
    };
    let message = if rule == "unsafe-callable" || !why.is_empty() {
        format!("pickle {verb} {name}{why}")
    } else {
        format!("pickle {verb} {name}, which is not known to be inert")
    };
    Some(RawFinding { message, ..RawFinding::at(at, rule, severity, verdict) })
}
