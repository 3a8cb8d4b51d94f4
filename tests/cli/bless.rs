//! `BLESS=1` for the sessions: corrects what a session expects exactly and leaves the rest of its file as it is.

use crate::sessions::play_all;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use toml_edit::DocumentMut;

/// A difference between a run and its expectations.
pub(crate) struct Difference {
    pub(crate) text: String,
    /// The key and its right value. None where an expectation is partial, so that no value follows from the output.
    pub(crate) right: Option<(&'static str, toml_edit::Value)>,
}

impl Difference {
    pub(crate) fn of(key: &'static str, right: impl Into<toml_edit::Value>, text: String) -> Self {
        Self { text, right: Some((key, right.into())) }
    }

    pub(crate) fn partial(text: String) -> Self {
        Self { text, right: None }
    }
}

/// A session with the right values: for each the index of the run, the key and the value. Comments and layout stay.
pub(crate) fn corrected(
    text: &str,
    right: impl IntoIterator<Item = (usize, (&'static str, toml_edit::Value))>,
) -> String {
    let mut document: DocumentMut = text.parse().unwrap();
    let runs = document["run"].as_array_of_tables_mut().unwrap();
    for (index, (key, mut value)) in right {
        let old = runs.get_mut(index).unwrap().get_mut(key).unwrap().as_value_mut().unwrap();
        *value.decor_mut() = old.decor().clone();
        *old = value;
    }
    document.to_string()
}

/// `found`, reduced to the keys that `expected` names. An array is kept whole, each item reduced to its counterpart.
pub(crate) fn restricted(found: &Value, expected: &Value) -> Value {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let both = expected.iter().filter_map(|(key, value)| Some((key, found.get(key)?, value)));
            Value::Object(both.map(|(key, found, expected)| (key.clone(), restricted(found, expected))).collect())
        }
        (Value::Array(found), Value::Array(expected)) => {
            let items = found.iter().enumerate();
            items.map(|(at, item)| expected.get(at).map_or(item.clone(), |one| restricted(item, one))).collect()
        }
        _ => found.clone(),
    }
}

/// The sessions in a folder that a test may change.
fn copy(name: &str, sessions: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for (file, text) in sessions {
        fs::write(folder.join(file), text).unwrap();
    }
    folder
}

fn all() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let sessions = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    sessions.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn every_session_keeps_its_layout() {
    for (name, text) in all() {
        assert_eq!(corrected(&text, []), text, "{name}");
    }
}

/// Without `BLESS=1`: under it the sessions themselves are being rewritten.
#[test]
fn blessing_right_sessions_changes_nothing() {
    if fixtures::blessing() {
        return;
    }
    let all = all();
    assert!(all.len() >= 10, "the sessions are there");
    let sessions: Vec<(&str, &str)> = all.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let folder = copy("bless-right", &sessions);
    assert_eq!(play_all(&folder, "bless-right", true), Vec::<String>::new());
    for (name, text) in sessions {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), text, "{name}");
    }
}

const RIGHT: &str = r#"# A comment.
[files]
"good.pkl" = "]."

[[run]]
args = ["scan", "--quiet", "good.pkl"] # behind the arguments
code = 0
stdout = ""  # nothing
there = ["good.pkl"]

[[run]]
args = ["scan", "--format", "json", "good.pkl"]
code = 0
json = '{"verdict":"clean"}'

[[run]]
args = ["scan", "good.pkl"]
code = 0
stdout-has = ["1 clean"]
"#;

#[test]
fn a_wrong_expectation_is_rewritten_and_only_under_bless() {
    let mut wrong = RIGHT.to_owned();
    for (from, to) in [
        ("code = 0\nstdout = \"\"", "code = 3\nstdout = \"else\\n\""),
        ("[\"good.pkl\"]\n\n", "[\"a\", \"b\"]\n\n"),
        ("{\"verdict\":\"clean\"}", "{\"verdict\": \"dangerous\"}"),
    ] {
        assert!(wrong.contains(from), "{from}");
        wrong = wrong.replace(from, to);
    }
    let folder = copy("bless-wrong", &[("one.toml", &wrong)]);
    let read = || fs::read_to_string(folder.join("one.toml")).unwrap();
    let complaints = play_all(&folder, "bless-wrong", false);
    assert!(complaints.len() == 2 && complaints[0].contains("code 0, not 3"), "{complaints:?}");
    assert_eq!(read(), wrong);
    assert_eq!(play_all(&folder, "bless-wrong", true), Vec::<String>::new());
    assert_eq!(read(), RIGHT);
}

#[test]
fn a_partial_expectation_is_never_rewritten() {
    let wrong = RIGHT.replace("1 clean", "2 clean");
    let folder = copy("bless-partial", &[("one.toml", &wrong)]);
    let complaints = play_all(&folder, "bless-partial", true);
    assert!(complaints.len() == 1 && complaints[0].contains("stdout lacks"), "{complaints:?}");
    assert_eq!(fs::read_to_string(folder.join("one.toml")).unwrap(), wrong);
}
