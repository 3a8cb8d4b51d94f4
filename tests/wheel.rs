//! The Python package as a user gets it: the wheel is built, installed into a fresh environment, and its tests run there.
//!
//! `MODELSCAN_PYTHON` names the Python (3.9 or newer) that makes the environment. Where that one has torch, the tests use it;
//! torch alone is more than a gigabyte and does not start without its libraries for GPUs, so none is installed here unless
//! `MODELSCAN_WHEEL_TORCH=1` asks for it. What cannot run says why.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops where it breaks, and says when it cannot run"
)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PACKAGES: [&str; 9] =
    ["numpy", "joblib", "cloudpickle", "scikit-learn", "pandas", "safetensors", "ml-dtypes", "fastapi", "uvicorn"];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", said.lines().last().unwrap_or_default()))
}

/// A fresh environment with everything that the tests use. The reason is why there is none.
fn environment(venv: &Path) -> Result<PathBuf, String> {
    let named = std::env::var_os("MODELSCAN_PYTHON").unwrap_or_else(|| "python3".into());
    run(Command::new(&named).args(["-c", "import sys; assert sys.version_info >= (3, 9), 'it is older than 3.9'"]))?;
    run(Command::new(&named).args(["-m", "venv", "--clear"]).arg(venv))?;
    let python = venv.join("bin/python");
    let pip = || {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location"]);
        pip
    };
    run(pip().arg("maturin>=1.8,<2").args(PACKAGES))?;
    // Small without what they ask for and these tests do not need.
    if let Err(why) = run(pip().args(["--no-deps", "keras", "absl-py", "h5py", "namex", "optree", "rich", "packaging"]))
    {
        eprintln!("without keras: {why}");
    }
    borrow_torch(&named, &python, venv, pip)?;
    Ok(python)
}

/// Lets the environment see the torch of the Python that made it.
fn borrow_torch(named: &OsString, python: &Path, venv: &Path, pip: impl Fn() -> Command) -> Result<(), String> {
    if std::env::var_os("MODELSCAN_WHEEL_TORCH").is_some() {
        return run(pip().arg("torch")).map(drop);
    }
    let find = "import torch, os; print(os.path.dirname(os.path.dirname(torch.__file__)))";
    let Ok(output) = run(Command::new(named).args(["-c", find])) else {
        eprintln!("without torch: {} has none; name one that has with MODELSCAN_PYTHON", named.to_string_lossy());
        return Ok(());
    };
    let folder = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let packages = run(Command::new(python).args(["-c", folder]))?;
    let packages = PathBuf::from(String::from_utf8_lossy(&packages.stdout).trim());
    assert!(packages.starts_with(venv));
    std::fs::write(packages.join("torch_of_another.pth"), output.stdout).map_err(|error| error.to_string())?;
    if let Err(why) = run(pip().arg("transformers")) {
        eprintln!("without transformers: {why}");
    }
    Ok(())
}

#[test]
fn the_wheel_installs_and_its_tests_pass() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheel");
    _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let python = match environment(&folder.join("venv")) {
        Ok(python) => python,
        Err(why) => return eprintln!("skipped: no Python environment: {why}"),
    };
    let wheels = folder.join("wheels");
    let mut build = Command::new(&python);
    build.arg(here().join("python/build.py")).args(["--debug", "--out"]).arg(&wheels);
    // Maturin starts cargo, which must not think that it is part of this build.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        build.env_remove(name);
    }
    let built = build.args(["--command", env!("CARGO_BIN_EXE_modelscan")]).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let wheel = std::fs::read_dir(&wheels).unwrap().next().unwrap().unwrap().path();
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall"]).arg(&wheel))
        .unwrap();
    // Elsewhere than in the sources: what is tested is what was installed.
    let tested = Command::new(&python)
        .args(["-W", "ignore", "-m", "unittest", "discover", "--verbose", "--start-directory"])
        .arg(here().join("python/tests"))
        .current_dir(&folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("MODELSCAN_FIXTURES", here().join("fixtures"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success(), "{said}\n{}", String::from_utf8_lossy(&tested.stdout));
    for line in said.lines().filter(|line| line.contains("... skipped") || line.starts_with("Ran ")) {
        eprintln!("{line}");
    }
    let passed = said.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(passed >= 40, "only {passed} tests ran:\n{said}");
}
