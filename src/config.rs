//! The configuration: flags over environment over `modelscan.toml` over defaults, as limits and a policy.
//!
//! The file is searched from the working directory up to the top of the repository, and never inside the scanned files: a model
//! from a stranger must not bring its own rules. With `--changed-since`, the file is that of the base branch (`trusted_config`).
//! Mistakes are errors with a suggestion: a misspelt `ignore`, or a limit that is not set, would be noticed too late.

use crate::cli::{ConfigArgs, LimitArgs, SeverityArg};
use crate::date::Date;
use crate::error::{CommandError, nearest};
use crate::limit::LIMITS;
use crate::trusted_config::TrustedFiles;
use scanner::Limits;
use scanner::Severity;
use scanner::hash::is_sha256;
use scanner::policy::{AllowCallable, Ignore, PathPattern, Policy};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The names of the file, in the order of the search in each folder.
const FILE_NAMES: [&str; 2] = ["modelscan.toml", ".modelscan.toml"];

/// Bytes of a configuration file. The usual ones have a few kilobytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// The configuration of a scan.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) policy: Policy,
    pub(crate) jobs: usize,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// Messages for the user.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ConfigFile {
    fail_on: Option<String>,
    jobs: Option<usize>,
    limits: toml::Table,
    allow: Vec<AllowEntry>,
    ignore: Vec<IgnoreEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowEntry {
    module: String,
    name: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IgnoreEntry {
    rule: Option<String>,
    path: Option<String>,
    sha256: Option<String>,
    callable: Option<String>,
    reason: String,
    expires: Option<toml::Value>,
}

/// Reads the configuration for a scan of `paths`.
///
/// # Errors
/// When the file or a limit is not valid.
pub(crate) fn load(args: &ConfigArgs, limits: &LimitArgs, paths: &[PathBuf]) -> Result<Config, CommandError> {
    load_from(TrustedFiles::ON_DISK, args, limits, paths)
}

/// As [`load`], with the file read from `files`.
pub(crate) fn load_from(
    files: TrustedFiles<'_>,
    args: &ConfigArgs,
    limits: &LimitArgs,
    paths: &[PathBuf],
) -> Result<Config, CommandError> {
    let mut config = Config::default();
    config.file = find_file(files, args, paths, &mut config.warnings)?;
    if let Some(path) = config.file.clone() {
        let text = files.read(&path, MAX_CONFIG_BYTES)?;
        apply(&mut config, &text, Date::today()).map_err(|error| error.in_file(&path))?;
    }
    for (name, value) in &limits.0 {
        set_limit(&mut config.limits, name, value).map_err(|error| error.at(format!("--limit-{name}")))?;
    }
    Ok(config)
}

impl Config {
    /// Applies flags and environment on top of the file.
    pub(crate) fn apply_flags(&mut self, fail_on: Option<SeverityArg>, jobs: Option<usize>, no_ignores: bool) {
        if let Some(level) = fail_on {
            self.policy.fail_on = to_severity(level);
        }
        if let Some(jobs) = jobs {
            self.jobs = jobs;
        }
        if no_ignores {
            self.policy.allow.clear();
            self.policy.ignore.clear();
        }
    }
}

fn to_severity(argument: SeverityArg) -> Severity {
    match argument {
        SeverityArg::Info => Severity::Info,
        SeverityArg::Low => Severity::Low,
        SeverityArg::Medium => Severity::Medium,
        SeverityArg::High => Severity::High,
        SeverityArg::Critical => Severity::Critical,
    }
}

fn find_file(
    files: TrustedFiles<'_>,
    args: &ConfigArgs,
    paths: &[PathBuf],
    warnings: &mut Vec<String>,
) -> Result<Option<PathBuf>, CommandError> {
    if args.isolated {
        return Ok(None);
    }
    let named = args.config.clone().or_else(|| std::env::var_os("MODELSCAN_CONFIG").map(PathBuf::from));
    if let Some(path) = named.filter(|path| !path.as_os_str().is_empty()) {
        // For the warning only: reading a named file that does not exist is an error.
        files.exists(&path, warnings)?;
        return Ok(Some(path));
    }
    let start = std::env::current_dir()
        .map_err(|error| CommandError::usage(format!("the working directory cannot be had: {error}")))?;
    for folder in start.ancestors() {
        for path in FILE_NAMES.map(|name| folder.join(name)) {
            if !files.exists(&path, warnings)? {
                continue;
            }
            if files.is_at_base() || !is_inside(&path, paths) {
                return Ok(Some(path));
            }
            warnings.push(format!(
                "{} is not used, because it lies inside what is scanned; --config uses it all the same",
                path.display()
            ));
        }
        if folder.join(".git").exists() {
            break;
        }
    }
    Ok(None)
}

/// Whether a file is one of the scanned paths or below one, with links followed. A path that does not resolve cannot be scanned.
pub(crate) fn is_inside(file: &Path, scanned: &[PathBuf]) -> bool {
    let Ok(file) = file.canonicalize() else { return true };
    scanned.iter().filter_map(|path| path.canonicalize().ok()).any(|path| file.starts_with(path))
}

/// Reads a configuration file from disk.
pub(crate) fn read(path: &Path) -> Result<String, CommandError> {
    TrustedFiles::ON_DISK.read(path, MAX_CONFIG_BYTES)
}

fn apply(config: &mut Config, text: &str, today: Date) -> Result<(), CommandError> {
    let file: ConfigFile = toml::from_str(text).map_err(|error| syntax_error(&error))?;
    if let Some(level) = &file.fail_on {
        let found = Severity::ALL.into_iter().find(|severity| severity.as_str() == level);
        let known = Severity::ALL.map(Severity::as_str).into_iter();
        config.policy.fail_on = found.ok_or_else(|| CommandError::unknown("severity", level, known))?;
    }
    config.jobs = file.jobs.unwrap_or_default();
    for (name, value) in &file.limits {
        limit_text(value)
            .and_then(|value| set_limit(&mut config.limits, name, &value))
            .map_err(|error| error.at(format!("limits.{name}")))?;
    }
    for row in file.allow {
        require_reason("allow", &row.reason)?;
        config.policy.allow.push(AllowCallable { module: row.module, name: row.name, reason: row.reason });
    }
    for row in file.ignore {
        if let Some(ignore) = ignore(row, today, &mut config.warnings)? {
            config.policy.ignore.push(ignore);
        }
    }
    Ok(())
}

/// A limit may be a string or a number.
fn limit_text(value: &toml::Value) -> Result<String, CommandError> {
    match value {
        // `Debug` keeps the decimal point, so that `3.0` is not taken for a count.
        toml::Value::Float(number) => Ok(format!("{number:?}")),
        other => scalar_text(other),
    }
}

/// The text of a value that may be written with or without quotes.
fn scalar_text(value: &toml::Value) -> Result<String, CommandError> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Datetime(date) => Ok(date.to_string()),
        other => Err(CommandError::usage(format!("a {} cannot stand here", other.type_str()))),
    }
}

/// Checks an ignore. `None` if it has expired.
fn ignore(row: IgnoreEntry, today: Date, warnings: &mut Vec<String>) -> Result<Option<Ignore>, CommandError> {
    require_reason("ignore", &row.reason)?;
    if row.rule.is_none() && row.path.is_none() && row.sha256.is_none() && row.callable.is_none() {
        let reason = "an ignore must name at least one of rule, path, sha256, callable";
        return Err(CommandError::usage(reason));
    }
    if let Some(rule) = &row.rule
        && !scanner::rules().iter().any(|known| known.id == rule)
    {
        return Err(CommandError::unknown("rule", rule, scanner::rules().iter().map(|rule| rule.id)));
    }
    if let Some(hash) = &row.sha256
        && !is_sha256(&hash.to_ascii_lowercase())
    {
        return Err(CommandError::usage(format!("{hash:?} is no SHA-256: 64 hexadecimal digits")));
    }
    let expires = row.expires.map(|value| Date::parse(&scalar_text(&value)?)).transpose()?;
    let path = row.path.as_deref().map(PathPattern::new).transpose();
    let path = path.map_err(|error| CommandError::usage(format!("path: {error}")))?;
    let IgnoreEntry { rule, sha256, callable, reason, .. } = row;
    let ignore = Ignore { rule, path, sha256, callable, reason, expires: expires.map(|date| date.to_string()) };
    match expires {
        Some(date) if date < today => {
            warnings.push(format!("the ignore {} expired on {date} and no longer holds", describe(&ignore)));
            Ok(None)
        }
        _ => Ok(Some(ignore)),
    }
}

/// The conditions of an ignore, for messages.
pub(crate) fn describe(ignore: &Ignore) -> String {
    let path = ignore.path.as_ref().map(|pattern| pattern.as_str().to_owned());
    let parts = [("rule", &ignore.rule), ("path", &path), ("sha256", &ignore.sha256), ("callable", &ignore.callable)];
    let conditions: Vec<_> =
        parts.iter().filter_map(|(key, value)| Some(format!("{key} = {:?}", value.as_ref()?))).collect();
    format!("({})", conditions.join(", "))
}

fn require_reason(entry: &str, reason: &str) -> Result<(), CommandError> {
    if reason.trim().is_empty() { Err(CommandError::usage(format!("an {entry} needs a reason"))) } else { Ok(()) }
}

fn set_limit(limits: &mut Limits, name: &str, value: &str) -> Result<(), CommandError> {
    let limit = LIMITS.iter().find(|limit| limit.name == name);
    let unknown = || CommandError::unknown("limit", name, LIMITS.iter().map(|limit| limit.name));
    limit.ok_or_else(unknown)?.set(limits, value).map_err(|error| CommandError::usage(error.to_string()))
}

/// The message of the parser, with the most similar key if it is about an unknown one.
fn syntax_error(error: &toml::de::Error) -> CommandError {
    let mut quoted = error.message().split('`').skip(1).step_by(2);
    let similar = (error.message().starts_with("unknown field")).then(|| nearest(quoted.next()?, quoted)).flatten();
    let hint = similar.map(|similar| format!("\ndid you mean `{similar}`?")).unwrap_or_default();
    CommandError::usage(format!("{}{hint}", error.to_string().trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str) -> Result<Config, CommandError> {
        let mut config = Config::default();
        apply(&mut config, text, Date::parse("2030-06-15")?)?;
        Ok(config)
    }

    fn refused(text: &str) -> String {
        applied(text).expect_err("it is refused").to_string()
    }

    #[test]
    fn a_whole_file_is_understood() {
        let text = r#"
            fail-on = "high"
            jobs = 3
            [limits]
            time = "5s"
            depth = 3
            member-bytes = "1GiB"
            [[allow]]
            module = "a.b"
            name = "C"
            reason = "reviewed"
            [[ignore]]
            rule = "unknown-callable"
            path = "old/**"
            reason = "trained here"
            expires = 2030-06-15
        "#;
        let config = applied(text).expect("it is right");
        assert_eq!((config.policy.fail_on, config.jobs), (Severity::High, 3));
        assert_eq!((config.limits.time.as_secs(), config.limits.depth, config.limits.member_bytes), (5, 3, 1 << 30));
        assert_eq!((config.policy.allow.len(), config.policy.ignore.len(), config.warnings.len()), (1, 1, 0));
    }

    #[test]
    fn an_expired_ignore_is_dropped_with_a_warning() {
        let row = |date: &str| format!("[[ignore]]\npath = \"a\"\nreason = \"r\"\nexpires = {date}\n");
        let config = applied(&row("\"2030-06-14\"")).expect("it is right");
        assert_eq!((config.policy.ignore.len(), config.warnings.len()), (0, 1));
        assert!(refused(&row("\"2030-02-30\"")).contains("2030-02-30"));
        assert!(refused(&row("3")).contains('3'));
    }

    #[test]
    fn mistakes_are_refused_with_a_suggestion() {
        for (text, hint) in [
            ("fial-on = \"high\"", "`fail-on`"),
            ("[limits]\nmember-byte = 3", "\"member-bytes\""),
            ("fail-on = \"hihg\"", "\"high\""),
            ("[[ignore]]\nrule = \"unsafe-calable\"\nreason = \"r\"", "\"unsafe-callable\""),
            ("[[ignore]]\nruel = \"unsafe-callable\"\nreason = \"r\"", "`rule`"),
        ] {
            let why = refused(text);
            assert!(why.contains("did you mean") && why.contains(hint), "{text}: {why}");
        }
    }

    #[test]
    fn entries_need_a_reason_and_a_condition() {
        for text in [
            "[[ignore]]\npath = \"a\"",
            "[[ignore]]\npath = \"a\"\nreason = \" \"",
            "[[allow]]\nmodule = \"a\"\nname = \"b\"",
            "[[allow]]\nmodule = \"a\"\nreason = \"r\"",
            "[[ignore]]\nreason = \"r\"",
            "[[ignore]]\nsha256 = \"abc\"\nreason = \"r\"",
            "[limits]\ntime = -5",
        ] {
            assert!(applied(text).is_err(), "{text}");
        }
    }
}
