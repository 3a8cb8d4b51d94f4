//! Sessions of the command, one TOML file each in this folder: files to make, then runs with their output and exit code. A new
//! test is a new file.
//!
//! ```toml
//! [files]                       # made in an empty folder; `.git` is there, so no configuration is looked for above
//! "a.pkl" = "]."                # text, or { hex = "5d2e" }, { link = "target" }, { folder = true },
//!                               # { clean = "torch/a.pt" }: a file or folder of fixtures/clean
//! [[run]]
//! args = ["scan", "a.pkl"]      # env = { NAME = "value" }, in = "folder"
//! code = 0
//! stdout = "..."                # exactly; or stdout-has / stdout-lacks = ["..."]; the same for stderr
//! json = "..."                  # stdout is JSON and holds at least this
//! written = { "r.json" = ".." } # files that were written and hold this text
//! there = ["a", "b"]            # all that is in the folder then, hidden files too
//! ```
//!
//! `$DIR` stands for the folder. `BLESS=1` rewrites `code`, `stdout`, `stderr`, `json` and `there` where a run differs; the partial
//! expectations (`-has`, `-lacks`, `written`) are edited by hand.

use crate::bless::{Difference, corrected, restricted};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    #[serde(default)]
    files: BTreeMap<String, Content>,
    run: Vec<Run>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Hex { hex: String },
    Link { link: String },
    Folder { folder: bool },
    Clean { clean: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Run {
    args: Vec<String>,
    code: i32,
    #[serde(default)]
    env: BTreeMap<String, String>,
    r#in: Option<String>,
    stdout: Option<String>,
    #[serde(default)]
    stdout_has: Vec<String>,
    #[serde(default)]
    stdout_lacks: Vec<String>,
    stderr: Option<String>,
    #[serde(default)]
    stderr_has: Vec<String>,
    #[serde(default)]
    stderr_lacks: Vec<String>,
    json: Option<String>,
    #[serde(default)]
    written: BTreeMap<String, String>,
    there: Option<Vec<String>>,
}

#[test]
fn sessions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let wrong = play_all(&folder, "cli", fixtures::blessing());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Plays the sessions of a folder, in folders whose names start with `prefix`. Returns what differs and was not rewritten.
pub(crate) fn play_all(folder: &Path, prefix: &str, bless: bool) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    names.sort();
    assert!(!names.is_empty(), "no sessions in {}", folder.display());
    names.iter().flat_map(|path| play(path, prefix, bless)).collect()
}

fn play(path: &Path, prefix: &str, bless: bool) -> Vec<String> {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let session: Session = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let dir = fresh(&format!("{prefix}-{name}"));
    for (file, content) in &session.files {
        make(&dir.join(file), content);
    }
    let (mut wrong, mut corrections) = (Vec::new(), Vec::new());
    for (index, run) in session.run.iter().enumerate() {
        let (mut complaints, printed) = check(run, &dir);
        if bless {
            let (right, partial) = complaints.into_iter().partition(|one| one.right.is_some());
            complaints = partial;
            let right: Vec<Difference> = right;
            corrections.extend(right.into_iter().filter_map(|one| Some((index, one.right?))));
        }
        if !complaints.is_empty() {
            let complaints: Vec<&str> = complaints.iter().map(|one| one.text.as_str()).collect();
            wrong.push(format!("{name}, run {}: {:?}\n  {}\n{printed}", index + 1, run.args, complaints.join("\n  ")));
        }
    }
    if !corrections.is_empty() {
        fs::write(path, corrected(&text, corrections)).unwrap();
    }
    wrong
}

/// An empty folder for a test.
fn fresh(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join(".git")).unwrap();
    dir.canonicalize().unwrap()
}

fn make(path: &Path, content: &Content) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match content {
        Content::Text(text) => fs::write(path, text).unwrap(),
        Content::Hex { hex } => {
            let digits: Vec<_> = hex.chars().filter(|c| !c.is_whitespace()).collect();
            let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
            fs::write(path, digits.chunks(2).map(byte).collect::<Vec<_>>()).unwrap();
        }
        Content::Link { link } => std::os::unix::fs::symlink(link, path).unwrap(),
        Content::Folder { folder } => {
            assert!(folder);
            fs::create_dir_all(path).unwrap();
        }
        Content::Clean { clean } => {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/clean").join(clean);
            if from.is_file() {
                _ = fs::copy(from, path).unwrap();
                return;
            }
            fs::create_dir_all(path).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), path.join(entry.file_name())).unwrap();
            }
        }
    }
}

/// The command, with nothing of this process's environment.
fn modelscan(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelscan"));
    command.args(args).current_dir(dir).env_clear().stdin(Stdio::null());
    command
}

/// Compares a run with its expectations. Returns the differences, and the output for people.
fn check(run: &Run, dir: &Path) -> (Vec<Difference>, String) {
    let shown = dir.to_str().unwrap();
    let args: Vec<String> = run.args.iter().map(|arg| arg.replace("$DIR", shown)).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let here = run.r#in.as_ref().map_or(dir.to_path_buf(), |folder| dir.join(folder));
    let env = run.env.iter().map(|(key, value)| (key, value.replace("$DIR", shown)));
    let Output { status, stdout, stderr } = modelscan(&here, &args).envs(env).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(shown, "$DIR");
    let (stdout, stderr) = (text(stdout), text(stderr));
    let mut wrong = Vec::new();
    match status.code() {
        Some(code) if code == run.code => {}
        Some(code) => wrong.push(Difference::of("code", i64::from(code), format!("code {code}, not {}", run.code))),
        None => wrong.push(Difference::partial(format!("{status}, not code {}", run.code))),
    }
    for (stream, printed, exactly, has, lacks) in [
        ("stdout", &stdout, &run.stdout, &run.stdout_has, &run.stdout_lacks),
        ("stderr", &stderr, &run.stderr, &run.stderr_has, &run.stderr_lacks),
    ] {
        if let Some(exactly) = exactly
            && exactly != printed
        {
            wrong.push(Difference::of(stream, printed.as_str(), format!("{stream} is not exactly {exactly:?}")));
        }
        let has = has.iter().filter(|part| !printed.contains(*part));
        wrong.extend(has.map(|part| Difference::partial(format!("{stream} lacks {part:?}"))));
        let lacks = lacks.iter().filter(|part| printed.contains(*part));
        wrong.extend(lacks.map(|part| Difference::partial(format!("{stream} has {part:?}"))));
    }
    if let Some(json) = &run.json {
        let expected: Value = serde_json::from_str(json).unwrap();
        match serde_json::from_str::<Value>(&stdout) {
            Ok(found) if holds(&found, &expected) => {}
            Ok(found) => {
                let right = restricted(&found, &expected).to_string();
                wrong.push(Difference::of("json", right, "stdout does not hold the JSON".to_owned()));
            }
            Err(error) => wrong.push(Difference::partial(format!("stdout is not JSON: {error}"))),
        }
    }
    for (file, part) in &run.written {
        let found = String::from_utf8_lossy(&fs::read(dir.join(file)).unwrap_or_default()).into_owned();
        if !found.contains(part) {
            wrong.push(Difference::partial(format!("{file} lacks {part:?}: {found}")));
        }
    }
    if let Some(there) = &run.there {
        let found = names(dir);
        if found != *there {
            let right = found.iter().collect::<toml_edit::Array>();
            wrong.push(Difference::of("there", right, format!("there are {found:?}")));
        }
    }
    (wrong, format!("--- stdout\n{stdout}\n--- stderr\n{stderr}\n"))
}

/// The names in a folder, without `.git`.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| name != ".git").collect();
    names.sort();
    names
}

/// Whether `found` has everything that `expected` has: fewer keys may be expected, but not fewer items.
fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| holds(found, value)))
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| holds(f, e))
        }
        (found, expected) => found == expected,
    }
}

#[test]
fn the_rules_page_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let output = modelscan(Path::new("/"), &["rule", "--format", "markdown"]).output().unwrap();
    assert!(output.status.success());
    fixtures::golden(&page, &String::from_utf8(output.stdout).unwrap()).unwrap();
}

#[test]
fn the_formats_page_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/formats.md");
    let output = modelscan(Path::new("/"), &["formats", "--format", "markdown"]).output().unwrap();
    assert!(output.status.success());
    fixtures::golden(&page, &String::from_utf8(output.stdout).unwrap()).unwrap();
}

#[test]
fn one_thread_and_many_print_the_same_bytes() {
    let dir = fresh("cli-threads");
    for index in 0..50 {
        let bytes = if index % 3 == 0 { "cposix\nsystem\n(S'id'\ntR." } else { "]." };
        fs::create_dir_all(dir.join(format!("{}", index % 7))).unwrap();
        fs::write(dir.join(format!("{}/{index}.pkl", index % 7)), bytes).unwrap();
    }
    for format in ["text", "json", "jsonl"] {
        let print = |jobs| modelscan(&dir, &["scan", "--format", format, "--jobs", jobs, "."]).output().unwrap();
        let (one, many) = (print("1"), print("8"));
        assert_eq!(one.status.code(), Some(1));
        assert!(one.stdout == many.stdout && one.stdout.len() > 50, "{format}");
    }
}

#[test]
fn a_reader_that_goes_away_changes_nothing() {
    let dir = fresh("cli-pipe");
    for index in 0..2_000 {
        fs::write(dir.join(format!("{index}.pkl")), "cposix\nsystem\n(S'id'\ntR.").unwrap();
    }
    let mut command = modelscan(&dir, &["scan", "."]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
