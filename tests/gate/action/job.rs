//! A small runner: does the steps of `action.yml` in order, as GitHub's does, with files in place of its services. It reads that
//! file, so that the test and the release use the same steps, and obeys the commands in the log as GitHub's does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A job with this action as its only step.
pub struct Job {
    /// The values of `${{ ... }}`, without inputs and outputs.
    pub context: BTreeMap<String, String>,
    pub inputs: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    folder: PathBuf,
}

/// How it ended.
#[derive(Debug)]
pub struct Done {
    /// Of the step that failed, or 0.
    pub code: i32,
    /// Its name.
    pub failed: Option<String>,
    pub log: String,
    /// Commands that the runner obeyed.
    pub obeyed: Vec<String>,
    pub summary: String,
    pub outputs: BTreeMap<String, String>,
}

#[derive(Default, Debug)]
struct Step {
    name: String,
    id: String,
    condition: String,
    run: String,
    env: Vec<(String, String)>,
}

pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Job {
    /// In a workspace, for an event.
    pub fn new(workspace: &Path, event: &str) -> Self {
        let folder = workspace.parent().unwrap().join("runner");
        fs::create_dir_all(folder.join("temp")).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let env = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", text(&folder)),
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_ACTION_PATH", text(here())),
            ("GITHUB_API_URL", "http://127.0.0.1:9".to_owned()),
            ("GITHUB_EVENT_NAME", event.to_owned()),
            ("GITHUB_REF", "refs/heads/main".to_owned()),
            ("GITHUB_REPOSITORY", "owner/models".to_owned()),
            ("GITHUB_WORKSPACE", text(workspace)),
            ("RUNNER_TEMP", text(&folder.join("temp"))),
        ];
        let mut job = Self {
            context: BTreeMap::new(),
            inputs: BTreeMap::new(),
            env: env.map(|(name, value)| (name.to_owned(), value)).into(),
            folder,
        };
        job.context.insert("github.token".to_owned(), "s3cret".to_owned());
        job.input("binary", env!("CARGO_BIN_EXE_modelscan"));
        job
    }

    pub fn input(&mut self, name: &str, value: &str) -> &mut Self {
        self.inputs.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs all steps, up to the first that fails.
    pub fn run(&self) -> Done {
        let Action { inputs: defaults, steps, outputs: results } =
            read(&fs::read_to_string(here().join("action.yml")).unwrap());
        for name in self.inputs.keys() {
            assert!(defaults.contains_key(name), "the action has no input {name}");
        }
        let mut known = self.context.clone();
        let inputs = defaults.iter().map(|(name, default)| {
            let value = self.inputs.get(name).cloned().unwrap_or_else(|| expand(default, &known));
            (format!("inputs.{name}"), value)
        });
        known.extend(inputs.collect::<Vec<_>>());
        let mut done = Done {
            code: 0,
            failed: None,
            log: String::new(),
            obeyed: vec![],
            summary: String::new(),
            outputs: BTreeMap::new(),
        };
        for step in &steps {
            if !holds(&step.condition, &known) {
                continue;
            }
            let (code, log, outputs, summary) = self.step(step, &known);
            obey(&log, &mut done.obeyed);
            done.log.push_str(&log);
            done.summary.push_str(&summary);
            known.extend(outputs.into_iter().map(|(name, value)| (format!("steps.{}.outputs.{name}", step.id), value)));
            if code != 0 {
                (done.code, done.failed) = (code, Some(step.name.clone()));
                break;
            }
        }
        done.outputs = results.iter().map(|(name, value)| (name.clone(), expand(value, &known))).collect();
        done
    }

    fn step(&self, step: &Step, known: &BTreeMap<String, String>) -> (i32, String, Vec<(String, String)>, String) {
        let (output, summary) = (self.folder.join("output"), self.folder.join("summary"));
        fs::write(&output, "").unwrap();
        fs::write(&summary, "").unwrap();
        assert!(!step.run.contains("${{"), "text of others in a script");
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", &format!("exec 2>&1\n{}", step.run)]);
        command.current_dir(&self.env["GITHUB_WORKSPACE"]).env_clear().envs(&self.env).stdin(Stdio::null());
        command.envs(step.env.iter().map(|(name, value)| (name, expand(value, known))));
        command.env("GITHUB_OUTPUT", &output).env("GITHUB_STEP_SUMMARY", &summary);
        let ran = command.output().unwrap();
        let log = String::from_utf8_lossy(&ran.stdout).into_owned();
        let summary = fs::read(&summary).unwrap();
        assert!(summary.len() <= 1 << 20, "the runner would drop a summary of {} bytes", summary.len());
        let outputs = outputs(&fs::read_to_string(&output).unwrap());
        (ran.status.code().unwrap_or(-1), log, outputs, String::from_utf8(summary).unwrap())
    }
}

impl Done {
    /// Whether the runner obeyed a command with this text.
    pub fn told(&self, part: &str) -> bool {
        self.obeyed.iter().any(|command| command.contains(part))
    }
}

/// `NAME<<MARK`, lines, `MARK`.
fn outputs(text: &str) -> Vec<(String, String)> {
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let (name, mark) = line.split_once("<<").unwrap();
        assert!(mark.len() >= 32, "a mark that can be guessed");
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != mark).collect();
        found.push((name.to_owned(), value.join("\n")));
    }
    found
}

/// Lines that start with two colons are commands, but for those between `stop-commands` and its token.
fn obey(log: &str, obeyed: &mut Vec<String>) {
    let mut stopped: Option<String> = None;
    for line in log.lines().map(str::trim_start).filter(|line| line.starts_with("::")) {
        match &stopped {
            Some(token) if line == format!("::{token}::") => stopped = None,
            Some(_) => {}
            None => match line.strip_prefix("::stop-commands::") {
                Some(token) => stopped = Some(token.to_owned()),
                None => obeyed.push(line.to_owned()),
            },
        }
    }
    assert_eq!(stopped, None, "the runner listens again at the end of a step");
}

/// The action: inputs with their defaults, steps, and outputs with their values.
struct Action {
    inputs: BTreeMap<String, String>,
    steps: Vec<Step>,
    outputs: Vec<(String, String)>,
}

fn read(text: &str) -> Action {
    let (mut inputs, mut steps, mut outputs) = (BTreeMap::new(), Vec::<Step>::new(), Vec::new());
    let (mut part, mut key) = ("", String::new());
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        let (name, value) = line.trim_start().split_once(':').unwrap_or((line, ""));
        let value = unquoted(value.trim());
        match (indent, part) {
            (0, _) => part = name,
            (2, "inputs" | "outputs") => key = name.to_owned(),
            (4, "inputs") if name == "default" => _ = inputs.insert(key.clone(), value),
            (4, "outputs") if name == "value" => outputs.push((key.clone(), value)),
            (4, "runs") if name == "- name" => steps.push(Step { name: value, ..Step::default() }),
            (6, "runs") => match (name, steps.last_mut().unwrap()) {
                ("id", step) => step.id = value,
                ("if", step) => step.condition = value,
                ("run", step) => step.run = value,
                ("shell", _) => assert_eq!(value, "bash"),
                ("env", _) => {}
                _ => panic!("this runner does not know {name}"),
            },
            (8, "runs") => steps.last_mut().unwrap().env.push((name.to_owned(), value)),
            _ => {}
        }
    }
    assert!(inputs.len() > 10 && steps.len() == 6 && outputs.len() > 8, "action.yml is understood");
    Action { inputs, steps, outputs }
}

fn unquoted(text: &str) -> String {
    let inner = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    inner.unwrap_or(text).to_owned()
}

/// `inputs.x == 'y'` and `inputs.x != 'y'`.
fn holds(condition: &str, known: &BTreeMap<String, String>) -> bool {
    let words: Vec<&str> = condition.split(' ').collect();
    match words.as_slice() {
        [""] => true,
        [name, "==", value] => known[*name] == value.trim_matches('\''),
        [name, "!=", value] => known[*name] != value.trim_matches('\''),
        _ => panic!("this runner does not know {condition:?}"),
    }
}

/// The value of `${{ a || b }}`, or the text itself.
fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let Some(inner) = text.strip_prefix("${{").and_then(|text| text.strip_suffix("}}")) else { return text.to_owned() };
    let values = inner.split("||").map(|name| known.get(name.trim()).cloned().unwrap_or_default());
    values.into_iter().find(|value| !value.is_empty()).unwrap_or_default()
}
