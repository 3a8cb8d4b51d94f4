//! Patterns for the paths of files, with the syntax of `.gitignore`.
//!
//! The crate `glob` matches them. Its syntax is translated here, because `ignore` and `globset` compile patterns with a regex engine,
//! which makes the command 1.8 MB larger and its start 12 % slower. A test compares the result with git.

use crate::error::Error;
use glob::{MatchOptions, Pattern};

/// A pattern as a line of `.gitignore` has it: `*` and `?` within a name, `[a-z]`, `**` across folders. A pattern that matches a
/// folder matches all files below it; `a/` matches folders only.
///
/// Two differences. A pattern with a slash in the middle matches at any depth, as `a/*.pt` does for `x/a/b.pt`: a scan has no
/// root that all paths start from. A pattern with a slash at the start matches absolute paths only. `!` and `#` at the start
/// have no special meaning.
#[derive(Debug, Clone)]
pub struct PathPattern {
    text: String,
    absolute: bool,
    folders_only: bool,
    pattern: Pattern,
}

/// `*` and `?` match no slash; a name may begin with a dot.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

impl PathPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// The reason, for a pattern that git would never match: empty, or with an unclosed `[`.
    pub fn new(text: &str) -> Result<Self, Error> {
        let invalid = |reason: String| Error::InvalidPattern { pattern: text.to_owned(), reason };
        let pattern = text.strip_prefix("./").unwrap_or(text);
        // As in git, spaces at the end have no meaning unless the last one is escaped.
        let trimmed = pattern.trim_end_matches(' ');
        let pattern = if trimmed.ends_with('\\') && trimmed.len() < pattern.len() {
            pattern.get(..=trimmed.len()).unwrap_or(pattern)
        } else {
            trimmed
        };
        let absolute = pattern.starts_with('/');
        let names = pattern.trim_start_matches('/');
        let folders_only = names.ends_with('/');
        let names = names.trim_end_matches('/');
        if names.is_empty() {
            return Err(invalid("it is empty".to_owned()));
        }
        let parts: Result<Vec<String>, &str> = names.split('/').map(translate).collect();
        let mut parts = parts.map_err(|reason| invalid(reason.to_owned()))?;
        // `a/**/**/b` is `a/**/b`.
        parts.dedup_by(|one, other| one == "**" && other == "**");
        if !absolute && parts.first().is_some_and(|first| first != "**") {
            parts.insert(0, "**".to_owned());
        }
        let pattern = Pattern::new(&parts.join("/")).map_err(|error| invalid(error.msg.to_owned()))?;
        Ok(Self { text: text.to_owned(), absolute, folders_only, pattern })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches the path of a file or one of its folders.
    pub fn matches(&self, path: &str) -> bool {
        let relative = match path.strip_prefix('/') {
            Some(rest) if self.absolute => rest,
            None if self.absolute => return false,
            rest => rest.unwrap_or(path),
        };
        let relative = relative.strip_prefix("./").unwrap_or(relative).trim_start_matches('/');
        let folders = relative.match_indices('/').filter_map(|(at, _)| relative.get(..at));
        let file = (!self.folders_only && !relative.is_empty()).then_some(relative);
        folders.chain(file).any(|path| self.pattern.matches_with(path, OPTIONS))
    }
}

/// One name of a pattern, in the syntax of the crate `glob`: `**` only as a whole name, `[x]` for an escaped `x`, `[!` for `[^`.
fn translate(name: &str) -> Result<String, &'static str> {
    if name == "**" {
        return Ok(name.to_owned());
    }
    let mut translated = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                let escaped = chars.next().ok_or("it ends in a backslash")?;
                translated.push_str(&Pattern::escape(escaped.encode_utf8(&mut [0; 4])));
            }
            // Within a name, `**` is `*`.
            '*' if translated.ends_with('*') => {}
            '[' => {
                let rest = chars.as_str();
                let class = rest.strip_prefix(['!', '^']).unwrap_or(rest);
                // A `]` at the start of a class is a member of it.
                let first = class.chars().next().map_or(0, char::len_utf8);
                let end = class.get(first..).and_then(|class| class.find(']')).ok_or("a [ is not closed")? + first;
                let members = class.get(..end).unwrap_or_default();
                if members.contains('\\') || members.contains("[:") {
                    return Err("a class in [] holds single characters and ranges only");
                }
                translated.push('[');
                translated.push_str(if class.len() < rest.len() { "!" } else { "" });
                translated.push_str(members);
                translated.push(']');
                chars = class.get(end + 1..).unwrap_or_default().chars();
            }
            other => translated.push(other),
        }
    }
    Ok(translated)
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PathPattern {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::path::Path;
    use std::process::{Command, Stdio};

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::new(pattern).expect("a valid pattern").matches(path)
    }

    #[test]
    fn patterns_match_whole_names_from_the_right() {
        for (pattern, path) in [
            ("*.pt", "a/b.pt"),
            ("b.pt", "a/b.pt"),
            ("a/*.pt", "./a/b.pt"),
            ("a/**", "a/b/c.pt"),
            ("a/**/d?.pt", "x/a/b/c/d1.pt"),
            ("**", "a/b"),
            ("/m/*.pt", "/m/a.pt"),
            ("./a.pt", "a.pt"),
            ("a.pt", "../x/a.pt"),
            ("*.pt", "https://host/models/a.pt"),
            ("!a", "x/!a"),
            ("#a", "#a"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("b.pt", "ab.pt"),
            ("?", "ab"),
            ("/m/*.pt", "x/m/a.pt2"),
            ("/m/*.pt", "m/a.pt"),
            ("/m/*.pt", "/x/m/a.pt"),
            ("!a", "a"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
        for invalid in ["", " ", "./", "[", "a[b", "[]", "[!]", "[[:alpha:]]", "[a/]", "[\\]]", "a\\"] {
            assert!(PathPattern::new(invalid).is_err(), "{invalid:?}");
        }
    }

    const PATTERNS: &[&str] = &[
        "a",
        "a/",
        "*.pt",
        "a.pt",
        "a.pt/",
        "**/a",
        "**/a/",
        "**/a.pt",
        "a/**",
        "a/**/b.pt",
        "a/*",
        "a/*.pt",
        "a/b",
        "a/b/",
        "a/b.pt",
        "**",
        "*",
        "?.pt",
        "[ab].pt",
        "[!ab].pt",
        "a*.pt",
        "a**.pt",
        "a**/b.pt",
        "**a",
        "a/**/**/b.pt",
        "*/b.pt",
        "**/*.pt",
        "a\\*.pt",
        "\\a",
        "b c.pt",
        "b.pt ",
        "A.PT",
        "{a,b}.pt",
        "a/./b.pt",
        "*a*",
        "a?b.pt",
        "[]a].pt",
        "[^ab].pt",
        "[a-c].pt",
    ];

    const PATHS: &[&str] = &[
        "a",
        "b",
        "a.pt",
        "b.pt",
        "c.pt",
        "ab.pt",
        "a/b",
        "a/b.pt",
        "a/c/b.pt",
        "a/c/d/b.pt",
        "x/a",
        "x/a.pt",
        "x/a/b.pt",
        "x/a/b",
        "x/a/b/c",
        "a.pt/b",
        "a.pt/b/c.pt",
        "x/a.pt/b",
        "b c.pt",
        "{a,b}.pt",
        "a*.pt",
        "A.PT",
        "aa/b.pt",
        "ca/b.pt",
        ".a.pt",
        "a/.b.pt",
    ];

    /// The paths that `git check-ignore` matches. A pattern with a slash in the middle is given to git with `**/` before it.
    fn matched_by_git(repository: &Path, pattern: &str) -> Vec<String> {
        let anchored = pattern.trim_end_matches('/').contains('/') && !pattern.starts_with("**/");
        let line = if anchored { format!("**/{pattern}\n") } else { format!("{pattern}\n") };
        std::fs::write(repository.join(".gitignore"), line).expect("it can be written");
        let mut git = Command::new("git")
            .args(["check-ignore", "--no-index", "--stdin"])
            .current_dir(repository)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("git starts");
        let mut stdin = git.stdin.take().expect("it is piped");
        stdin.write_all((PATHS.join("\n") + "\n").as_bytes()).expect("git reads");
        drop(stdin);
        let output = git.wait_with_output().expect("git ends");
        String::from_utf8(output.stdout).expect("the paths are ASCII").lines().map(str::to_owned).collect()
    }

    #[test]
    fn patterns_match_as_in_git() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let init = Command::new("git").args(["init", "-q"]).arg(folder.path()).status();
        assert!(init.is_ok_and(|status| status.success()), "this test needs git");
        let mut differences = Vec::new();
        for pattern in PATTERNS {
            let ours: Vec<&str> = PATHS.iter().copied().filter(|path| matches(pattern, path)).collect();
            let git = matched_by_git(folder.path(), pattern);
            if ours != git {
                differences.push(format!("{pattern:?}: {ours:?}, git: {git:?}"));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }

    #[test]
    fn a_pattern_of_stars_takes_no_time() {
        let (pattern, path) = ("*a".repeat(50) + "b", "a".repeat(5_000));
        assert!(!matches(&pattern, &path));
    }
}
