//! The corpus: every fixture is built and scanned by the real command, every file that a real library wrote is scanned, and the
//! answers are compared with the manifests. All differences are collected before a test fails.

use fixtures::{Corpus, Fixture};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder for one test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("modelscan-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }

    /// Writes a file in a folder of its own, so that any name will do.
    fn write(&self, number: usize, name: &str, bytes: &[u8]) -> PathBuf {
        let folder = self.0.join(format!("{number:04}"));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a fixture can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Runs `modelscan scan` and returns its code and its report.
fn scan(path: &Path) -> Result<(i32, Value), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_modelscan"))
        .args(["scan", "--format", "json"])
        .arg(path)
        .output()
        .map_err(|error| error.to_string())?;
    let code = output.status.code().ok_or_else(|| format!("ended by {}", output.status))?;
    let report = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("code {code}, no report ({error}): {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((code, report))
}

fn texts<'a>(findings: &'a [Value], field: &'a str) -> impl Iterator<Item = &'a str> {
    findings.iter().filter_map(move |finding| finding[field].as_str())
}

fn findings(artifact: &Value) -> &[Value] {
    artifact["findings"].as_array().map_or(&[], Vec::as_slice)
}

/// The findings in one line.
fn summary(artifact: &Value) -> String {
    let found: Vec<String> = findings(artifact)
        .iter()
        .map(|finding| {
            let text = |field: &str| finding[field].as_str().unwrap_or_default().to_owned();
            format!("{}/{} {} [{}]", text("rule"), text("severity"), text("callable"), text("message"))
        })
        .collect();
    format!("{found:?}, not read: {}", artifact["not_read"])
}

/// Everything in which the answer differs from what the manifest expects.
fn differences(fixture: &Fixture, code: i32, report: &Value) -> Vec<String> {
    let expect = &fixture.expect;
    let artifacts = report["artifacts"].as_array().map_or(&[][..], Vec::as_slice);
    let [artifact] = artifacts else {
        return vec![format!("{} artifacts instead of one (code {code})", artifacts.len())];
    };
    let mut wrong = Vec::new();
    let verdict = artifact["verdict"].as_str().unwrap_or("none");
    if verdict != expect.verdict {
        wrong.push(format!("verdict {verdict} instead of {}", expect.verdict));
    }
    if code != expect.exit {
        wrong.push(format!("code {code} instead of {}", expect.exit));
    }
    let found = findings(artifact);
    let has = |field, wanted: &str| texts(found, field).any(|text| text == wanted);
    wrong.extend(expect.rules.iter().filter(|rule| !has("rule", rule)).map(|rule| format!("no {rule}")));
    wrong.extend(expect.not_rules.iter().filter(|rule| has("rule", rule)).map(|rule| format!("{rule} fired")));
    wrong.extend(expect.callables.iter().filter(|name| !has("callable", name)).map(|name| format!("{name} not named")));
    if let Some(member) = expect.member.as_ref().filter(|member| !has("member", member)) {
        wrong.push(format!("no finding in member {member}"));
    }
    if !wrong.is_empty() {
        wrong.push(summary(artifact));
    }
    wrong
}

/// Fails with all of them.
fn report(failures: &[String], of: usize) {
    assert!(failures.is_empty(), "{} of {of} differ from the manifest:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_fixture_is_judged_as_the_manifest_says() {
    let corpus = Corpus::here();
    let fixtures = corpus.fixtures().expect("the manifest can be read");
    let folder = Folder::new("fixtures");
    let mut failures = Vec::new();
    for (number, fixture) in fixtures.iter().enumerate() {
        let bytes = corpus.build(&fixture.file).unwrap_or_else(|error| panic!("{}: {error}", fixture.file));
        let path = folder.write(number, &fixture.saved_as(), &bytes);
        let wrong = match scan(&path) {
            Ok((code, report)) => differences(fixture, code, &report),
            Err(error) => vec![error],
        };
        if !wrong.is_empty() {
            failures.push(format!("{} ({}): {}", fixture.file, fixture.shows, wrong.join("; ")));
        }
    }
    report(&failures, fixtures.len());
}

/// One row of `names.tsv`.
struct Name {
    module: String,
    name: String,
    verdict: String,
}

fn names() -> Vec<Name> {
    let path = Corpus::here().root().join("pickle/names.tsv");
    let text = std::fs::read_to_string(path).expect("names.tsv can be read");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| match row.split('\t').collect::<Vec<_>>().as_slice() {
        [module, name, verdict, _source] => {
            Name { module: (*module).into(), name: (*name).into(), verdict: (*verdict).into() }
        }
        _ => panic!("{row:?} is not module, name, verdict, source"),
    })
    .collect()
}

#[test]
fn every_single_name_is_judged_as_its_table_says() {
    let names = names();
    let folder = Folder::new("names");
    let mut paths = BTreeMap::new();
    for (number, row) in names.iter().enumerate() {
        let text =
            format!("PROTO 4\nSHORT_BINUNICODE '{}'\nSHORT_BINUNICODE '{}'\nSTACK_GLOBAL\nSTOP", row.module, row.name);
        let bytes = fixtures::assemble(&text).unwrap_or_else(|error| panic!("{}: {error}", row.name));
        paths.insert(folder.write(number, "name.pkl", &bytes), row);
    }
    let (_, answer) = scan(&folder.0).expect("the folder can be scanned");
    let artifacts = answer["artifacts"].as_array().expect("a report lists artifacts");
    let mut failures = Vec::new();
    for (path, row) in &paths {
        let full = format!("{}.{}", row.module, row.name);
        let Some(artifact) =
            artifacts.iter().find(|artifact| artifact["path"].as_str().is_some_and(|p| path.ends_with(p)))
        else {
            failures.push(format!("{full}: not in the report"));
            continue;
        };
        let verdict = artifact["verdict"].as_str().unwrap_or("none");
        let right = if row.verdict == "not-clean" { verdict != "clean" } else { verdict == row.verdict };
        let named = verdict == "clean" || texts(findings(artifact), "callable").any(|callable| callable == full);
        if !right || !named {
            failures.push(format!("{full}: {verdict} instead of {}, {}", row.verdict, summary(artifact)));
        }
    }
    report(&failures, names.len());
}

#[test]
fn files_of_real_libraries_are_judged_as_their_manifest_says() {
    let root = Corpus::here().root().join("clean");
    let text =
        std::fs::read_to_string(root.join("manifest.toml")).expect("the manifest of the clean files can be read");
    let manifest: toml::Table = toml::from_str(&text).expect("the manifest of the clean files is TOML");
    let rows = manifest["file"].as_array().expect("the manifest lists files");
    let (_, answer) = scan(&root).expect("the folder can be scanned");
    let artifacts = answer["artifacts"].as_array().expect("a report lists artifacts");
    let by_path: BTreeMap<PathBuf, &Value> =
        artifacts.iter().filter_map(|artifact| Some((PathBuf::from(artifact["path"].as_str()?), artifact))).collect();
    let mut failures = Vec::new();
    for row in rows {
        let path = row["path"].as_str().expect("a row names its file");
        let expected = row["expect"].as_str().expect("a row says what it expects");
        let artifact = by_path.iter().find(|(found, _)| found.ends_with(path));
        match artifact {
            None => failures.push(format!("{path}: not in the report")),
            Some((_, artifact)) if artifact["verdict"] != expected => {
                failures.push(format!("{path}: {} instead of {expected}, {}", artifact["verdict"], summary(artifact)));
            }
            Some(_) => {}
        }
    }
    report(&failures, rows.len());
}
