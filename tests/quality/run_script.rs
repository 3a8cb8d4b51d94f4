//! `tests/run.sh` with stubs for cargo and python3: which steps it runs, and how it reports a failed step and a skipped one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The script in a folder of its own, with these programs first on the path.
fn folder(name: &str, programs: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-script-{name}"));
    _ = fs::remove_dir_all(&folder);
    for part in ["bin", "tests"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    for file in ["run.sh", "requirements.txt"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
        fs::copy(from, folder.join("tests").join(file)).unwrap();
    }
    for (program, script) in programs {
        let path = folder.join("bin").join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn run(folder: &Path, require: &str) -> (Option<i32>, String) {
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.arg("tests/run.sh").current_dir(folder).env("PATH", path).env("MODELSCAN_REQUIRE", require);
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Writes a skip as a test does, and fails at clippy where the file `bad` is.
const CARGO: &str = "echo \"cargo $*\"\n\
    [ \"$1\" != test ] || echo 'a::test (needs sandbox): no namespaces' >> \"$MODELSCAN_SKIPS\"\n\
    [ \"$1\" != clippy ] || [ ! -e bad ]";

#[test]
fn all_steps_run_and_skips_are_listed() {
    let folder = folder("good", &[("cargo", CARGO), ("python3", "exit 1")]);
    let (code, printed) = run(&folder, "");
    assert_eq!(code, Some(0), "{printed}");
    for line in [
        "cargo fmt --all --check",
        "cargo clippy --workspace --all-targets -- -D warnings",
        "cargo doc --workspace --no-deps",
        "cargo check --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz",
        "cargo test --workspace --no-fail-fast",
        "a::test (needs sandbox): no namespaces",
        "lint::typos (needs network): the tools of tests/requirements.txt cannot be installed",
    ] {
        assert!(printed.lines().any(|one| one == line), "{line}: {printed}");
    }
    assert!(printed.lines().last().unwrap().starts_with("All checks passed in "), "{printed}");
}

#[test]
fn a_failed_step_is_named_and_does_not_stop_the_others() {
    let folder = folder("bad", &[("cargo", CARGO), ("python3", "exit 1")]);
    fs::write(folder.join("bad"), "").unwrap();
    let (code, printed) = run(&folder, "");
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("cargo test --workspace"), "{printed}");
    let last = printed.lines().last().unwrap();
    assert!(last.starts_with("FAILED in ") && last.ends_with(": clippy;"), "{last}");
}

#[test]
fn a_required_network_makes_missing_tools_a_failure() {
    let folder = folder("network", &[("cargo", CARGO), ("python3", "exit 1")]);
    let (code, printed) = run(&folder, "python,network");
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("FAILED  typos"), "{printed}");
}
