//! The map of ARCHITECTURE.md, held against the sources: who may know whom, how long a file may be, where `unsafe` stands,
//! and that every rule has its page and every fixture its file. Read as text: a name in a `use` or a path is an arrow.

use fixtures::Corpus;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path from the root, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files of the workspace below some folders, sorted.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut todo: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("what stands in the tree can be read");
            todo.extend(entries.map(|entry| entry.expect("a folder can be listed").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("what stands in the tree can be read");
            let relative = path.strip_prefix(root()).expect("it stands below the root");
            found.push(Source { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "nothing below {folders:?}");
    found
}

impl Source {
    /// What stands before the tests, without comments: tests may know more than what they test.
    fn code(&self) -> String {
        let mut cuts = self.text.match_indices("#[cfg(test)]");
        // A line that declares a file of tests is followed by more code.
        let inline = |at: usize| {
            let next = self.text[at..].lines().nth(1).unwrap_or_default().trim();
            !(next.starts_with("mod ") && next.ends_with(';'))
        };
        let end = cuts.find(|(at, _)| inline(*at)).map_or(self.text.len(), |(at, _)| at);
        without_comments(&self.text[..end])
    }

    /// The names that follow `start` (`crate::`), those in braces too.
    fn names_after(&self, start: &str) -> Vec<String> {
        let code = self.code();
        let ident = |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
        let mut names = Vec::new();
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &code[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(list) => names.extend(outer_names(list)),
                None => names.push(ident(rest)),
            }
        }
        names
    }
}

fn without_comments(code: &str) -> String {
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first names of a list in braces: `a, b::{c, d}, e::f` gives a, b and e.
fn outer_names(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut word, mut taken) = (Vec::new(), 0, String::new(), false);
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(std::mem::take(&mut word));
                taken = false;
            }
            ':' => taken = true,
            c if depth == 0 && !taken && !c.is_whitespace() => word.push(c),
            _ => {}
        }
    }
    names.push(word);
    names.retain(|name| !name.is_empty());
    names
}

/// Fails where a file below `folder` names one of `forbidden` after `start`.
fn never(folder: &str, start: &str, forbidden: &[&str]) {
    let mut wrong = Vec::new();
    for source in sources(&[folder]) {
        let names = source.names_after(start);
        wrong.extend(
            names
                .iter()
                .filter(|name| forbidden.contains(&name.as_str()))
                .map(|name| format!("{} -> {name}", source.path)),
        );
    }
    assert!(wrong.is_empty(), "arrows that point upward: {wrong:?}");
}

#[test]
fn lists_in_braces_are_understood() {
    let text = "use crate::{a::{x, y}, b, c::d};\nuse crate::e::f; // crate::g\n#[cfg(test)]\nuse crate::h;".to_owned();
    let source = Source { path: String::new(), text };
    assert_eq!(source.names_after("crate::"), ["a", "b", "c", "e"]);
}

#[test]
fn inside_the_scanner_arrows_point_down() {
    let judging = ["effect", "rule", "judge", "policy", "report", "finding"];
    let above = ["examine", "engine"];
    let all = |more: &[&'static str]| [&judging[..], &above[..], more].concat();
    never("scanner/src/pickle", "crate::", &all(&["format", "archive", "seen", "fact"]));
    never("scanner/src/archive", "crate::", &all(&["format", "pickle", "seen"]));
    never("scanner/src/format", "crate::", &all(&[]));
    never("scanner/src/rule", "crate::", &["format", "archive", "examine", "engine", "judge", "policy", "report"]);
    for ground in ["limits", "source", "chain", "artifact", "fact", "finding"] {
        never(
            &format!("scanner/src/{ground}.rs"),
            "crate::",
            &all(&["format", "archive", "pickle", "seen"])
                .iter()
                .copied()
                .filter(|name| *name != ground)
                .collect::<Vec<_>>(),
        );
    }
    never(
        "scanner/src/effect.rs",
        "crate::",
        &["format", "archive", "rule", "judge", "examine", "engine", "report", "seen", "fact"],
    );
}

#[test]
fn only_the_lists_name_their_siblings() {
    // `super::all` is the one list of formats; the trait beside it names no format.
    let text = fs::read_to_string(root().join("scanner/src/format/mod.rs")).expect("it is there");
    assert!(!text.contains("impl Format for"), "the trait stands apart from those that have it");
    never("scanner/src/format", "super::", &["all"]);
    never("scanner/src/format", "crate::format::", &["all"]);
}

#[test]
fn crates_know_only_those_below_them() {
    let below = |folder: &str, forbidden: &[&str]| {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a crate has a manifest");
        let manifest: toml::Table = toml::from_str(&manifest).expect("a manifest is TOML");
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let wrong: Vec<_> = dependencies.keys().filter(|name| forbidden.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{folder} knows {wrong:?}");
    };
    below("scanner", &["loader", "admission", "remote", "sandbox-exec", "fixtures", "clap", "ureq"]);
    below("loader", &["admission", "remote", "sandbox-exec", "fixtures", "clap", "ureq"]);
    below("admission", &["remote", "sandbox-exec", "fixtures", "clap", "ureq"]);
    below("remote", &["loader", "admission", "sandbox-exec", "fixtures", "clap"]);
    below("sandbox-exec", &["scanner", "loader", "admission", "remote", "fixtures", "clap", "ureq"]);
    below("python", &["sandbox-exec", "fixtures", "clap", "ureq"]);
    below("", &["fixtures", "pyo3", "ureq"]);
}

#[test]
fn render_knows_reports_only() {
    never(
        "src/render",
        "scanner::",
        &["scan", "inspect", "examine", "engine", "format", "archive", "pickle", "rule", "effect", "judge", "source"],
    );
    never("src/render", "loader::", &["list", "open", "convert", "Loaded", "plan"]);
    never("src/render", "crate::", &["config", "limit", "exit", "terminal"]);
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let folders = [
        "src",
        "scanner/src",
        "loader",
        "admission",
        "addresses",
        "remote",
        "sandbox-exec",
        "fixtures/src",
        "python/src",
        "tests",
    ];
    let long: Vec<String> = sources(&folders)
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > 500)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn unsafe_code_stands_in_two_files() {
    // System calls, and the mapping of a file.
    let homes = ["sandbox-exec/src/sys.rs", "loader/src/map.rs"];
    let folders = [
        "src",
        "scanner/src",
        "loader/src",
        "admission/src",
        "addresses/src",
        "remote/src",
        "sandbox-exec/src",
        "fixtures/src",
        "python/src",
    ];
    for source in sources(&folders) {
        let code = without_comments(&source.text);
        let forms = ["{", "fn ", "impl ", "extern ", "trait ", "("];
        let held = forms
            .iter()
            .any(|form| code.contains(&format!("unsafe {form}")) || code.contains(&format!("unsafe{form}")));
        assert_eq!(held, homes.contains(&source.path.as_str()), "{}: is there unsafe code?", source.path);
    }
    for (face, forbidden) in [
        ("scanner/src/lib.rs", "forbid"),
        ("remote/src/lib.rs", "forbid"),
        ("addresses/src/lib.rs", "forbid"),
        ("admission/src/lib.rs", "forbid"),
        ("loader/src/lib.rs", "deny"),
        ("python/src/lib.rs", "deny"),
    ] {
        let text = fs::read_to_string(root().join(face)).expect("a crate has a face");
        assert!(text.contains(&format!("#![{forbidden}(unsafe_code)]")), "{face} does not {forbidden} unsafe code");
    }
}

#[test]
fn every_rule_has_a_page() {
    let pages = fs::read_to_string(root().join("docs/rules.md")).expect("the pages of the rules are there");
    let ids: Vec<&str> = scanner::rules().iter().map(|meta| meta.id).collect();
    assert!(!ids.is_empty());
    for id in &ids {
        assert!(pages.contains(&format!("\n## {id}\n")), "docs/rules.md lacks {id}");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_modelscan")).args(["rule", id]).output();
        let output = output.expect("the command runs");
        assert!(output.status.success() && output.stdout.len() > 200, "modelscan rule {id} says little");
    }
}

#[test]
fn every_fixture_that_a_manifest_names_is_there() {
    let corpus = Corpus::here();
    let named: Vec<String> =
        corpus.fixtures().expect("the manifest can be read").into_iter().map(|row| row.file).collect();
    let missing: Vec<&String> = named.iter().filter(|file| !corpus.root().join(file).is_file()).collect();
    assert!(missing.is_empty(), "named and not there: {missing:?}");
    let text = fs::read_to_string(corpus.root().join("clean/manifest.toml")).expect("the clean files have a manifest");
    let manifest: toml::Table = toml::from_str(&text).expect("it is TOML");
    let rows = manifest["file"].as_array().expect("it lists files");
    let paths = rows.iter().filter_map(|row| row["path"].as_str());
    let missing: Vec<&str> = paths.filter(|path| !corpus.root().join("clean").join(path).is_file()).collect();
    assert!(missing.is_empty(), "named and not there: {missing:?}");
}
