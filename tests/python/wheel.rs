//! The Python package as a user gets it: the wheel is built, installed into a fresh environment, and its tests run there.
//!
//! `MODELSCAN_PYTHON` names the Python (3.9 or newer) that makes the environment. Where that one has torch, the tests use it;
//! torch alone is more than a gigabyte and does not start without its libraries for GPUs, so none is installed here unless
//! `MODELSCAN_WHEEL_TORCH=1` asks for it. A test that cannot run is skipped with its reason.

use fixtures::venv::{self, Missing, pip, run, venv};
use fixtures::{Need, skip};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [&str; 9] =
    ["numpy", "joblib", "cloudpickle", "scikit-learn", "pandas", "safetensors", "ml-dtypes", "fastapi", "uvicorn"];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A fresh environment with everything that the tests use.
fn environment(folder: &Path) -> Result<PathBuf, Missing> {
    let named = venv::python();
    let old = |why| Missing { need: Need::Python, why };
    let new_enough = "import sys; assert sys.version_info >= (3, 9), 'older than 3.9'";
    run(Command::new(&named).args(["-c", new_enough])).map_err(old)?;
    _ = std::fs::remove_dir_all(folder);
    let bin = venv(folder, &named, &[&["maturin>=1.8,<2"], &PACKAGES[..]].concat())?;
    // Small without those of their dependencies that these tests do not use.
    let keras = ["--no-deps", "keras", "absl-py", "h5py", "namex", "optree", "rich", "packaging"];
    if let Err(why) = run(pip(&bin).args(keras)) {
        skip(Need::Network, format!("keras: {why}"));
    }
    borrow_torch(&named, &bin, folder)?;
    Ok(bin.join("python"))
}

/// Adds the torch of the Python that made the environment.
fn borrow_torch(named: &OsString, bin: &Path, folder: &Path) -> Result<(), Missing> {
    let missing = |need| move |why| Missing { need, why };
    if std::env::var_os("MODELSCAN_WHEEL_TORCH").is_some() {
        return run(pip(bin).arg("torch")).map(drop).map_err(missing(Need::Network));
    }
    let find = "import torch, os; print(os.path.dirname(os.path.dirname(torch.__file__)))";
    let Ok(output) = run(Command::new(named).args(["-c", find])) else {
        skip(Need::Torch, format!("{} has no torch; name one that has with MODELSCAN_PYTHON", named.to_string_lossy()));
        return Ok(());
    };
    let purelib = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let packages = run(Command::new(bin.join("python")).args(["-c", purelib])).map_err(missing(Need::Python))?;
    let packages = PathBuf::from(String::from_utf8_lossy(&packages.stdout).trim());
    assert!(packages.starts_with(folder));
    std::fs::write(packages.join("torch_of_another.pth"), output.stdout).unwrap();
    if let Err(why) = run(pip(bin).arg("transformers")) {
        skip(Need::Network, format!("transformers: {why}"));
    }
    Ok(())
}

/// What a test of the package needs, by the reason that unittest gives for its skip.
fn need(reason: &str) -> Need {
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    match reason {
        // Without torch, keras asks for jax.
        _ if has(&["torch", "transformers", "jax"]) => Need::Torch,
        _ if has(&["needs Linux"]) => Need::Machine,
        _ if has(&["sandbox"]) => Need::Sandbox,
        _ => Need::Python,
    }
}

/// The skips in what unittest prints with `--verbose`: `test_a (test_b.C.test_a) ... skipped 'reason'`.
fn skips(printed: &str) -> Vec<(&str, &str)> {
    let lines = printed.lines().filter_map(|line| line.split_once(" ... skipped "));
    lines.map(|(test, reason)| (test, unquoted(reason))).collect()
}

/// Without the quotes that Python prints around a text.
fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('\'').or_else(|| inner('"')).unwrap_or(text)
}

#[test]
fn skips_of_unittest_are_read() {
    let printed = "test_a (test_b.C.test_a) ... ok\ntest_d (test_b.C.test_d) ... skipped \"torch is not there: No module named 'torch'\"\n";
    let found = skips(printed);
    assert_eq!(found, [("test_d (test_b.C.test_d)", "torch is not there: No module named 'torch'")]);
    assert_eq!(need(found[0].1), Need::Torch);
    assert_eq!(need("no sandbox on this host: no namespaces"), Need::Sandbox);
    assert_eq!(need("h5py is not there: No module named 'h5py'"), Need::Python);
}

#[test]
fn the_wheel_installs_and_its_tests_pass() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheel");
    _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let python = match environment(&folder.join("venv")) {
        Ok(python) => python,
        Err(missing) => return missing.skip(),
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
    // Not in the sources, so that the installed package is tested.
    let tested = Command::new(&python)
        .args(["-W", "ignore", "-m", "unittest", "discover", "--verbose", "--start-directory"])
        .arg(here().join("python/tests"))
        .current_dir(&folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("MODELSCAN_FIXTURES", here().join("fixtures"))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success(), "{printed}\n{}", String::from_utf8_lossy(&tested.stdout));
    for (test, reason) in skips(&printed) {
        skip(need(reason), format!("{test}: {reason}"));
    }
    let passed = printed.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(passed >= 40, "only {passed} tests ran:\n{printed}");
}
