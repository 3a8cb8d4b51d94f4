//! A size or a time means the same in every option and file: `--limit-*`, `[limits]` in modelscan.toml, the options of `run` and profiles.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Times, each with what `run --explain` prints for it.
const TIMES: &[(&str, &str)] = &[
    ("30", "30s"),
    ("30s", "30s"),
    ("30 S", "30s"),
    ("0.25", "250ms"),
    ("500ms", "500ms"),
    ("1_000ms", "1s"),
    ("1.5s", "1500ms"),
    ("2m", "120s"),
    ("5min", "300s"),
    ("1.5h", "5400s"),
];
const NO_TIMES: &[&str] = &["soon", "s", "1d", "-5", "5 parsecs", "1h 30m", "99999999999999999999h"];

/// Sizes, each with what `run --explain` prints for it.
const SIZES: &[(&str, &str)] = &[
    ("67108864", "64MiB"),
    ("64MiB", "64MiB"),
    ("64m", "64MiB"),
    ("64 M", "64MiB"),
    ("1.5G", "1536MiB"),
    (".5GiB", "512MiB"),
    ("10_000_000", "10000000B"),
    ("10MB", "10000000B"),
    ("1TB", "976562500KiB"),
    ("1T", "1024GiB"),
];
const NO_SIZES: &[&str] = &["lots", "M", "-1", "1.5", "12 parsecs", "1e3", "99999999999T"];

/// Standard output and standard error of the command, run in a folder.
fn modelscan(folder: &Path, args: &[&str]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_modelscan")).args(args).current_dir(folder).output();
    let output = output.expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Whether a scan takes the value as an option, and as a string in modelscan.toml.
fn scan_accepts(folder: &Path, name: &str, value: &str) -> [bool; 2] {
    let refused = |args: &[&str]| modelscan(folder, args).1.contains("is not a");
    let option = !refused(&["scan", "--isolated", &format!("--limit-{name}={value}"), "a.pkl"]);
    fs::write(folder.join("limits.toml"), format!("[limits]\n{name} = {value:?}\n")).expect("a file can be written");
    [option, !refused(&["scan", "--config", "limits.toml", "a.pkl"])]
}

/// Whether a run takes the value as an option, and what the profile with that value says.
fn run_accepts(folder: &Path, name: &str, value: &str) -> (bool, Option<String>) {
    // The missing input refuses the run after its options were read.
    let (_, error) = modelscan(folder, &["run", &format!("--{name}={value}"), "--ro", "/no/such", "--", "true"]);
    let option = !error.contains("is not a");
    let profile = format!("name = \"p\"\nabout = \"a test\"\n[limits]\n{name} = {value:?}\n");
    fs::write(folder.join("profile.toml"), profile).expect("a file can be written");
    let (explained, error) = modelscan(folder, &["run", "--explain", "profile.toml"]);
    (option, (!error.contains("is not a")).then_some(explained))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("a.pkl"), b"\x80\x02N.").expect("a file can be written");
    folder
}

#[test]
fn times_mean_the_same_everywhere() {
    let folder = folder();
    for (text, shown) in TIMES {
        assert_eq!(scan_accepts(folder.path(), "time", text), [true; 2], "{text}");
        let (option, explained) = run_accepts(folder.path(), "timeout", text);
        assert!(option, "{text}");
        let explained = explained.unwrap_or_default();
        assert!(explained.contains(&format!("  {shown} of time,")), "{text}: {explained}");
    }
    for text in NO_TIMES {
        assert_eq!(scan_accepts(folder.path(), "time", text), [false; 2], "{text}");
        assert_eq!(run_accepts(folder.path(), "timeout", text), (false, None), "{text}");
    }
}

#[test]
fn sizes_mean_the_same_everywhere() {
    let folder = folder();
    for (text, shown) in SIZES {
        assert_eq!(scan_accepts(folder.path(), "unpacked-bytes", text), [true; 2], "{text}");
        let (option, explained) = run_accepts(folder.path(), "memory", text);
        assert!(option, "{text}");
        let explained = explained.unwrap_or_default();
        assert!(explained.contains(&format!("  memory {shown},")), "{text}: {explained}");
    }
    for text in NO_SIZES {
        assert_eq!(scan_accepts(folder.path(), "unpacked-bytes", text), [false; 2], "{text}");
        assert_eq!(run_accepts(folder.path(), "memory", text), (false, None), "{text}");
    }
}

#[test]
fn numbers_in_files_need_no_quotes() {
    let folder = folder();
    let limits = "[limits]\ntime = 30\nunpacked-bytes = 1_000_000\ndepth = 3\n";
    fs::write(folder.path().join("limits.toml"), limits).expect("a file can be written");
    let (_, error) = modelscan(folder.path(), &["scan", "--config", "limits.toml", "a.pkl"]);
    assert!(!error.contains("limits"), "{error}");
    let profile = "name = \"p\"\nabout = \"a test\"\n[limits]\ntimeout = 0.5\nmemory = 67108864\n";
    fs::write(folder.path().join("profile.toml"), profile).expect("a file can be written");
    let (explained, _) = modelscan(folder.path(), &["run", "--explain", "profile.toml"]);
    assert!(explained.contains("memory 64MiB,") && explained.contains("500ms of time"), "{explained}");
}
