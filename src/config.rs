//! What was decided: flags over environment over `modelscan.toml` over defaults, turned into limits and a policy.
//!
//! The file is looked for from the working directory up to the top of the repository, and never inside what is
//! scanned: a model from a stranger must not bring its own rules. When a change is judged, the file is that of the branch
//! it goes to (`decision.rs`). Mistakes in it are refused with a suggestion, since a misspelt `ignore` that does nothing,
//! or a limit that is not set, would be found out too late.

use crate::cli::{ConfigArgs, Level, LimitArgs};
use crate::date::Date;
use crate::decision::Decisions;
use crate::limit::LIMITS;
use scanner::Limits;
use scanner::Severity;
use scanner::policy::{AllowCallable, Ignore, PathPattern, Policy};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The names of the file, in the order in which they are looked for in each folder.
const NAMES: [&str; 2] = ["modelscan.toml", ".modelscan.toml"];

/// A file of decisions takes a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// Everything that was decided.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) policy: Policy,
    pub(crate) jobs: usize,
    /// The file it comes from.
    pub(crate) file: Option<PathBuf>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    fail_on: Option<String>,
    jobs: Option<usize>,
    limits: toml::Table,
    allow: Vec<AllowRow>,
    ignore: Vec<IgnoreRow>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowRow {
    module: String,
    name: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IgnoreRow {
    rule: Option<String>,
    path: Option<String>,
    sha256: Option<String>,
    callable: Option<String>,
    reason: String,
    expires: Option<toml::Value>,
}

/// Reads the configuration that holds for a scan of `paths`.
///
/// # Errors
/// A sentence for the user, when the file or a limit is wrong.
pub(crate) fn load(args: &ConfigArgs, limits: &LimitArgs, paths: &[PathBuf]) -> Result<Config, String> {
    load_from(Decisions::ON_DISK, args, limits, paths)
}

/// The same, from where decisions are to come from.
pub(crate) fn load_from(
    decisions: Decisions<'_>,
    args: &ConfigArgs,
    limits: &LimitArgs,
    paths: &[PathBuf],
) -> Result<Config, String> {
    let mut config = Config::default();
    config.file = find(decisions, args, paths, &mut config.warnings)?;
    if let Some(path) = config.file.clone() {
        let text = decisions.read(&path, MAX_BYTES)?;
        apply(&mut config, &text, Date::today()).map_err(|why| format!("{}: {why}", path.display()))?;
    }
    for (name, value) in &limits.0 {
        set_limit(&mut config.limits, name, value).map_err(|why| format!("--limit-{name}: {why}"))?;
    }
    Ok(config)
}

impl Config {
    /// What flags and environment say goes before what the file says.
    pub(crate) fn override_with(&mut self, fail_on: Option<Level>, jobs: Option<usize>, no_ignores: bool) {
        if let Some(level) = fail_on {
            self.policy.fail_on = severity(level);
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

fn severity(level: Level) -> Severity {
    match level {
        Level::Info => Severity::Info,
        Level::Low => Severity::Low,
        Level::Medium => Severity::Medium,
        Level::High => Severity::High,
        Level::Critical => Severity::Critical,
    }
}

fn find(
    decisions: Decisions<'_>,
    args: &ConfigArgs,
    paths: &[PathBuf],
    warnings: &mut Vec<String>,
) -> Result<Option<PathBuf>, String> {
    if args.isolated {
        return Ok(None);
    }
    let named = args.config.clone().or_else(|| std::env::var_os("MODELSCAN_CONFIG").map(PathBuf::from));
    if let Some(path) = named.filter(|path| !path.as_os_str().is_empty()) {
        // Asked for the warning alone: a file that is named and not there is an error of reading it.
        decisions.has(&path, warnings)?;
        return Ok(Some(path));
    }
    let start = std::env::current_dir().map_err(|error| format!("the working directory cannot be had: {error}"))?;
    for folder in start.ancestors() {
        for path in NAMES.map(|name| folder.join(name)) {
            if !decisions.has(&path, warnings)? {
                continue;
            }
            if decisions.of_a_change() || !lies_inside(&path, paths) {
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

/// Compared after links are followed. What cannot be resolved cannot be scanned either.
pub(crate) fn lies_inside(file: &Path, scanned: &[PathBuf]) -> bool {
    let Ok(file) = file.canonicalize() else { return true };
    scanned.iter().filter_map(|path| path.canonicalize().ok()).any(|path| file.starts_with(path))
}

/// Reads a small file whole.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    Decisions::ON_DISK.read(path, MAX_BYTES)
}

fn apply(config: &mut Config, text: &str, today: Date) -> Result<(), String> {
    let file: File = toml::from_str(text).map_err(|error| explain(&error))?;
    if let Some(level) = &file.fail_on {
        let found = Severity::ALL.into_iter().find(|severity| severity.as_str() == level);
        config.policy.fail_on =
            found.ok_or_else(|| unknown("severity", level, Severity::ALL.map(Severity::as_str).into_iter()))?;
    }
    config.jobs = file.jobs.unwrap_or_default();
    for (name, value) in &file.limits {
        limit_text(value)
            .and_then(|value| set_limit(&mut config.limits, name, &value))
            .map_err(|why| format!("limits.{name}: {why}"))?;
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
fn limit_text(value: &toml::Value) -> Result<String, String> {
    match value {
        // `Debug` keeps the decimal point, so that `3.0` is not taken for a count.
        toml::Value::Float(number) => Ok(format!("{number:?}")),
        other => plain(other),
    }
}

/// A value that may be written with or without quotes.
fn plain(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Datetime(date) => Ok(date.to_string()),
        other => Err(format!("a {} cannot stand here", other.type_str())),
    }
}

/// `None` when its time is over.
fn ignore(row: IgnoreRow, today: Date, warnings: &mut Vec<String>) -> Result<Option<Ignore>, String> {
    require_reason("ignore", &row.reason)?;
    if row.rule.is_none() && row.path.is_none() && row.sha256.is_none() && row.callable.is_none() {
        return Err("an ignore must name at least one of rule, path, sha256, callable".to_owned());
    }
    if let Some(rule) = &row.rule
        && !scanner::rules().iter().any(|known| known.id == rule)
    {
        return Err(unknown("rule", rule, scanner::rules().iter().map(|rule| rule.id)));
    }
    if let Some(hash) = &row.sha256
        && (hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Err(format!("{hash:?} is no SHA-256: 64 hexadecimal digits"));
    }
    let expires = row.expires.map(|value| Date::parse(&plain(&value)?)).transpose()?;
    let path = row.path.as_deref().map(PathPattern::new).transpose().map_err(|error| format!("path: {error}"))?;
    let IgnoreRow { rule, sha256, callable, reason, .. } = row;
    let ignore = Ignore { rule, path, sha256, callable, reason, expires: expires.map(|date| date.to_string()) };
    match expires {
        Some(date) if date < today => {
            warnings.push(format!("the ignore {} expired on {date} and no longer holds", describe(&ignore)));
            Ok(None)
        }
        _ => Ok(Some(ignore)),
    }
}

/// An ignore in a message: its conditions.
pub(crate) fn describe(ignore: &Ignore) -> String {
    let path = ignore.path.as_ref().map(|pattern| pattern.as_str().to_owned());
    let parts = [("rule", &ignore.rule), ("path", &path), ("sha256", &ignore.sha256), ("callable", &ignore.callable)];
    let said: Vec<_> = parts.iter().filter_map(|(key, value)| Some(format!("{key} = {:?}", value.as_ref()?))).collect();
    format!("({})", said.join(", "))
}

fn require_reason(what: &str, reason: &str) -> Result<(), String> {
    if reason.trim().is_empty() { Err(format!("an {what} needs a reason")) } else { Ok(()) }
}

fn set_limit(limits: &mut Limits, name: &str, value: &str) -> Result<(), String> {
    let limit = LIMITS.iter().find(|limit| limit.name == name);
    limit.ok_or_else(|| unknown("limit", name, LIMITS.iter().map(|limit| limit.name)))?.set(limits, value)
}

/// Adds the nearest known key to what the parser says about an unknown one.
fn explain(error: &toml::de::Error) -> String {
    let mut quoted = error.message().split('`').skip(1).step_by(2);
    let near = (error.message().starts_with("unknown field")).then(|| near(quoted.next()?, quoted)).flatten();
    let hint = near.map(|near| format!("\ndid you mean `{near}`?")).unwrap_or_default();
    format!("{}{hint}", error.to_string().trim_end())
}

/// Says that there is no such thing, and which one may have been meant.
pub(crate) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match near(name, known) {
        Some(near) => format!("there is no {what} {name:?}; did you mean {near:?}?"),
        None => format!("there is no {what} {name:?}"),
    }
}

fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    scored.filter(|(score, _)| *score > 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str) -> Result<Config, String> {
        let mut config = Config::default();
        apply(&mut config, text, Date::parse("2030-06-15")?)?;
        Ok(config)
    }

    fn refused(text: &str) -> String {
        applied(text).expect_err("it is refused")
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
    fn an_ignore_that_has_expired_is_dropped_aloud() {
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
    fn decisions_need_a_reason_and_a_condition() {
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
