//! What a callable does when it is imported or called: the tables of `data/`, and the order in which they are asked.
//!
//! A name is inert only by an exact pair of module and name. `data/README.md` has the order and the columns.

use crate::io::bounds::judge::{MAX_RECENT_NAMES, MAX_REMEMBERED_NAMES};
use crate::pickle::Callable;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a pickle can do with a name. In ascending order of harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Runs nothing that the file chooses, within this use.
    Inert(AllowedUse),
    /// In no table.
    Unknown,
    /// Reads or writes files, opens connections, or calls another callable.
    High,
    /// Runs code, or hands over an object that does.
    Critical,
}

/// How an inert name may be used; each includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AllowedUse {
    /// Imported and kept.
    Value,
    /// Made without `__init__`, then given a state.
    Construct,
    /// Called with plain arguments.
    Call,
}

/// The table that an effect comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectTable {
    /// `libraries/*.tsv`: recorded from what releases of a library pickle of themselves. Its classes are plain: their `append`
    /// and `__setitem__` only keep the item.
    Library,
    /// `callables.tsv`, `keras.tsv`: a person read the code, and the row gives the reason.
    Curated,
    /// `shapes.tsv`: a pattern of module and name.
    Shape,
    /// No table: the form of the name, or nothing, decided.
    Unlisted,
}

/// The effect of a callable and how it is known.
#[derive(Debug, Clone, Copy)]
pub struct CallableEffect {
    /// What it does.
    pub effect: Effect,
    /// Why, as a clause without a full stop.
    pub reason: Option<&'static str>,
    /// The check of `arguments.tsv` that a call must pass.
    pub argument_check: Option<&'static str>,
    /// Where the effect comes from.
    pub origin: EffectTable,
}

impl CallableEffect {
    /// An effect that no table lists, by the form of the name.
    const fn unlisted(effect: Effect, reason: &'static str) -> Self {
        Self { effect, reason: Some(reason), argument_check: None, origin: EffectTable::Unlisted }
    }

    /// A name that no table lists and whose form says nothing.
    pub(super) const UNKNOWN: Self =
        Self { effect: Effect::Unknown, reason: None, argument_check: None, origin: EffectTable::Unlisted };

    /// Whether a row of a table names it or its pattern.
    pub const fn is_listed(self) -> bool {
        !matches!(self.origin, EffectTable::Unlisted)
    }
}

struct Tables {
    /// Exact pairs of module and name; `*` as the name is the rest of the module and of those below it.
    pairs: HashMap<(&'static str, &'static str), CallableEffect>,
    /// Patterns of module and name.
    shapes: Vec<(&'static str, &'static str, CallableEffect)>,
    /// Pairs of Python 2 to pairs of Python 3.
    python3_names: HashMap<(&'static str, &'static str), (&'static str, &'static str)>,
    /// Modules of Python 2 to modules of Python 3.
    python3_modules: HashMap<&'static str, &'static str>,
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

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().skip(1).filter(|line| !line.is_empty()).map(|line| line.split('\t').collect())
}

fn parse_effect(word: &str, usage: &str) -> Effect {
    match word {
        "inert" => Effect::Inert(parse_use(usage)),
        "unknown" => Effect::Unknown,
        "high" => Effect::High,
        _ => Effect::Critical,
    }
}

fn parse_use(word: &str) -> AllowedUse {
    match word {
        "call" => AllowedUse::Call,
        "construct" => AllowedUse::Construct,
        _ => AllowedUse::Value,
    }
}

fn parse_reason(text: &'static str) -> Option<&'static str> {
    (!text.is_empty()).then_some(text)
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables {
        pairs: HashMap::with_capacity(4096),
        shapes: Vec::new(),
        python3_names: HashMap::new(),
        python3_modules: HashMap::new(),
    };
    for row in LIBRARIES.iter().copied().flat_map(rows) {
        if let [module, name, usage, ..] = row[..] {
            let effect = Effect::Inert(parse_use(usage));
            let known = CallableEffect { effect, reason: None, argument_check: None, origin: EffectTable::Library };
            tables.pairs.insert((module, name), known);
        }
    }
    for row in rows(CALLABLES) {
        if let [module, name, word, usage, _, reason, ..] = row[..] {
            let (effect, reason) = (parse_effect(word, usage), parse_reason(reason));
            let known = CallableEffect { effect, reason, argument_check: None, origin: EffectTable::Curated };
            tables.pairs.insert((module, name), known);
        }
    }
    for row in rows(ARGUMENTS) {
        if let [module, name, rule] = row[..]
            && let Some(pair) = tables.pairs.get_mut(&(module, name))
        {
            pair.argument_check = Some(rule);
        }
    }
    for row in rows(SHAPES) {
        if let [module, name, word, reason, ..] = row[..] {
            let (effect, reason) = (parse_effect(word, "-"), parse_reason(reason));
            let known = CallableEffect { effect, reason, argument_check: None, origin: EffectTable::Shape };
            tables.shapes.push((module, name, known));
        }
    }
    for row in rows(FIX_IMPORTS) {
        match row[..] {
            ["name", module, name, new_module, new_name] => {
                tables.python3_names.insert((module, name), (new_module, new_name));
            }
            ["module", module, _, new_module, ..] => {
                tables.python3_modules.insert(module, new_module);
            }
            _ => {}
        }
    }
    tables
});

/// The pair that Python 3 reads a Python 2 pair as.
fn python3_pair<'a>(module: &'a str, name: &'a str) -> (&'a str, &'a str) {
    if let Some(pair) = TABLES.python3_names.get(&(module, name)) {
        return *pair;
    }
    (TABLES.python3_modules.get(module).copied().unwrap_or(module), name)
}

/// The effects of names that this thread looked up.
#[derive(Default)]
struct EffectCache {
    /// The last few: a checkpoint asks for the same names for each of its thousands of tensors.
    recent: Vec<(Callable, Option<CallableEffect>)>,
    /// Index in `recent` of the oldest one.
    oldest: usize,
    known: HashMap<Callable, Option<CallableEffect>>,
}

impl EffectCache {
    fn lookup(&mut self, callable: &Callable) -> Option<CallableEffect> {
        if let Some((_, effect)) = self.recent.iter().find(|(recent, _)| recent == callable) {
            return *effect;
        }
        if self.known.len() >= MAX_REMEMBERED_NAMES {
            self.known.clear();
        }
        let effect = match self.known.get(callable) {
            Some(effect) => *effect,
            None => {
                let effect = lookup_in_tables(callable);
                self.known.insert(callable.clone(), effect);
                effect
            }
        };
        match self.recent.get_mut(self.oldest) {
            Some(oldest) => *oldest = (callable.clone(), effect),
            None => self.recent.push((callable.clone(), effect)),
        }
        self.oldest = (self.oldest + 1) % MAX_RECENT_NAMES;
        effect
    }
}

thread_local! {
    static EFFECT_CACHE: RefCell<EffectCache> = RefCell::default();
}

/// The effect of a callable. `None` where the stream computes the name.
pub fn lookup(callable: &Callable) -> Option<CallableEffect> {
    EFFECT_CACHE.with_borrow_mut(|cache| cache.lookup(callable))
}

fn lookup_in_tables(callable: &Callable) -> Option<CallableEffect> {
    let (module, name) = (callable.module.as_deref()?, callable.name.as_deref()?);
    if module == "__main__" {
        let reason = "what it is depends on the program that loads the file";
        return Some(CallableEffect::unlisted(Effect::High, reason));
    }
    let mut found = pair(module, name);
    // A Python 2 module under a protocol that Python 2 does not have: any installed package may have that name.
    if callable.protocol >= 3 && TABLES.python3_modules.contains_key(module) && matches!(found.effect, Effect::Inert(_))
    {
        found = CallableEffect::UNKNOWN;
    }
    // Below protocol 3 Python 3 maps the pair and Python 2 takes it as written. The worse of the two counts, unless Python 3
    // has no such pair at all.
    if callable.protocol < 3 {
        let (new_module, new_name) = python3_pair(module, name);
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
    let (module, name) = if callable.protocol < 3 { python3_pair(module, name) } else { (module, name) };
    Some(format!("{module}.{name}"))
}

fn pair(module: &str, name: &str) -> CallableEffect {
    let dotted = format!(".{name}");
    let shape = |(module_pattern, name_pattern, _): &&(&str, &str, CallableEffect)| {
        *name_pattern != "*.*"
            && wildcard(module_pattern, module)
            && (wildcard(name_pattern, name) || name.contains('.') && wildcard(name_pattern, &dotted))
    };
    if let Some((_, _, known)) = TABLES.shapes.iter().filter(shape).max_by_key(|row| row.2.effect) {
        return *known;
    }
    if let Some(known) = listed(module, name) {
        return known;
    }
    for alias in aliases(module) {
        if let Some(known) = listed(&alias.module, name)
            && (alias.same_module || !matches!(known.effect, Effect::Inert(_)))
        {
            return known;
        }
    }
    CallableEffect::UNKNOWN
}

fn listed(module: &str, name: &str) -> Option<CallableEffect> {
    if let Some(known) = TABLES.pairs.get(&(module, name)) {
        return Some(*known);
    }
    if name.contains('.') {
        let reason = "a dotted name walks from object to object and can end anywhere";
        return Some(CallableEffect::unlisted(Effect::High, reason));
    }
    let mut parent = module;
    loop {
        if let Some(known) = TABLES.pairs.get(&(parent, "*")) {
            return Some(*known);
        }
        parent = parent.rsplit_once('.')?.0;
    }
}

/// Another path of a module.
struct ModuleAlias {
    module: String,
    /// The same module, rather than one with a similar name such as the C part of it.
    same_module: bool,
}

fn aliases(module: &str) -> Vec<ModuleAlias> {
    let other = module.strip_prefix('_').map_or_else(|| format!("_{module}"), str::to_owned);
    let mut aliases = vec![ModuleAlias { module: other, same_module: false }];
    for (first, second) in [("numpy._core", "numpy.core"), ("torch._tensor", "torch.tensor")] {
        for (from, to) in [(first, second), (second, first)] {
            if let Some(rest) = module.strip_prefix(from).filter(|rest| rest.is_empty() || rest.starts_with('.')) {
                aliases.push(ModuleAlias { module: format!("{to}{rest}"), same_module: true });
            }
        }
    }
    aliases
}

/// Whether `text` matches a pattern in which `*` is any text, dots included.
fn wildcard(pattern: &str, text: &str) -> bool {
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
        lookup(&callable).expect("a literal name").effect
    }

    #[test]
    fn names_are_looked_up_in_the_order_of_the_tables() {
        assert_eq!(effect_of("posix", "system", 2), Effect::Critical);
        assert_eq!(effect_of("pathlib", "os.system", 4), Effect::Critical);
        assert_eq!(effect_of("collections", "OrderedDict", 2), Effect::Inert(AllowedUse::Call));
        assert!(effect_of("cStringIO", "open", 2) >= Effect::High);
        assert_eq!(effect_of("UserDict", "_sys", 2), Effect::Critical);
        assert_eq!(effect_of("mylib.layers", "Block", 4), Effect::Unknown);
        assert_eq!(effect_of("__main__", "Net", 4), Effect::High);
        assert_eq!(effect_of("asyncio.unix_events", "anything", 4), Effect::Critical);
        assert!(effect_of("json", "codecs.builtins.len", 4) >= Effect::High);
    }

    #[test]
    fn a_module_with_another_underscore_is_never_inert() {
        assert_eq!(effect_of("_collections", "Counter", 4), Effect::Unknown);
        assert!(effect_of("_subprocess", "Popen", 4) >= Effect::High);
    }

    #[test]
    fn the_table_of_a_row_is_its_origin() {
        let origin = |module: &str, name: &str, protocol| {
            let callable = Callable { module: Some(module.to_owned()), name: Some(name.to_owned()), protocol };
            lookup(&callable).expect("a literal name").origin
        };
        assert_eq!(origin("numpy.core.multiarray", "_reconstruct", 2), EffectTable::Curated);
        assert_eq!(origin("copy_reg", "_reconstructor", 2), EffectTable::Curated, "under its Python 3 name");
        assert_eq!(origin("sklearn.linear_model._logistic", "LogisticRegression", 4), EffectTable::Library);
        assert_eq!(origin("mylib", "f.__globals__", 4), EffectTable::Shape);
        assert_eq!(origin("mylib", "Net", 4), EffectTable::Unlisted);
        assert_eq!(origin("__main__", "Net", 4), EffectTable::Unlisted);
    }

    #[test]
    fn patterns_match_whole_texts() {
        assert!(
            wildcard("*.os.*", ".os.system")
                && !wildcard("*.os.*", "os")
                && wildcard("os", "os")
                && !wildcard("os", "oss")
        );
    }
}
