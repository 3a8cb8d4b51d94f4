//! What importing or calling a name means: the tables of `data/`, and the order in which they are asked.
//!
//! Exact pairs only; what no table knows is unknown, never inert. `data/README.md` tells the order and the columns.

use crate::pickle::Callable;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a name does when a pickle gets hold of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing of the file's choosing runs, within what the use covers.
    Inert(Use),
    /// Nobody has shown it inert.
    Unknown,
    /// Reads or writes files, opens connections, or drives another callable.
    High,
    /// Runs code, or hands over something that does.
    Critical,
}

/// How an inert name may be used; each includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Imported and kept.
    Value,
    /// Made without `__init__`, then given a state.
    Construct,
    /// Called with plain arguments.
    Call,
}

/// What the tables say of a name.
#[derive(Debug, Clone, Copy)]
pub struct Judgement {
    /// What it does.
    pub effect: Effect,
    /// Why, as a sentence without a full stop; empty where nothing is known.
    pub why: &'static str,
    /// The rule its arguments must pass, if it has one.
    pub arguments: Option<&'static str>,
    /// Whether a row of a table names it, rather than what the name looks like.
    pub listed: bool,
}

struct Tables {
    pairs: HashMap<(&'static str, &'static str), Judgement>,
    shapes: Vec<(&'static str, &'static str, Judgement)>,
    names: HashMap<(&'static str, &'static str), (&'static str, &'static str)>,
    modules: HashMap<&'static str, &'static str>,
}

const LIBRARIES: &[&str] = &[
    include_str!("../../data/libraries/accelerate.tsv"),
    include_str!("../../data/libraries/catboost.tsv"),
    include_str!("../../data/libraries/dateutil.tsv"),
    include_str!("../../data/libraries/lightgbm.tsv"),
    include_str!("../../data/libraries/numpy.tsv"),
    include_str!("../../data/libraries/pandas.tsv"),
    include_str!("../../data/libraries/pytz.tsv"),
    include_str!("../../data/libraries/scipy.tsv"),
    include_str!("../../data/libraries/sklearn.tsv"),
    include_str!("../../data/libraries/torch.tsv"),
    include_str!("../../data/libraries/transformers.tsv"),
    include_str!("../../data/libraries/xgboost.tsv"),
];

const CALLABLES: &str = include_str!("../../data/callables.tsv");
const ARGUMENTS: &str = include_str!("../../data/arguments.tsv");
const SHAPES: &str = include_str!("../../data/shapes.tsv");
const FIX_IMPORTS: &str = include_str!("../../data/fix_imports.tsv");
pub(crate) const KERAS: &str = include_str!("../../data/keras.tsv");

/// The text of all tables, in a fixed order.
pub(crate) fn texts() -> impl Iterator<Item = &'static str> {
    LIBRARIES.iter().copied().chain([CALLABLES, ARGUMENTS, SHAPES, FIX_IMPORTS, KERAS])
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().skip(1).filter(|line| !line.is_empty()).map(|line| line.split('\t').collect())
}

fn effect(word: &str, used: &str) -> Effect {
    match word {
        "inert" => Effect::Inert(usage(used)),
        "unknown" => Effect::Unknown,
        "high" => Effect::High,
        _ => Effect::Critical,
    }
}

fn usage(word: &str) -> Use {
    match word {
        "call" => Use::Call,
        "construct" => Use::Construct,
        _ => Use::Value,
    }
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables {
        pairs: HashMap::with_capacity(4096),
        shapes: Vec::new(),
        names: HashMap::new(),
        modules: HashMap::new(),
    };
    for table in LIBRARIES {
        for row in rows(table) {
            if let [module, name, used, ..] = row[..] {
                let effect = Effect::Inert(usage(used));
                tables.pairs.insert((module, name), Judgement { effect, why: "", arguments: None, listed: true });
            }
        }
    }
    for row in rows(CALLABLES) {
        if let [module, name, word, used, _, why, ..] = row[..] {
            tables
                .pairs
                .insert((module, name), Judgement { effect: effect(word, used), why, arguments: None, listed: true });
        }
    }
    for row in rows(ARGUMENTS) {
        if let [module, name, rule] = row[..]
            && let Some(pair) = tables.pairs.get_mut(&(module, name))
        {
            pair.arguments = Some(rule);
        }
    }
    for row in rows(SHAPES) {
        if let [module, name, word, why, ..] = row[..] {
            tables.shapes.push((
                module,
                name,
                Judgement { effect: effect(word, "-"), why, arguments: None, listed: true },
            ));
        }
    }
    for row in rows(FIX_IMPORTS) {
        match row[..] {
            ["name", module, name, new_module, new_name] => {
                tables.names.insert((module, name), (new_module, new_name));
            }
            ["module", module, _, new_module, ..] => {
                tables.modules.insert(module, new_module);
            }
            _ => {}
        }
    }
    tables
});

/// The pair that Python 3 takes a Python 2 pair for.
fn mapped<'a>(module: &'a str, name: &'a str) -> (&'a str, &'a str) {
    if let Some(pair) = TABLES.names.get(&(module, name)) {
        return *pair;
    }
    (TABLES.modules.get(module).copied().unwrap_or(module), name)
}

/// Answers to names that were asked for.
#[derive(Default)]
struct Asked {
    /// The last few: a checkpoint asks for the same ones for each of its thousands of tensors.
    last: Vec<(Callable, Option<Judgement>)>,
    next: usize,
    before: HashMap<Callable, Option<Judgement>>,
}

impl Asked {
    const LAST: usize = 8;

    fn judge(&mut self, callable: &Callable) -> Option<Judgement> {
        if let Some((_, answer)) = self.last.iter().find(|(asked, _)| asked == callable) {
            return *answer;
        }
        if self.before.len() >= 1024 {
            self.before.clear();
        }
        let answer = match self.before.get(callable) {
            Some(answer) => *answer,
            None => {
                let answer = look_up(callable);
                self.before.insert(callable.clone(), answer);
                answer
            }
        };
        let place = self.next % Self::LAST;
        self.next = place + 1;
        match self.last.get_mut(place) {
            Some(oldest) => *oldest = (callable.clone(), answer),
            None => self.last.push((callable.clone(), answer)),
        }
        answer
    }
}

thread_local! {
    static ASKED: RefCell<Asked> = RefCell::default();
}

/// What a name does. `None` when the stream computes the name.
pub fn judge(callable: &Callable) -> Option<Judgement> {
    ASKED.with_borrow_mut(|asked| asked.judge(callable))
}

fn look_up(callable: &Callable) -> Option<Judgement> {
    let (module, name) = (callable.module.as_deref()?, callable.name.as_deref()?);
    let mut found = pair(module, name);
    if module == "__main__" {
        let why = "what it is depends on the program that loads the file";
        return Some(Judgement { effect: Effect::High, why, arguments: None, listed: false });
    }
    // A Python 2 module under a protocol that Python 2 does not have: nobody knows what answers to that name.
    if callable.protocol >= 3 && TABLES.modules.contains_key(module) && matches!(found.effect, Effect::Inert(_)) {
        found = Judgement { effect: Effect::Unknown, why: "", arguments: None, listed: false };
    }
    // Below protocol 3 the mapping applies; Python 2 itself takes the pair as it stands. The worse of the two counts,
    // unless the pair is unknown to Python 3 altogether.
    if callable.protocol < 3 {
        let (new_module, new_name) = mapped(module, name);
        if (new_module, new_name) != (module, name) {
            let new = pair(new_module, new_name);
            found = if found.effect == Effect::Unknown || new.effect > found.effect { new } else { found };
        }
    }
    Some(found)
}

/// The pair as `module.name`, under the name that Python 3 has for it.
pub fn canonical(callable: &Callable) -> Option<String> {
    let (module, name) = (callable.module.as_deref()?, callable.name.as_deref()?);
    let (module, name) = if callable.protocol < 3 { mapped(module, name) } else { (module, name) };
    Some(format!("{module}.{name}"))
}

fn pair(module: &str, name: &str) -> Judgement {
    let dotted = format!(".{name}");
    let shape = |(module_pattern, name_pattern, _): &&(&str, &str, Judgement)| {
        *name_pattern != "*.*"
            && glob(module_pattern, module)
            && (glob(name_pattern, name) || name.contains('.') && glob(name_pattern, &dotted))
    };
    if let Some((_, _, judgement)) = TABLES.shapes.iter().filter(shape).max_by_key(|row| row.2.effect) {
        return *judgement;
    }
    if let Some(judgement) = listed(module, name) {
        return judgement;
    }
    for twin in twins(module) {
        if let Some(judgement) = listed(&twin.module, name)
            && (twin.same || !matches!(judgement.effect, Effect::Inert(_)))
        {
            return judgement;
        }
    }
    Judgement { effect: Effect::Unknown, why: "", arguments: None, listed: false }
}

fn listed(module: &str, name: &str) -> Option<Judgement> {
    if let Some(judgement) = TABLES.pairs.get(&(module, name)) {
        return Some(*judgement);
    }
    if name.contains('.') {
        let why = "a dotted name walks from object to object and can end anywhere";
        return Some(Judgement { effect: Effect::High, why, arguments: None, listed: false });
    }
    let mut parent = module;
    loop {
        if let Some(judgement) = TABLES.pairs.get(&(parent, "*")) {
            return Some(*judgement);
        }
        parent = parent.rsplit_once('.')?.0;
    }
}

struct Twin {
    module: String,
    /// Whether it is the same object under another path, rather than a module that only looks alike.
    same: bool,
}

fn twins(module: &str) -> Vec<Twin> {
    let mut twins = Vec::new();
    let mut add = |module: String, same| twins.push(Twin { module, same });
    match module.strip_prefix('_') {
        Some(bare) => add(bare.to_owned(), false),
        None => add(format!("_{module}"), false),
    }
    for (one, other) in [("numpy._core", "numpy.core"), ("torch._tensor", "torch.tensor")] {
        for (from, to) in [(one, other), (other, one)] {
            if let Some(rest) = module.strip_prefix(from).filter(|rest| rest.is_empty() || rest.starts_with('.')) {
                add(format!("{to}{rest}"), true);
            }
        }
    }
    twins
}

/// Whether `text` matches a pattern in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(found) = rest.find(part) else { return false };
        rest = rest.get(found + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect_of(module: &str, name: &str, protocol: u8) -> Effect {
        let callable = Callable { module: Some(module.to_owned()), name: Some(name.to_owned()), protocol };
        judge(&callable).expect("a literal name").effect
    }

    #[test]
    fn names_are_judged_in_the_order_of_the_tables() {
        assert_eq!(effect_of("posix", "system", 2), Effect::Critical);
        assert_eq!(effect_of("pathlib", "os.system", 4), Effect::Critical);
        assert_eq!(effect_of("collections", "OrderedDict", 2), Effect::Inert(Use::Call));
        assert!(effect_of("cStringIO", "open", 2) >= Effect::High);
        assert_eq!(effect_of("UserDict", "_sys", 2), Effect::Critical);
        assert_eq!(effect_of("mylib.layers", "Block", 4), Effect::Unknown);
        assert_eq!(effect_of("__main__", "Net", 4), Effect::High);
        assert_eq!(effect_of("asyncio.unix_events", "anything", 4), Effect::Critical);
        assert!(effect_of("json", "codecs.builtins.len", 4) >= Effect::High);
    }

    #[test]
    fn an_underscore_twin_is_never_inert() {
        assert_eq!(effect_of("_collections", "Counter", 4), Effect::Unknown);
        assert!(effect_of("_subprocess", "Popen", 4) >= Effect::High);
    }

    #[test]
    fn patterns_match_whole_texts() {
        assert!(glob("*.os.*", ".os.system") && !glob("*.os.*", "os") && glob("os", "os") && !glob("os", "oss"));
    }
}
