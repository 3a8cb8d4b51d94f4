//! What a name in the configuration of a Keras model means: who makes such a model looks the name up and calls what it finds.
//!
//! `data/keras.tsv` says what Keras itself makes of its own parts and nothing else. Anything that a pickle must not call, a
//! configuration must not name either, and what no table knows is unknown.

use super::RawFinding;
use crate::judge::effect::{self, Effect, Judgement, Use};
use crate::judge::finding::{Severity, Verdict};
use crate::pickle::Callable;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// What a configuration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Class,
    Function,
}

struct Table {
    pairs: HashSet<(&'static str, &'static str)>,
    /// Names without a module, as old configurations have them.
    names: HashMap<&'static str, Kind>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { pairs: HashSet::new(), names: HashMap::new() };
    for row in effect::KERAS.lines().skip(1) {
        let mut columns = row.split('\t');
        let (Some(module), Some(name), Some(kind)) = (columns.next(), columns.next(), columns.next()) else { continue };
        table.pairs.insert((module, name));
        let kind = if kind == "function" { Kind::Function } else { Kind::Class };
        table.names.entry(name).or_insert(kind);
    }
    table
});

/// Parts of a configuration that are values and name nothing.
const VALUES: [&str; 7] =
    ["__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__tuple__"];

/// Where Keras exports what does harm.
const HOMES: [&str; 3] = ["keras.layers", "keras.utils", "keras.models"];

/// The opinion on a name in a configuration, and on the name under which the loading program may have registered something else
/// in its place. `None` where Keras makes a part of its own.
pub(super) fn raw_finding(
    at: Option<u64>,
    module: Option<&str>,
    name: &str,
    registered: Option<&str>,
) -> Option<RawFinding> {
    let judgement = judge(module, name);
    // A class of the program that was loaded from has no module, and mostly a name under which it is registered.
    let full = match (module, registered) {
        (Some(module), _) => format!("{module}.{name}"),
        (None, Some(registered)) if judgement.effect == Effect::Unknown => registered.to_owned(),
        (None, _) => name.to_owned(),
    };
    let why = if judgement.why.is_empty() { String::new() } else { format!(": {}", judgement.why) };
    let (rule, severity, verdict) = match judgement.effect {
        Effect::Inert(_) => {
            // What is registered under a name of its own is found before Keras's own part is.
            let other = registered.filter(|registered| *registered != name && *registered != "function")?;
            return Some(RawFinding {
                message: format!("the configuration asks for {other}, which the loading program must have registered"),
                callable: Some(other.to_owned()),
                evidence: Some(full),
                ..RawFinding::at(at, "unknown-callable", Severity::Medium, Verdict::Unproven)
            });
        }
        Effect::Critical => ("unsafe-callable", Severity::Critical, Verdict::Dangerous),
        Effect::High if judgement.listed => ("unsafe-callable", Severity::High, Verdict::Dangerous),
        Effect::High => ("unknown-callable", Severity::High, Verdict::Unproven),
        Effect::Unknown => ("unknown-callable", Severity::Medium, Verdict::Unproven),
    };
    let message = if rule == "unsafe-callable" || !why.is_empty() {
        format!("the configuration names {full}{why}")
    } else {
        format!("the configuration names {full}, which is not known to be inert")
    };
    let evidence = match (module, registered) {
        (Some(_), Some(registered)) if registered != name => Some(registered.to_owned()),
        (None, _) if full != name => Some(name.to_owned()),
        _ => None,
    };
    Some(RawFinding { message, callable: Some(full), evidence, ..RawFinding::at(at, rule, severity, verdict) })
}

/// What the loader of a model calls when a configuration names this.
fn judge(module: Option<&str>, name: &str) -> Judgement {
    let inert = Judgement { effect: Effect::Inert(Use::Call), why: "", arguments: None, listed: true };
    if module.is_none() && VALUES.contains(&name) {
        return inert;
    }
    if name == "__lambda__" {
        let why = "a marshalled Python function, which is byte code of the file's choosing";
        return Judgement { effect: Effect::Critical, why, arguments: None, listed: true };
    }
    // The same library under its other names.
    let known = module.map(|module| {
        let other = ["tf_keras.", "keras_core."].iter().find_map(|other| module.strip_prefix(other));
        other.map_or_else(|| module.to_owned(), |rest| format!("keras.{rest}"))
    });
    let worst = places(module, known.as_deref(), name)
        .into_iter()
        .filter_map(|(module, name)| effect::judge(&Callable { module: Some(module), name: Some(name), protocol: 4 }))
        .max_by_key(|found| (found.effect, found.listed));
    let unknown = Judgement { effect: Effect::Unknown, why: "", arguments: None, listed: false };
    match worst {
        Some(worst) if worst.effect > Effect::Unknown && worst.listed => worst,
        _ if is_of_keras(known.as_deref(), name) => inert,
        Some(worst) if worst.effect > Effect::Unknown && module.is_some() => worst,
        _ => unknown,
    }
}

/// The pairs under which it may be found, of which the worst counts.
fn places(module: Option<&str>, known: Option<&str>, name: &str) -> Vec<(String, String)> {
    let mut places: Vec<(String, String)> =
        [module, known].into_iter().flatten().map(|module| (module.to_owned(), name.to_owned())).collect();
    // Keras joins both and looks for the whole, so that the border between them may stand anywhere.
    let whole = known.map_or_else(|| name.to_owned(), |module| format!("{module}.{name}"));
    let last = whole.rsplit_once('.').map_or(name, |(_, last)| last);
    if let Some((module, last)) = whole.rsplit_once('.').filter(|_| name.contains('.')) {
        places.push((module.to_owned(), last.to_owned()));
    }
    // Many modules of Keras hold what others export.
    if known.is_none_or(|module| module == "keras" || module.starts_with("keras.")) {
        places.extend(HOMES.iter().map(|home| ((*home).to_owned(), last.to_owned())));
    }
    places
}

fn is_of_keras(module: Option<&str>, name: &str) -> bool {
    match module {
        None => TABLE.names.contains_key(name),
        // Keras looks there for its own functions, which have no other module in old releases.
        Some("builtins") => TABLE.names.get(name) == Some(&Kind::Function),
        Some(module) => TABLE.pairs.contains(&(module, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect_of(module: Option<&str>, name: &str) -> Effect {
        judge(module, name).effect
    }

    #[test]
    fn what_keras_makes_of_itself_is_inert() {
        for (module, name) in [
            (Some("keras"), "Sequential"),
            (Some("keras.layers"), "Dense"),
            (Some("keras.src.models.functional"), "Functional"),
            (Some("tf_keras.layers"), "Dense"),
            (Some("builtins"), "mean_squared_error"),
            (None, "Dense"),
            (None, "__keras_tensor__"),
        ] {
            assert_eq!(effect_of(module, name), Effect::Inert(Use::Call), "{module:?} {name}");
        }
    }

    #[test]
    fn no_row_of_the_table_is_hidden_by_a_harmful_one() {
        assert!(TABLE.pairs.len() > 500);
        for (module, name) in &TABLE.pairs {
            assert_eq!(effect_of(Some(module), name), Effect::Inert(Use::Call), "{module} {name}");
        }
    }

    #[test]
    fn what_is_registered_comes_first() {
        let of = |registered| raw_finding(None, Some("keras.layers"), "Dense", registered);
        assert_eq!(of(None), None);
        assert_eq!(of(Some("Dense")), None);
        let other = of(Some("Mine>Dense")).expect("it is unknown");
        assert_eq!((other.rule, other.callable.as_deref()), ("unknown-callable", Some("Mine>Dense")));
    }

    #[test]
    fn what_does_harm_does_so_under_each_of_its_names() {
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
            let judgement = judge(module, name);
            assert!(judgement.effect == Effect::Critical && judgement.listed, "{module:?} {name}");
        }
    }

    #[test]
    fn what_no_table_knows_is_unknown() {
        for (module, name) in [
            (Some("keras.layers"), "Nothing"),
            (Some("keras.layers.core"), "Dense"),
            (Some("mylab.layers"), "Dense"),
            (Some("builtins"), "Dense"),
            (Some("mylab"), "__tensor__"),
            (Some("collections"), "OrderedDict"),
            (None, "MyLayer"),
        ] {
            assert_eq!(effect_of(module, name), Effect::Unknown, "{module:?} {name}");
        }
    }
}
