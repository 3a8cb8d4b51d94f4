//! The settings file of the Python tool, read for the one thing that can be honoured without trusting it: what it
//! calls unsafe. That makes findings graver and never milder.

use super::answer::Grade;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the settings call unsafe.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    unsafe_globals: BTreeMap<String, BTreeMap<String, Names>>,
}

/// `"*"` for all names of a module, or a list.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Some(Vec<String>),
}

impl Settings {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
    }

    /// The worst grade that the settings give to a pair.
    pub(super) fn grade(&self, module: &str, name: &str) -> Option<Grade> {
        let fits = |names: &Names| match names {
            Names::One(one) => one == "*" || one == name,
            Names::Some(some) => some.iter().any(|one| one == name),
        };
        let named = self.unsafe_globals.iter().filter(|(_, modules)| modules.get(module).is_some_and(fits));
        named.filter_map(|(grade, _)| Grade::ALL.into_iter().find(|known| known.as_str() == grade)).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_grade_counts() {
        let text =
            "modelscan_version = \"0.8.8\"\n[unsafe_globals.LOW]\na = \"*\"\n[unsafe_globals.HIGH]\na = [\"f\"]\n";
        let settings = Settings::parse(text).expect("it is right");
        assert_eq!(settings.grade("a", "f"), Some(Grade::High));
        assert_eq!(settings.grade("a", "g"), Some(Grade::Low));
        assert_eq!(settings.grade("b", "f"), None);
    }
}
