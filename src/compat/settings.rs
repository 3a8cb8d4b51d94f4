//! The settings file of the Python tool. Only `unsafe_globals` is used: it can raise the severity of a finding, never lower it, so the
//! file need not be trusted.

use super::severity::Severity;
use crate::error::CommandError;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `unsafe_globals`, by severity, module and names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    unsafe_globals: BTreeMap<String, BTreeMap<String, Names>>,
}

/// A name, `"*"` for all names of a module, or a list.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

impl Settings {
    pub(crate) fn parse(text: &str) -> Result<Self, CommandError> {
        toml::from_str(text).map_err(|error| CommandError::usage(error.to_string().trim_end()))
    }

    /// The highest severity that the settings give to a callable.
    pub(super) fn severity_of(&self, module: &str, name: &str) -> Option<Severity> {
        let matches = |names: &Names| match names {
            Names::One(one) => one == "*" || one == name,
            Names::Several(several) => several.iter().any(|one| one == name),
        };
        let levels = self.unsafe_globals.iter().filter(|(_, modules)| modules.get(module).is_some_and(matches));
        levels.filter_map(|(level, _)| Severity::ALL.into_iter().find(|known| known.as_str() == level)).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_severity_counts() {
        let text =
            "modelscan_version = \"0.8.8\"\n[unsafe_globals.LOW]\na = \"*\"\n[unsafe_globals.HIGH]\na = [\"f\"]\n";
        let settings = Settings::parse(text).expect("it is right");
        assert_eq!(settings.severity_of("a", "f"), Some(Severity::High));
        assert_eq!(settings.severity_of("a", "g"), Some(Severity::Low));
        assert_eq!(settings.severity_of("b", "f"), None);
    }
}
