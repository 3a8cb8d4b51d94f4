//! The Python tool `modelscan` 0.8.8 and this command side by side on the whole corpus, file by file: codes and fields of the
//! report are the same, or the difference is one of those that `docs/drop-in.md` lists.
//!
//! `MODELSCAN_PYPI` names a Python that has the tool; without it an environment is made once and kept in the target
//! folder. Where neither works, the test is skipped.

use fixtures::venv::{Missing, venv};
use fixtures::{Corpus, Need};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const RELEASE: &str = "0.8.8";

/// All deliberate differences: the first column of the table in the page, and whether the corpus must show it here.
/// The others are about streams, flags and settings: `tests/cli/drop-in.toml` and `tests/cli/outputs.toml`.
const DELIBERATE: [(&str, bool); 25] = [
    ("Keras models", false),
    ("`-r json` on standard output", false),
    ("\"Scanning ...\" lines", false),
    (UNKNOWN, true),
    (BREAK, true),
    (POINTER, true),
    (FORMATS, true),
    (LIST, true),
    (ODD, true),
    (LENIENT, true),
    (BROKEN, true),
    (PYTHON_2, true),
    (COMPUTED, true),
    (DOTS, true),
    (NO_TEXT, true),
    (CATEGORY, true),
    (MEMBERS, true),
    ("`scanner`", true),
    ("`timestamp`", false),
    ("order of files", false),
    ("`-r custom`", false),
    ("settings file", false),
    ("`./modelscan-settings.toml`", false),
    ("`create-settings-file`", false),
    ("`-o FILE` without `-r json`", false),
];
const UNKNOWN: &str = "a callable that is on no list";
const BREAK: &str = "issues before a break in the same file";
const POINTER: &str = "Git LFS pointers";
const FORMATS: &str = "formats";
const LIST: &str = "callables that are called unsafe";
const ODD: &str = "what is odd about the file itself";
const LENIENT: &str = "files that loaders read and that tool does not";
const BROKEN: &str = "files that break, or hold members that cannot be read";
const PYTHON_2: &str = "names of Python 2";
const COMPUTED: &str = "names that are computed";
const DOTS: &str = "names with dots in them";
const NO_TEXT: &str = "names that are no texts";
const CATEGORY: &str = "`category` of an error";
const MEMBERS: &str = "`scanned_files`";

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(program: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    let output = command.args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{} {}: {}", program.display(), args.join(" "), printed.trim().lines().last().unwrap_or_default()))
}

/// Pythons that could have the tool, which is not for 3.13.
fn pythons() -> Vec<PathBuf> {
    let names = ["python3.12", "python3.11", "python3.10", "python3"].map(PathBuf::from);
    let mut all: Vec<_> = std::env::var_os("MODELSCAN_PYTHON").map(PathBuf::from).into_iter().chain(names).collect();
    let versions = std::env::home_dir().unwrap_or_default().join(".pyenv/versions");
    let installed = fs::read_dir(versions).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut installed: Vec<_> = installed.map(|version| version.join("bin/python")).collect();
    installed.sort();
    all.extend(installed.into_iter().rev());
    let fits = "import sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 13))";
    all.retain(|python| run(python, &["-c", fits]).is_ok());
    all
}

fn tool() -> Result<PathBuf, Missing> {
    let has = format!("import importlib.metadata as m, modelscan.cli; assert m.version('modelscan') == '{RELEASE}'");
    if let Some(named) = std::env::var_os("MODELSCAN_PYPI") {
        let tried = run(Path::new(&named), &["-c", &has]);
        return tried.map(|_| PathBuf::from(named)).map_err(|why| Missing { need: Need::Python, why });
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("modelscan-{RELEASE}"));
    let none = || Missing { need: Need::Python, why: "there is no Python from 3.10 to 3.12".to_owned() };
    let python = pythons().into_iter().next().ok_or_else(none)?;
    let own = venv(&folder, python, &[&format!("modelscan=={RELEASE}"), "numpy"])?.join("python");
    run(&own, &["-c", &has]).map_err(|why| Missing { need: Need::Python, why })?;
    Ok(own)
}

/// What both say about one path.
struct Case {
    name: String,
    there: Value,
    here: Value,
}

/// The shared folder: every fixture in a folder of its own, a pointer, and a few plain files together.
fn folder() -> (PathBuf, Vec<PathBuf>) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drop-in");
    _ = fs::remove_dir_all(&root);
    fs::create_dir_all(root.join(".git")).unwrap();
    let mut paths = Vec::new();
    let mut write = |folder: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(root.join(folder)).unwrap();
        fs::write(root.join(folder).join(name), bytes).unwrap();
        paths.push(root.join(folder).join(name));
    };
    let corpus = Corpus::here();
    for (number, fixture) in corpus.fixtures().unwrap().iter().enumerate() {
        let bytes = corpus.build(&fixture.file).unwrap();
        // Larger ones show nothing new, and that tool takes minutes for them.
        if bytes.len() < 300_000 {
            write(&format!("{number:04}"), &fixture.saved_as(), &bytes);
        }
    }
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 9\n", "ab".repeat(32));
    write("pointer", "model.pt", pointer.as_bytes());
    for (name, text) in [("good.pkl", "]."), ("bad.pkl", "cposix\nsystem\n(S'id'\ntR."), ("README.md", "# words\n")] {
        write("plain", name, text.as_bytes());
    }
    paths.push(root.join("plain"));
    (root, paths)
}

fn cases(tool: &Path) -> Vec<Case> {
    let (root, paths) = folder();
    let driver = here().join("tests/cli/pypi_modelscan.py");
    let mut args = vec![driver.to_str().unwrap()];
    args.extend(paths.iter().map(|path| path.to_str().unwrap()));
    let there: Value = serde_json::from_str(&run(tool, &args).unwrap()).unwrap();
    let ours = |path: &Path| {
        let out = root.join("ours.json");
        _ = fs::remove_file(&out);
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelscan"));
        command.arg("-p").arg(path).args(["-r", "json", "--show-skipped", "-l", "CRITICAL", "-o"]).arg(&out);
        let output = command.current_dir(&root).env_clear().output().unwrap();
        let report: Value = serde_json::from_str(&fs::read_to_string(out).unwrap()).unwrap();
        serde_json::json!({"code": output.status.code(), "report": report})
    };
    let case = |path: &PathBuf| Case {
        name: path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(),
        there: there[path.to_str().unwrap()].clone(),
        here: ours(path),
    };
    paths.iter().map(case).collect()
}

fn list<'a>(answer: &'a Value, pointer: &str) -> &'a [Value] {
    answer["report"].pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Exit codes are the same function of the report.
fn expected_code(answer: &Value) -> i64 {
    if answer["report"].is_null() {
        return 2;
    }
    let none = |pointer| list(answer, pointer).is_empty();
    match (none("/summary/scanned/scanned_files"), none("/errors"), none("/issues")) {
        (true, ..) => 3,
        (_, false, _) => 2,
        (.., false) => 1,
        _ => 0,
    }
}

/// The differences of a file by their rows, and what no row explains.
fn differences(case: &Case) -> (BTreeSet<&'static str>, Vec<String>) {
    let (mut rows, mut wrong) = (BTreeSet::new(), Vec::new());
    let Case { there, here, .. } = case;
    for (who, answer) in [("there", there), ("here", here)] {
        if answer["code"].as_i64() != Some(expected_code(answer)) {
            wrong.push(format!("the code {who} is {}", answer["code"]));
        }
    }
    let pair = |issue: &Value| (text(issue, "module").to_owned(), text(issue, "operator").to_owned());
    let pairs = |answer| list(answer, "/issues").iter().map(pair).collect::<BTreeSet<_>>();
    let (theirs, ours) = (pairs(there), pairs(here));
    let whole = |(module, name): &(String, String)| format!("{module}.{name}");
    let (scanned_there, scanned_here) =
        (list(there, "/summary/scanned/scanned_files"), list(here, "/summary/scanned/scanned_files"));
    let failed_there = there["report"].is_null() || !list(there, "/errors").is_empty();
    let rule = |name: &str| scanner::rules().iter().any(|rule| rule.id == name);
    for issue in list(here, "/issues").iter().filter(|issue| !theirs.contains(&pair(issue))) {
        let (module, name) = pair(issue);
        rows.insert(match text(issue, "description") {
            printed if printed.starts_with("Use of unknown operator") => UNKNOWN,
            _ if rule(&name) => ODD,
            _ if module == "?" => COMPUTED,
            _ if theirs.iter().any(|(old, same)| old == "__builtin__" && *same == name) => PYTHON_2,
            _ if theirs.iter().any(|other| whole(other) == format!("{module}.{name}")) => DOTS,
            _ if failed_there => BREAK,
            _ if scanned_there.is_empty() => FORMATS,
            _ => LIST,
        });
    }
    for (module, name) in theirs.difference(&ours) {
        rows.insert(match (module.as_str(), name.as_str()) {
            ("__builtin__", _) if ours.contains(&("builtins".to_owned(), name.clone())) => PYTHON_2,
            ("unknown", _) if ours.contains(&("?".to_owned(), name.clone())) => COMPUTED,
            ("unknown", _) | (_, "unknown") if !list(here, "/errors").is_empty() => NO_TEXT,
            _ if ours.iter().any(|other| whole(other) == format!("{module}.{name}")) => DOTS,
            _ => {
                wrong.push(format!("{module}.{name} is an issue there and none here"));
                continue;
            }
        });
    }
    for issue in list(here, "/issues") {
        let Some(other) = list(there, "/issues").iter().find(|other| pair(other) == pair(issue)) else { continue };
        if issue["scanner"] != other["scanner"] {
            rows.insert("`scanner`");
        }
        for key in ["description", "severity"].into_iter().filter(|key| issue[*key] != other[*key]) {
            wrong.push(format!("{key} is {} there and {} here", other[key], issue[key]));
        }
    }
    errors(case, failed_there, &mut rows);
    if scanned_there != scanned_here {
        rows.insert(match (scanned_there.is_empty(), scanned_here.is_empty()) {
            (false, false) => MEMBERS,
            (false, true) => BROKEN,
            _ if failed_there && !ours.is_empty() => BREAK,
            _ if failed_there => LENIENT,
            _ => FORMATS,
        });
    }
    if rows.is_empty() {
        let plain = |answer: &Value| {
            let mut report = answer["report"].clone();
            for key in ["timestamp", "modelscan_version"] {
                assert!(report["summary"][key].take().is_string());
            }
            for list in ["issues", "errors"] {
                report[list].as_array_mut().unwrap().sort_by_key(ToString::to_string);
            }
            if let Some(files) = report["summary"]["scanned"]["scanned_files"].as_array_mut() {
                files.sort_by_key(ToString::to_string);
            }
            report
        };
        if there["code"] != here["code"] || plain(there) != plain(here) {
            wrong.push(format!("there {there}\nhere {here}"));
        }
    }
    (rows, wrong)
}

fn errors(case: &Case, failed_there: bool, rows: &mut BTreeSet<&'static str>) {
    let categories =
        |answer| list(answer, "/errors").iter().map(|error| text(error, "category")).collect::<BTreeSet<_>>();
    let (theirs, ours) = (categories(&case.there), categories(&case.here));
    if failed_there && ours.is_empty() {
        rows.insert(LENIENT);
    } else if !failed_there && !ours.is_empty() {
        rows.insert(if case.name.starts_with("pointer") { POINTER } else { BROKEN });
    } else if theirs != ours {
        rows.insert(CATEGORY);
    } else if !ours.is_empty() && list(&case.there, "/errors") != list(&case.here, "/errors") {
        // Its descriptions are texts of Python's exceptions.
        rows.insert(CATEGORY);
    }
    let skipped = |answer| list(answer, "/summary/skipped/skipped_files").len();
    if skipped(&case.there) != skipped(&case.here) && !failed_there && case.name != "plain" {
        rows.insert(if case.name.starts_with("pointer") { POINTER } else { FORMATS });
    }
}

#[test]
fn both_tools_say_the_same_or_differ_as_the_page_lists() {
    let tool = match tool() {
        Ok(tool) => tool,
        Err(missing) => return missing.skip(),
    };
    let cases = cases(&tool);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut same, mut failures) = (0, Vec::new());
    for case in &cases {
        let (rows, wrong) = differences(case);
        same += usize::from(rows.is_empty() && wrong.is_empty());
        rows.into_iter().for_each(|row| *seen.entry(row).or_default() += 1);
        failures.extend(wrong.into_iter().map(|why| format!("{}: {why}", case.name)));
    }
    eprintln!("{} paths, {same} answered alike; {seen:?}", cases.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(same > 60, "only {same} of {} are alike", cases.len());
    let unseen: Vec<_> = DELIBERATE.iter().filter(|(row, must)| *must && !seen.contains_key(row)).collect();
    assert!(unseen.is_empty(), "no longer different, so no longer to be listed: {unseen:?}");
}

#[test]
fn the_page_lists_exactly_the_deliberate_differences() {
    let page = fs::read_to_string(here().join("docs/drop-in.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).map(str::trim);
    let listed: BTreeSet<&str> = rows.filter(|row| !row.is_empty() && !row.starts_with('|')).collect();
    let known: BTreeSet<&str> = DELIBERATE.iter().map(|(row, _)| *row).collect();
    assert_eq!(listed, known);
}
