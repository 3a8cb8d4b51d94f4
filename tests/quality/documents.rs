//! Documents that name files: each name is compared with the tree, so that a page cannot outlive what it describes.

use fixtures::Corpus;
use fixtures::venv::{self, run, venv};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The texts between backticks.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The cells of the rows of tables, without head and rule.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |line: &str| line.starts_with('|') && !line.starts_with("|---");
    let heads = lines.windows(2).filter(|pair| pair[1].starts_with("|---")).map(|pair| pair[0]);
    let heads: Vec<&str> = heads.collect();
    let rows = lines.iter().filter(|line| is_row(line) && !heads.contains(line));
    rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// A section of a Markdown page, up to the next of its level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no section {heading:?}"));
    let section = &text[start + heading.len() + 2..];
    section.find("\n## ").map_or(section, |end| &section[..end])
}

#[test]
fn every_fixture_of_the_lessons_exists_with_its_verdict() {
    let page = read("docs/lessons.md");
    let manifest = Corpus::here().fixtures().unwrap();
    let verdicts: BTreeMap<&str, &str> =
        manifest.iter().map(|row| (row.file.as_str(), row.expect.verdict.as_str())).collect();
    let rows = rows(&page);
    assert!(rows.len() > 40, "{} rows", rows.len());
    for row in rows {
        let [_, _, fixtures, verdict] = row[..] else { panic!("four columns: {row:?}") };
        let names = code(fixtures);
        assert!(!names.is_empty(), "a fixture holds each row: {row:?}");
        for name in names {
            if name == "pickle/names.tsv" {
                assert!(root().join("fixtures").join(name).is_file());
                continue;
            }
            let held = verdicts.get(name).unwrap_or_else(|| panic!("no fixture {name}"));
            assert_eq!(*held, verdict, "{name}");
        }
    }
}

/// Packages with their targets, as `cargo metadata` lists them.
fn targets() -> Vec<(String, Vec<(String, String)>)> {
    let mut command = Command::new(env!("CARGO"));
    let output = command.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(root()).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let target = |target: &Value| (text(&target["kind"][0]), text(&target["name"]));
    packages.iter().map(|one| (text(&one["name"]), list(&one["targets"]).iter().map(target).collect())).collect()
}

#[test]
fn the_table_of_tests_is_complete() {
    let page = read("CONTRIBUTING.md");
    let table = section(&page, "## Which test for which change");
    let rows = rows(table);
    let (mut commands, mut named) = (Vec::new(), Vec::new());
    for row in &rows {
        let [paths, tests, ..] = row[..] else { panic!("two columns or more: {row:?}") };
        for path in code(paths) {
            assert!(root().join(path).exists(), "the table names {path}, which does not exist");
        }
        commands.extend(code(tests));
        named.extend(code(paths));
    }
    let packages = targets();
    let has = |kind: &str, name: &str| {
        packages.iter().any(|(_, targets)| targets.iter().any(|one| one.0 == kind && one.1 == name))
    };
    for command in &commands {
        let words: Vec<&str> = command.split(' ').collect();
        for pair in words.windows(2) {
            assert!(pair[0] != "--test" || has("test", pair[1]), "{command}: no test {}", pair[1]);
            assert!(pair[0] != "-p" || packages.iter().any(|(name, _)| name == pair[1]), "{command}: no package");
        }
    }
    for (package, targets) in &packages {
        // `-p PACKAGE` without `--test` runs all tests of a package.
        let runs = |words: [&str; 2]| {
            let words = format!(" {} ", words.join(" "));
            commands.iter().any(|command| {
                format!("{command} ").contains(&words) && (words.contains("--test") || !command.contains("--test"))
            })
        };
        for (_, test) in targets.iter().filter(|(kind, _)| kind == "test") {
            assert!(runs(["--test", test]) || runs(["-p", package]), "{package}: no row runs the test {test}");
        }
    }
    let mut folders = vec!["python/tests/".to_owned()];
    for entry in fs::read_dir(root().join("tests")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy();
        folders.extend(entry.is_dir().then(|| format!("tests/{name}/")));
    }
    let members = packages.iter().filter_map(|(package, _)| package.strip_prefix("modelscan-"));
    folders.extend(members.map(|member| format!("{member}/tests/")).filter(|folder| root().join(folder).is_dir()));
    for folder in folders {
        assert!(named.contains(&folder.as_str()), "no row names {folder}");
    }
}

#[test]
fn continuous_integration_runs_the_command_of_the_readme() {
    assert!(read("README.md").contains("\n    tests/run.sh\n"));
    assert!(read(".ci/run").trim_end().ends_with("exec tests/run.sh"));
    assert!(read(".github/workflows/ci.yml").contains("run: .ci/run\n"));
}

/// As release.yml takes its notes from it: sections by version, the newest first, each with the known groups.
#[test]
fn the_changelog_is_grouped_under_versions() {
    let text = read("CHANGELOG.md");
    let headings = |level: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix(level)).map(str::to_owned).collect()
    };
    let versions = headings("## ");
    assert_eq!(versions[0], "[Unreleased]");
    for version in &versions[1..] {
        let (number, day) = version.split_once(" - ").unwrap_or_else(|| panic!("no day: {version}"));
        let numbers = number.trim_matches(['[', ']']).split('.').filter(|part| part.parse::<u32>().is_ok());
        assert!(numbers.count() == 3 && day.len() == 10, "{version}");
    }
    let groups = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
    let wrong: Vec<String> = headings("### ").into_iter().filter(|group| !groups.contains(&group.as_str())).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_recipes_of_just_can_be_read() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("just-venv");
    let just = match venv(&folder, venv::python(), &["rust-just==1.59.0"]) {
        Ok(bin) => bin.join("just"),
        Err(missing) => return missing.skip(),
    };
    let listed = run(Command::new(&just).arg("--summary").current_dir(root())).unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let recipes: Vec<&str> = listed.split_whitespace().collect();
    for recipe in ["fmt", "lint", "test-fast", "test", "tables", "docs", "bench"] {
        assert!(recipes.contains(&recipe), "justfile lacks {recipe}");
        run(Command::new(&just).args(["--dry-run", recipe]).current_dir(root())).unwrap();
    }
}
