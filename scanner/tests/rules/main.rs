//! A file for each rule, with the name of its file in `src/judge/rule`: one input that fires the rule, and one that almost does.
//! The inputs go through a whole scan, so that these tests hold whichever part of the scanner raises the finding.

mod archive_mismatch;
mod computed_callable;
mod decompression_bomb;
mod embedded_code;
mod embedded_program;
mod executable_content;
mod external_reference;
mod format_mismatch;
mod implicit_call;
mod malformed_pickle;
mod not_fully_read;
mod object_array;
mod path_escape;
mod polyglot;
mod reader_disagreement;
mod special_file;
mod structure_violation;
mod trailing_data;
mod unexpected_arguments;
mod unknown_callable;
mod unsafe_callable;

use fixtures::Corpus;
use scanner::Limits;
use scanner::scan_open::OpenInput;
use scanner::source::Memory;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The ids of all rules that fire on a file of that name, sorted.
fn scan(name: &str, bytes: &[u8]) -> Vec<&'static str> {
    let input = OpenInput::Bytes(Arc::new(Memory::new(bytes.to_vec())));
    let report = input.scan(name, 0, &Limits::default()).expect("memory can be read").report;
    report.findings.iter().map(|finding| finding.rule).collect::<BTreeSet<_>>().into_iter().collect()
}

/// As [`scan`], for a fixture of the corpus.
fn fixture(file: &str) -> Vec<&'static str> {
    let corpus = Corpus::here();
    let fixtures = corpus.fixtures().expect("the manifest can be read");
    let fixture = fixtures.iter().find(|fixture| fixture.file == file).expect("the manifest has the fixture");
    scan(&fixture.saved_as(), &corpus.build(file).expect("a fixture can be built"))
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The names of the Rust files in a folder, without some.
fn files(path: &str, except: &[&str]) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder(path)).expect("the folder can be listed");
    let names =
        entries.map(|entry| entry.expect("the folder can be listed").file_name().to_string_lossy().into_owned());
    let names = names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned));
    names.filter(|name| !except.contains(&name.as_str())).collect()
}

#[test]
fn every_rule_has_its_page_its_file_and_its_test() {
    let pages: BTreeSet<String> = scanner::rules().iter().map(|rule| rule.id.replace('-', "_")).collect();
    assert_eq!(files("src/judge/rule", &["mod", "all"]), pages, "each file in src/judge/rule is in the list of all.rs");
    assert_eq!(files("tests/rules", &["main"]), pages, "each rule has a test file of its name");
    let main = std::fs::read_to_string(folder("tests/rules/main.rs")).expect("this file can be read");
    for rule in pages {
        assert!(main.contains(&format!("\nmod {rule};\n")), "tests/rules/main.rs lacks `mod {rule};`");
        let test = std::fs::read_to_string(folder("tests/rules").join(format!("{rule}.rs"))).expect("it is listed");
        assert!(
            test.contains("fn fires()") && test.contains("fn almost_fires()"),
            "tests/rules/{rule}.rs lacks a test"
        );
    }
}

#[test]
fn only_rules_make_findings() {
    let mentions = ["struct RawFinding {", "impl RawFinding {", "-> RawFinding {"];
    let makes = |line: &str| line.contains("RawFinding {") && !mentions.iter().any(|mention| line.contains(mention));
    let mut todo = vec![folder("src")];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder can be listed");
            todo.extend(entries.map(|entry| entry.expect("a folder can be listed").path()));
        } else if !path.ends_with("judge/rule/mod.rs") {
            let code = std::fs::read_to_string(&path).expect("a source can be read");
            assert!(!code.lines().any(makes), "{} makes a finding without a rule", path.display());
        }
    }
}
