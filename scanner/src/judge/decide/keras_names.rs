//! Findings on the names in the configuration of a Keras model. Keras looks each name up and calls the object that it finds.
//!
//! `data/keras.tsv` lists the classes and functions of Keras itself: only these are inert. A name that is harmful in a pickle is
//! harmful here too; every other name is unknown.

use super::names;
use crate::finding::RawFinding;
use crate::judge::effect::{self, AllowedUse, CallableEffect, Effect, EffectTable, KERAS};
use crate::judge::rule::unknown_callable;
use crate::pickle::Callable;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ObjectKind {
    Class,
    Function,
}

struct Table {
    /// Pairs of module and name.
    pairs: HashSet<(&'static str, &'static str)>,
    /// Names without a module, as old configurations have them.
    names: HashMap<&'static str, ObjectKind>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { pairs: HashSet::new(), names: HashMap::new() };
    for row in KERAS.lines().skip(1) {
        let mut columns = row.split('\t');
        let (Some(module), Some(name), Some(kind)) = (columns.next(), columns.next(), columns.next()) else { continue };
        table.pairs.insert((module, name));
        let kind = if kind == "function" { ObjectKind::Function } else { ObjectKind::Class };
        table.names.entry(name).or_insert(kind);
    }
    table
});

/// Class names of plain values in a configuration.
const VALUES: [&str; 7] =
    ["__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__tuple__"];

/// Modules under which Keras exports harmful objects.
const EXPORTS: [&str; 3] = ["keras.layers", "keras.utils", "keras.models"];

/// The finding on a name in a configuration. `registered` is the name under which the loading program may have registered
/// another object, which Keras takes first. `None` for an object of Keras itself.
pub(super) fn finding(module: Option<&str>, name: &str, registered: Option<&str>) -> Option<RawFinding> {
    let known = effect_of(module, name);
    // A class of the program that saved the model has no module, and mostly a registered name.
    let full = match (module, registered) {
        (Some(module), _) => format!("{module}.{name}"),
        (None, Some(registered)) if known.effect == Effect::Unknown => registered.to_owned(),
        (None, _) => name.to_owned(),
    };
    let Some(finding) = names::finding("the configuration names", &full, known) else {
        let other = registered.filter(|registered| *registered != name && *registered != "function")?;
        return Some(unknown_callable::registered(other).callable(other.to_owned()).evidence(full));
    };
    let evidence = match (module, registered) {
        (Some(_), Some(registered)) if registered != name => Some(registered.to_owned()),
        (None, _) if full != name => Some(name.to_owned()),
        _ => None,
    };
    Some(finding.callable(full).evidence(evidence))
}

/// The effect of making a model whose configuration has this name.
fn effect_of(module: Option<&str>, name: &str) -> CallableEffect {
    let inert = CallableEffect {
        effect: Effect::Inert(AllowedUse::Call),
        reason: None,
        argument_check: None,
        origin: EffectTable::Curated,
    };
    if module.is_none() && VALUES.contains(&name) {
        return inert;
    }
    if name == "__lambda__" {
        let reason = Some("a marshalled Python function, which is byte code of the file's choosing");
        return CallableEffect { effect: Effect::Critical, reason, argument_check: None, origin: EffectTable::Curated };
    }
    // The same library under its other names.
    let canonical = module.map(|module| {
        let rest = ["tf_keras.", "keras_core."].iter().find_map(|prefix| module.strip_prefix(prefix));
        rest.map_or_else(|| module.to_owned(), |rest| format!("keras.{rest}"))
    });
    let worst = candidates(module, canonical.as_deref(), name)
        .into_iter()
        .filter_map(|(module, name)| effect::lookup(&Callable { module: Some(module), name: Some(name), protocol: 4 }))
        .max_by_key(|known| (known.effect, known.is_listed()));
    match worst {
        Some(worst) if worst.effect > Effect::Unknown && worst.is_listed() => worst,
        _ if is_of_keras(canonical.as_deref(), name) => inert,
        Some(worst) if worst.effect > Effect::Unknown && module.is_some() => worst,
        _ => CallableEffect::UNKNOWN,
    }
}

/// The pairs of module and name under which Keras may find the object. The worst of them counts.
fn candidates(module: Option<&str>, canonical: Option<&str>, name: &str) -> Vec<(String, String)> {
    let mut candidates: Vec<(String, String)> =
        [module, canonical].into_iter().flatten().map(|module| (module.to_owned(), name.to_owned())).collect();
    // Keras joins module and name and looks the joined path up, so the border between them may be anywhere.
    let path = canonical.map_or_else(|| name.to_owned(), |module| format!("{module}.{name}"));
    let last = path.rsplit_once('.').map_or(name, |(_, last)| last);
    if let Some((module, last)) = path.rsplit_once('.').filter(|_| name.contains('.')) {
        candidates.push((module.to_owned(), last.to_owned()));
    }
    // Many modules of Keras hold objects that others export.
    if canonical.is_none_or(|module| module == "keras" || module.starts_with("keras.")) {
        candidates.extend(EXPORTS.iter().map(|module| ((*module).to_owned(), last.to_owned())));
    }
    candidates
}

fn is_of_keras(module: Option<&str>, name: &str) -> bool {
    match module {
        None => TABLE.names.contains_key(name),
        // Keras looks there for its own functions, which have no other module in old releases.
        Some("builtins") => TABLE.names.get(name) == Some(&ObjectKind::Function),
        Some(module) => TABLE.pairs.contains(&(module, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_keras_are_inert() {
        for (module, name) in [
            (Some("keras"), "Sequential"),
            (Some("keras.layers"), "Dense"),
            (Some("keras.src.models.functional"), "Functional"),
            (Some("tf_keras.layers"), "Dense"),
            (Some("builtins"), "mean_squared_error"),
            (None, "Dense"),
            (None, "__keras_tensor__"),
        ] {
            assert_eq!(effect_of(module, name).effect, Effect::Inert(AllowedUse::Call), "{module:?} {name}");
        }
    }

    #[test]
    fn no_row_of_the_table_is_hidden_by_a_harmful_one() {
        assert!(TABLE.pairs.len() > 500);
        for (module, name) in &TABLE.pairs {
            assert_eq!(effect_of(Some(module), name).effect, Effect::Inert(AllowedUse::Call), "{module} {name}");
        }
    }

    #[test]
    fn registered_objects_come_first() {
        let of = |registered| finding(Some("keras.layers"), "Dense", registered);
        assert_eq!(of(None), None);
        assert_eq!(of(Some("Dense")), None);
        let other = of(Some("Mine>Dense")).expect("it is unknown");
        assert_eq!((other.rule, other.callable.as_deref()), ("unknown-callable", Some("Mine>Dense")));
    }

    #[test]
    fn harmful_objects_are_found_under_each_name() {
        for (module, name) in [
            (None, "__lambda__"),
            (None, "Lambda"),
            (Some("keras.layers"), "Lambda"),
            (Some("tf_keras.layers"), "Lambda"),
            (Some("keras.utils"), "get_file"),
            (Some("keras.config"), "enable_unsafe_deserialization"),
            (Some("builtins"), "eval"),
            (Some("os"), "system"),
            (None, "TFSMLayer"),
            (Some("keras"), "layers.Lambda"),
            (None, "keras.utils.get_file"),
            (Some("keras._tf_keras.keras.layers"), "Lambda"),
            (Some("os"), "path.os.system"),
        ] {
            let known = effect_of(module, name);
            assert!(known.effect == Effect::Critical && known.is_listed(), "{module:?} {name}");
        }
    }

    #[test]
    fn unlisted_names_are_unknown() {
        for (module, name) in [
            (Some("keras.layers"), "Nothing"),
            (Some("keras.layers.core"), "Dense"),
            (Some("mylab.layers"), "Dense"),
            (Some("builtins"), "Dense"),
            (Some("mylab"), "__tensor__"),
            (Some("collections"), "OrderedDict"),
            (None, "MyLayer"),
        ] {
            assert_eq!(effect_of(module, name).effect, Effect::Unknown, "{module:?} {name}");
        }
    }
}
