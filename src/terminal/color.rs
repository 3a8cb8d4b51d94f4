//! Whether the report on standard output has colors.

use crate::cli::ColorWhen;
use std::ffi::OsString;
use std::io::IsTerminal;

/// Whether to use colors: the flag, then the environment (<https://no-color.org>, <https://bixense.com/clicolors>), then the terminal.
pub(crate) fn use_colors(when: ColorWhen) -> bool {
    decide(when, std::io::stdout().is_terminal(), |name| std::env::var_os(name))
}

fn decide(when: ColorWhen, terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    let is_forced = |name| variable(name).is_some_and(|value| !value.is_empty() && value != "0");
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto if is_set("NO_COLOR") => false,
        ColorWhen::Auto if is_forced("FORCE_COLOR") || is_forced("CLICOLOR_FORCE") => true,
        ColorWhen::Auto => terminal && variable("TERM").is_none_or(|term| term != "dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_follow_the_flag_then_the_environment_then_the_terminal() {
        let with = |when, terminal, variables: &[(&str, &str)]| {
            decide(when, terminal, |name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
            })
        };
        assert!(with(ColorWhen::Auto, true, &[]) && !with(ColorWhen::Auto, false, &[]));
        assert!(with(ColorWhen::Always, false, &[("NO_COLOR", "1")]));
        assert!(!with(ColorWhen::Never, true, &[("FORCE_COLOR", "1")]));
        assert!(!with(ColorWhen::Auto, true, &[("NO_COLOR", "1"), ("FORCE_COLOR", "1")]));
        assert!(with(ColorWhen::Auto, false, &[("FORCE_COLOR", "1"), ("NO_COLOR", "")]));
        assert!(!with(ColorWhen::Auto, false, &[("FORCE_COLOR", "0")]));
        assert!(!with(ColorWhen::Auto, true, &[("TERM", "dumb")]));
    }
}
