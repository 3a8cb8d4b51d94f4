//! The layout that ARCHITECTURE.md describes, held against the sources: which room may name which, how long files and functions
//! may be, where `unsafe` code is, and that every rule has its page and every fixture its file.

mod document;
mod graph;
mod source;

use fixtures::Corpus;
use fixtures::golden;
use graph::Graph;
use source::{Crate, Module, SourceFile, UnsafeCode, files_below, functions};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use syn::visit::Visit;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rooms of each crate, floor by floor from the ground up. A room names its own files and those of lower floors only.
const CRATES: &[(&str, &[&[&str]])] = &[
    (
        "src",
        &[
            &["error", "escape", "atomic_file", "exit_code", "limit"],
            &["git", "date", "cli", "baseline"],
            &["changes", "terminal", "compat"],
            &["trusted_config", "render"],
            &["config"],
            &["remote_inputs"],
            &["commands"],
        ],
    ),
    (
        "scanner/src",
        &[
            &["io"],
            &["fact", "finding", "error"],
            &["pickle", "archive"],
            &["observe"],
            &["format"],
            &["recognize", "judge"],
            &["examine"],
            &["api"],
        ],
    ),
    (
        "loader/src",
        &[
            &["bounds"],
            &["bytes"],
            &["values"],
            &["plan"],
            &["error"],
            &["open"],
            &["output", "checkpoint", "list"],
            &["convert"],
            &["report", "candle"],
        ],
    ),
    (
        "admission/src",
        &[
            &["difference", "policy", "file_bytes"],
            &["error", "copy", "assess"],
            &["folder"],
            &["lock"],
            &["lock_check"],
            &["delivery", "stage"],
            &["convert"],
        ],
    ),
    (
        "remote/src",
        &[
            &["bounds"],
            &["error", "range_cache"],
            &["address", "budget", "resolver"],
            &["credentials"],
            &["options"],
            &["client"],
            &["download", "range"],
            &["open"],
            &["lfs"],
            &["provider"],
        ],
    ),
    (
        "sandbox-exec/src",
        &[
            &["sys"],
            &["cgroup"],
            &["policy"],
            &["gpu"],
            &["plan"],
            &["proxy"],
            &["child"],
            &["supervisor"],
            &["view", "doctor"],
        ],
    ),
    ("quantity/src", &[&["error", "number"], &["size", "time"]]),
    ("ip-scope/src", &[]),
    ("python/src", &[&["conversion"], &["weights"], &["artifact"]]),
    (
        "fixtures/src",
        &[
            &["hex", "opcode", "token", "parts", "skip", "stream", "golden", "server", "random"],
            &["assemble", "listing", "venv"],
            &["content"],
            &["tar", "zip"],
            &["corpus"],
        ],
    ),
];

/// Functions over 60 lines that stay, each with the reason.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

/// The only files with unsafe code.
const UNSAFE_FILES: &[&str] =
    &["loader/src/output/map.rs", "sandbox-exec/src/sys/calls.rs", "sandbox-exec/src/sys/nvml.rs"];

const MAX_FUNCTION_LINES: usize = 60;
const MAX_LONG_FUNCTIONS: usize = 12;
const MAX_FILE_LINES: usize = 500;

fn crates() -> impl Iterator<Item = (&'static str, Crate)> {
    CRATES.iter().map(|(folder, _)| (*folder, Crate::read(root(), folder)))
}

#[test]
fn every_crate_of_the_workspace_is_listed() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    let manifest: toml::Table = toml::from_str(&manifest).expect("a manifest is TOML");
    let members = manifest["workspace"]["members"].as_array().expect("the workspace lists its members");
    let mut sources: Vec<String> =
        members.iter().filter_map(|member| Some(format!("{}/src", member.as_str()?))).collect();
    sources.push("src".to_owned());
    let listed: BTreeSet<&str> = CRATES.iter().map(|(folder, _)| *folder).collect();
    let missing: Vec<&String> = sources.iter().filter(|source| !listed.contains(source.as_str())).collect();
    assert!(missing.is_empty(), "CRATES lacks {missing:?}");
}

#[test]
fn no_circle_of_imports() {
    for (folder, source) in crates() {
        let cycles = Graph::of(&source).cycles();
        assert!(cycles.is_empty(), "{folder}: these files name each other: {cycles:?}");
    }
}

#[test]
fn inside_a_crate_arrows_point_down() {
    for ((folder, source), (_, floors)) in crates().zip(CRATES) {
        let wrong = Graph::of(&source).upward(floors);
        assert!(wrong.is_empty(), "{folder}: {wrong:#?}");
    }
}

#[test]
fn the_graph_sees_cycles_and_upward_arrows() {
    let file = |path: &str, text: &str| {
        let module: Module = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        (module.clone(), SourceFile::parse(path, module, text))
    };
    let source = Crate {
        files: BTreeMap::from([
            file("", "mod low; mod high;"),
            file("low", "pub mod one; pub mod two; pub use two::Two;"),
            file("low::one", "use super::Two; #[cfg(test)] mod tests { use crate::high::High; }"),
            file("low::two", "pub struct Two; fn f() { format!(\"{}\", crate::low::one::ONE); }"),
            file("high", "use crate::low::{Two, one::{self, ONE}}; pub struct High;"),
        ]),
    };
    let graph = Graph::of(&source);
    assert_eq!(graph.cycles(), [["low::one", "low::two"]]);
    assert!(graph.upward(&[&["low"], &["high"]]).is_empty());
    assert_eq!(graph.upward(&[&["high"], &["low"]]), ["high -> low::one", "high -> low::two"]);
    assert_eq!(graph.upward(&[&["low"]])[0], "high has no floor");
}

#[test]
fn long_functions_are_few_and_have_a_reason() {
    let mut long: Vec<(String, usize)> = Vec::new();
    for (_, source) in crates() {
        let all = source.files.values().flat_map(functions);
        long.extend(all.filter(|function| function.lines > MAX_FUNCTION_LINES).map(|f| (f.name, f.lines)));
    }
    let listed: BTreeSet<&str> = LONG_FUNCTIONS.iter().map(|(name, _)| *name).collect();
    let new: Vec<_> = long.iter().filter(|(name, _)| !listed.contains(name.as_str())).collect();
    assert!(new.is_empty(), "over {MAX_FUNCTION_LINES} lines: {new:#?}");
    let stale: Vec<_> = listed.iter().filter(|name| !long.iter().any(|(long, _)| long == **name)).collect();
    assert!(stale.is_empty(), "listed and not long any more: {stale:?}");
    assert!(LONG_FUNCTIONS.len() <= MAX_LONG_FUNCTIONS && LONG_FUNCTIONS.iter().all(|(_, reason)| reason.len() > 10));
}

#[test]
fn functions_are_measured_from_signature_to_brace() {
    let text = "struct S;\nimpl S {\n    /// Doc.\n    fn f(\n        &self,\n    ) {\n        let _ = 1;\n    }\n}\n";
    let file = SourceFile::parse("x.rs", Vec::new(), text);
    let measured: Vec<_> = functions(&file).into_iter().map(|f| (f.name, f.lines)).collect();
    assert_eq!(measured, [("x.rs::f".to_owned(), 5)]);
}

#[test]
fn files_are_at_most_500_lines() {
    let mut long = Vec::new();
    let tests = |path: &str| {
        let parts: Vec<&str> = path.split('/').collect();
        parts.contains(&"tests") || path.ends_with("_tests.rs")
    };
    for path in files_below(root(), ".", &["rs", "py", "sh"]) {
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
        let name = name.trim_start_matches("./");
        let text = fs::read_to_string(&path).expect("a source can be read");
        let lines = text.lines().count();
        if lines > MAX_FILE_LINES && !tests(name) {
            long.push(format!("{name}: {lines} lines"));
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn architecture_md_shows_the_rooms_of_today() {
    let path = root().join("ARCHITECTURE.md");
    let page = fs::read_to_string(&path).expect("ARCHITECTURE.md can be read");
    let folders: Vec<&str> = CRATES.iter().map(|(folder, _)| *folder).collect();
    let part = |page: &str, name: &str, made: &str| {
        document::with_part(page, name, made).unwrap_or_else(|| panic!("ARCHITECTURE.md has no part {name}"))
    };
    let mut made = part(&page, "crates", &document::crate_table(root(), &folders));
    for ((folder, source), (_, floors)) in crates().zip(CRATES).filter(|(_, (_, floors))| !floors.is_empty()) {
        made = part(&made, &format!("floors {folder}"), &document::floors(root(), folder, &source, floors));
    }
    golden(&path, &made).expect("ARCHITECTURE.md");
}

#[test]
fn architecture_md_names_only_what_exists() {
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(page)).expect("the page can be read");
        let named = document::named_paths(root(), &text);
        assert!(named.len() > 10, "{page} names {named:?}");
        let missing: Vec<_> = named.iter().filter(|path| !root().join(path).exists()).collect();
        assert!(missing.is_empty(), "{page} names {missing:?}");
    }
}

#[test]
fn unsafe_code_is_in_the_listed_files_only() {
    let mut found = Vec::new();
    for (_, source) in crates() {
        for file in source.files.values() {
            let mut visitor = UnsafeCode::default();
            file.items.iter().for_each(|item| visitor.visit_item(item));
            found.extend(visitor.0.then(|| file.path.clone()));
        }
    }
    found.sort();
    assert_eq!(found, UNSAFE_FILES);
    for (folder, source) in crates() {
        let holds = UNSAFE_FILES.iter().any(|file| file.starts_with(folder));
        let lint = if holds || folder == "python/src" { "deny" } else { "forbid" };
        let face = source.files.get(&Module::new()).expect("a crate has a root");
        let text = fs::read_to_string(root().join(&face.path)).expect("it can be read");
        assert!(text.contains(&format!("#![{lint}(unsafe_code)]")), "{} does not {lint} unsafe code", face.path);
    }
}

/// The crates of this workspace that each crate may use. All others are forbidden, also those that come later.
const USES: &[(&str, &[&str])] = &[
    ("ip-scope", &[]),
    ("quantity", &[]),
    ("fixtures", &[]),
    ("scanner", &[]),
    ("loader", &["scanner"]),
    ("admission", &["loader", "scanner"]),
    ("remote", &["ip-scope", "scanner"]),
    ("sandbox-exec", &["ip-scope", "quantity"]),
    ("python", &["loader", "scanner"]),
    ("", &["admission", "loader", "quantity", "remote", "sandbox-exec", "scanner"]),
];

/// Crates from elsewhere with one place of use each: the command line, the network, Python.
const ONE_USER: &[(&str, &str)] = &[("clap", ""), ("ureq", "remote"), ("pyo3", "python")];

#[test]
fn crates_use_only_those_below_them() {
    for (folder, allowed) in USES {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a crate has a manifest");
        let manifest: toml::Table = toml::from_str(&manifest).expect("a manifest is TOML");
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        for name in dependencies.keys() {
            let own = USES.iter().any(|(folder, _)| folder == name);
            assert!(!own || allowed.contains(&name.as_str()), "{folder:?} uses {name}");
            let user = ONE_USER.iter().find(|(known, _)| known == name);
            assert!(user.is_none_or(|(_, user)| user == folder), "{folder:?} uses {name}");
        }
    }
    for (folder, _) in CRATES {
        let folder = folder.strip_suffix("src").unwrap_or(folder).trim_end_matches('/');
        assert!(USES.iter().any(|(known, _)| *known == folder), "USES lacks {folder:?}");
    }
}

/// What renders reports must not scan, load or decide.
#[test]
fn render_uses_reports_only() {
    const FORBIDDEN: [&str; 12] = [
        "scanner::scan(",
        "scanner::inspect(",
        "scanner::internal",
        "scanner::directory",
        "scanner::source",
        "scanner::clearance",
        "scanner::scan_open",
        "scanner::providers",
        "loader::list",
        "loader::open",
        "loader::convert",
        "loader::Checkpoint",
    ];
    for path in files_below(root(), "src/render", &["rs"]) {
        let text = fs::read_to_string(&path).expect("a source can be read");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let found: Vec<_> = FORBIDDEN.iter().filter(|name| text.contains(**name)).collect();
        assert!(found.is_empty(), "{} uses {found:?}", path.display());
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
