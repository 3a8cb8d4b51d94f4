//! `scan --changed-since`, over real repositories: the files of a change are scanned, and its own configuration does not apply.

use crate::repository::{BAD, GOOD, Printed, Repository, git};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

const SINCE: [&str; 5] = ["scan", "--format", "json", "--changed-since", "main"];
const IGNORE: &[u8] = b"[[ignore]]\npath = \"**\"\nreason = \"mine\"\n";

/// The code, and the files in the report.
fn scan(repository: &Repository, folder: &str, more: &[&str]) -> (Option<i32>, Vec<String>, Printed) {
    let printed = repository.modelscan(folder, &[&SINCE[..], more].concat());
    let report: Value = serde_json::from_str(&printed.out).unwrap_or_else(|_| panic!("no report: {printed:?}"));
    let paths = |list: &str| {
        let list = report[list].as_array().unwrap().iter();
        list.map(|one| one["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut all = paths("artifacts");
    all.extend(paths("errors"));
    all.retain(|path| path != "README");
    (printed.code, all, printed)
}

#[test]
fn only_what_the_change_brings_is_scanned() {
    let here = Repository::new("changes-brings", &[("old/bad.pkl", BAD), ("old/same.pkl", GOOD), ("gone.pkl", GOOD)]);
    here.write("new/good.pkl", GOOD);
    fs::remove_file(here.dir.join("gone.pkl")).unwrap();
    here.commit();
    let (code, paths, _) = scan(&here, "", &[]);
    assert_eq!((code, paths), (Some(0), vec!["new/good.pkl".to_owned()]));
    // What main did meanwhile is not the change's.
    here.git(&["checkout", "--quiet", "main"]);
    here.write("later.pkl", BAD);
    here.commit();
    here.git(&["checkout", "--quiet", "change"]);
    assert_eq!(scan(&here, "", &[]).0, Some(0));
    // A file that moves is looked at again; so is one that changes.
    here.git(&["mv", "old/bad.pkl", "new/moved.pkl"]);
    here.write("old/same.pkl", b"(lp0\n.");
    here.commit();
    let (code, paths, _) = scan(&here, "", &[]);
    assert_eq!((code, paths), (Some(1), ["new/good.pkl", "new/moved.pkl", "old/same.pkl"].map(str::to_owned).to_vec()));
    let (code, paths, _) = scan(&here, "old", &["."]);
    assert_eq!((code, paths), (Some(0), vec!["same.pkl".to_owned()]));
    let (code, paths, _) = scan(&here, "old", &["../new/moved.pkl"]);
    assert_eq!((code, paths), (Some(1), vec!["../new/moved.pkl".to_owned()]));
}

#[test]
fn a_change_without_models_passes_and_says_so() {
    let here = Repository::new("changes-nothing", &[("bad.pkl", BAD)]);
    let nothing = here.modelscan("", &["scan", "--changed-since", "main"]);
    assert_eq!(
        (nothing.code, nothing.out.lines().next()),
        (Some(0), Some("nothing of a known format has changed since main"))
    );
    here.write("notes.txt", b"words");
    here.commit();
    let text = here.modelscan("", &["scan", "--changed-since", "main", "--format", "markdown"]);
    assert_eq!(text.code, Some(0));
    assert!(text.out.contains("Nothing of a known format has changed since `main`."), "{}", text.out);
    // Without a change to judge, nothing that is known is code 3 as ever.
    assert_eq!(here.modelscan("", &["scan", "notes.txt"]).code, Some(3));
}

#[test]
fn the_working_tree_counts_and_its_times_do_not() {
    let here = Repository::new("changes-working", &[("a.pkl", GOOD), ("b.pkl", GOOD), (".gitignore", b"cache/\n")]);
    here.write("a.pkl", GOOD);
    let touched = fs::File::options().append(true).open(here.dir.join("b.pkl")).unwrap();
    touched.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(scan(&here, "", &[]).1, Vec::<String>::new());
    here.write("a.pkl", BAD);
    here.write("staged.pkl", GOOD);
    here.git(&["add", "staged.pkl"]);
    here.write("untracked.pkl", GOOD);
    here.write("cache/ignored.pkl", BAD);
    let (code, paths, _) = scan(&here, "", &[]);
    assert_eq!((code, paths), (Some(1), ["a.pkl", "staged.pkl", "untracked.pkl"].map(str::to_owned).to_vec()));
    // In HEAD and not on disk: it cannot be looked at, and comes all the same.
    here.git(&["checkout", "--quiet", "a.pkl"]);
    here.commit();
    fs::remove_file(here.dir.join("staged.pkl")).unwrap();
    let (code, paths, _) = scan(&here, "", &[]);
    assert_eq!((code, paths.contains(&"staged.pkl".to_owned())), (Some(2), true));
}

#[test]
fn a_change_does_not_decide_about_itself() {
    let here = Repository::new("changes-decides", &[("known.pkl", BAD)]);
    assert_eq!(here.modelscan("", &["baseline", "create", "-o", "known.json", "bad.pkl"]).code, Some(2));
    here.write("bad.pkl", BAD);
    assert_eq!(here.modelscan("", &["baseline", "create", "--force", "-o", "known.json", "bad.pkl"]).code, Some(0));
    here.write("modelscan.toml", IGNORE);
    here.commit();
    let (code, _, printed) = scan(&here, "", &[]);
    assert_eq!(code, Some(1));
    assert!(
        printed.err.contains("modelscan.toml is touched by this change: what holds is what main says"),
        "{}",
        printed.err
    );
    for named in
        [["--baseline", "known.json"], ["--config", "modelscan.toml"], ["--config", "../repository/modelscan.toml"]]
    {
        let printed = here.modelscan("", &[&SINCE[..], &named].concat());
        assert_eq!((printed.code, printed.out.as_str()), (Some(4), ""), "{named:?}");
        assert!(printed.err.contains("at main: there is no such file"), "{}", printed.err);
    }
    // A way in from outside leads to the same file.
    let outside = here.dir.parent().unwrap();
    symlink("repository/modelscan.toml", outside.join("way.toml")).unwrap();
    assert_eq!(here.modelscan("", &[&SINCE[..], &["--config", "../way.toml"]].concat()).code, Some(4));
    // Files outside are not part of the change.
    fs::write(outside.join("mine.toml"), IGNORE).unwrap();
    assert_eq!(scan(&here, "", &["--config", "../mine.toml"]).0, Some(0));
}

#[test]
fn what_the_target_has_decided_holds() {
    let bad = here_with_baseline();
    let here =
        Repository::new("changes-target", &[("modelscan.toml", b"fail-on = \"critical\"\n"), ("known.json", &bad)]);
    here.git(&["checkout", "--quiet", "main"]);
    here.write("modelscan.toml", IGNORE);
    let link = here.dir.join("link.toml");
    symlink("modelscan.toml", &link).unwrap();
    here.commit();
    here.git(&["checkout", "--quiet", "change"]);
    here.git(&["rm", "--quiet", "modelscan.toml", "known.json"]);
    here.write("bad.pkl", BAD);
    here.write("models/x", b"x");
    here.commit();
    // That of the tip, not of the merge base; deleting it helps as little as changing it.
    assert_eq!(scan(&here, "", &[]).0, Some(0));
    assert_eq!(scan(&here, "models", &[".."]).0, Some(0));
    assert_eq!(scan(&here, "", &["--isolated"]).0, Some(1));
    assert_eq!(scan(&here, "", &["--isolated", "--baseline", "known.json"]).0, Some(0));
    let printed = here.modelscan("", &[&SINCE[..], &["--config", "link.toml"]].concat());
    assert_eq!(printed.code, Some(4));
    assert!(printed.err.contains("link.toml at main: it is a link"), "{}", printed.err);
}

/// A baseline that knows `bad.pkl`.
fn here_with_baseline() -> Vec<u8> {
    let here = Repository::new("changes-baseline", &[("bad.pkl", BAD)]);
    assert_eq!(here.modelscan("", &["baseline", "create", "-o", "known.json", "bad.pkl"]).code, Some(0));
    fs::read(here.dir.join("known.json")).unwrap()
}

#[test]
fn hostile_names_are_files_like_any_other() {
    let here = Repository::new("changes-names", &[]);
    let names: [&[u8]; 8] = [
        b"-x.pkl",
        b"a\n::error::b.pkl",
        b"\xff\xfe.pkl",
        b":(glob)*.pkl",
        b"a\tb\"c.pkl",
        b"--output=json=z.pkl",
        b" .pkl",
        b"sub\\dir/\x1b[31m.pkl",
    ];
    for name in names {
        here.write(OsStr::from_bytes(name), BAD);
    }
    here.commit();
    let (code, paths, printed) = scan(&here, "", &[]);
    assert_eq!((code, paths.len()), (Some(1), names.len()), "{paths:?}");
    let report: Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!(report["summary"]["dangerous"], names.len());
    let (code, paths, _) = scan(&here, "", &["./-x.pkl"]);
    assert_eq!((code, paths), (Some(1), vec!["-x.pkl".to_owned()]));
}

#[test]
fn links_are_not_followed_out_and_submodules_not_in() {
    let here = Repository::new("changes-links", &[("real/good.pkl", GOOD), ("models/a.pkl", GOOD)]);
    let outside = here.dir.parent().unwrap().join("outside.pkl");
    fs::write(&outside, GOOD).unwrap();
    symlink(&outside, here.dir.join("out.pkl")).unwrap();
    let (code, paths, printed) = scan(&here, "", &[]);
    assert_eq!((code, paths), (Some(1), vec!["out.pkl".to_owned()]));
    assert!(
        printed.out.contains("external-reference") && printed.out.contains("leaves the repository"),
        "{}",
        printed.out
    );
    fs::remove_file(here.dir.join("out.pkl")).unwrap();
    symlink("real/good.pkl", here.dir.join("in.pkl")).unwrap();
    symlink("real", here.dir.join("folder")).unwrap();
    here.commit();
    let (code, paths, _) = scan(&here, "", &[]);
    assert_eq!((code, paths), (Some(0), vec!["in.pkl".to_owned()]));
    // A link in place of the folder that is named.
    fs::remove_dir_all(here.dir.join("models")).unwrap();
    symlink(outside.parent().unwrap(), here.dir.join("models")).unwrap();
    here.commit();
    let (code, paths, _) = scan(&here, "", &["models"]);
    assert_eq!((code, paths), (Some(1), vec!["models".to_owned()]));
    // Into the repository's own folder.
    symlink(".git/config", here.dir.join("own.pkl")).unwrap();
    assert!(scan(&here, "", &["own.pkl"]).2.out.contains("leaves the repository"));
    let other = Repository::new("changes-submodule", &[("bad.pkl", BAD)]);
    here.git(&["submodule", "--quiet", "add", other.dir.to_str().unwrap(), "sub"]);
    here.git(&["commit", "--quiet", "--message", "sub"]);
    let (code, paths, printed) = scan(&here, "", &["sub"]);
    assert_eq!((code, paths.len()), (Some(0), 0), "{printed:?}");
    assert!(printed.err.contains("sub is a repository of its own"), "{}", printed.err);
}

#[test]
fn a_change_of_attributes_changes_every_file() {
    let here = Repository::new("changes-attributes", &[("a.pkl", GOOD), ("b/c.pkl", BAD)]);
    here.write("b/.gitattributes", b"*.pkl ident\n");
    here.commit();
    let (code, paths, printed) = scan(&here, "", &[]);
    assert_eq!(code, Some(1));
    assert!(paths.contains(&"a.pkl".to_owned()) && paths.contains(&"b/c.pkl".to_owned()), "{paths:?}");
    assert!(printed.err.contains("all files count as changed"), "{}", printed.err);
    assert_eq!(scan(&here, "", &["a.pkl"]).0, Some(0));
}

#[test]
fn nothing_of_the_repository_or_the_environment_runs_or_redirects() {
    let here = Repository::new("changes-safe", &[("a.pkl", GOOD), (".gitattributes", b"* filter=evil diff=evil\n")]);
    let canary = here.dir.parent().unwrap().join("canary");
    let evil = here.dir.parent().unwrap().join("evil");
    fs::write(&evil, format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", canary.display())).unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let evil = evil.to_str().unwrap();
    here.write("a.pkl", BAD);
    here.commit();
    here.write("a.pkl", b"(lp0\n.");
    let hooks = here.dir.parent().unwrap().join("hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in ["post-index-change", "reference-transaction", "fsmonitor-watchman"] {
        fs::copy(evil, hooks.join(hook)).unwrap();
    }
    for (key, value) in [
        ("core.fsmonitor", evil),
        ("core.pager", evil),
        ("pager.diff", evil),
        ("diff.external", evil),
        ("diff.evil.textconv", evil),
        ("diff.evil.command", evil),
        ("filter.evil.clean", evil),
        ("filter.evil.process", evil),
        ("filter.evil.smudge", evil),
        ("filter.evil.required", "true"),
        ("core.hooksPath", hooks.to_str().unwrap()),
        ("core.sshCommand", evil),
        ("credential.helper", evil),
    ] {
        here.git(&["config", key, value]);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelscan"));
    command.args(SINCE).current_dir(&here.dir).stdin(Stdio::null());
    let elsewhere = here.dir.parent().unwrap();
    for (name, value) in [
        ("GIT_DIR", elsewhere.to_str().unwrap()),
        ("GIT_WORK_TREE", "/"),
        ("GIT_INDEX_FILE", "/nonexistent"),
        ("GIT_EXTERNAL_DIFF", evil),
        ("GIT_PAGER", evil),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "core.fsmonitor"),
        ("GIT_CONFIG_VALUE_0", evil),
        ("GIT_OBJECT_DIRECTORY", "/nonexistent"),
    ] {
        command.env(name, value);
    }
    let printed = Printed::of(&mut command);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.out.contains("a.pkl"), "{}", printed.out);
    assert!(!canary.exists(), "{}", fs::read_to_string(&canary).unwrap());
    // The canary is one: git alone would have woken it.
    _ = git(&here.dir).args(["status"]).output().unwrap();
    assert!(canary.exists());
}

#[test]
fn what_cannot_be_known_is_an_error_that_says_why() {
    let here = Repository::new("changes-errors", &[("a.pkl", GOOD)]);
    here.write("b.pkl", GOOD);
    here.commit();
    let stops = |args: &[&str], why: &str| {
        let printed = here.modelscan("", &[&["scan"], args].concat());
        assert_eq!((printed.code, printed.out.as_str()), (Some(4), ""), "{args:?}");
        assert!(printed.err.contains(why), "{args:?}: {}", printed.err);
    };
    stops(&["--changed-since", "none"], "there is no commit \"none\" here");
    stops(&["--changed-since", "--all"], "\"--all\" is no name of a commit");
    stops(&["--changed-since", "-x", "a.pkl"], "\"-x\" is no name of a commit");
    stops(&["--changed-since", ""], "is no name of a commit");
    stops(&["--changed-since", "main", "modles"], "modles: no such file or folder");
    stops(&["--changed-since", "main", ".."], "is outside of the repository");
    stops(&["--changed-since", "main", "--output", "json=b.pkl"], "b.pkl is read by this scan");
    here.git(&["checkout", "--quiet", "--orphan", "other"]);
    here.commit();
    stops(&["--changed-since", "main"], "main and HEAD have no history in common");
    here.git(&["checkout", "--quiet", "change"]);
    here.commit();
    // A clone that is too shallow.
    let shallow = here.dir.parent().unwrap().join("shallow");
    let url = format!("file://{}", here.dir.display());
    let shallow_args = ["clone", "--quiet", "--depth=1", "--no-single-branch", &url, shallow.to_str().unwrap()];
    here.git(&shallow_args);
    let there = Repository { dir: shallow };
    for since in ["origin/main", "origin/main~1"] {
        let printed = there.modelscan("", &["scan", "--changed-since", since]);
        assert_eq!(printed.code, Some(4));
        assert!(printed.err.contains("fetch-depth: 0"), "{}", printed.err);
    }
    let outside = Repository { dir: "/".into() };
    let printed = outside.modelscan("", &["scan", "--changed-since", "main"]);
    assert_eq!(printed.code, Some(4));
    assert!(printed.err.contains("not a git repository"), "{}", printed.err);
    let mut without = Command::new(env!("CARGO_BIN_EXE_modelscan"));
    let printed = Printed::of(without.args(SINCE).current_dir(&here.dir).env_clear().env("PATH", "/nonexistent"));
    assert_eq!(printed.code, Some(4));
    assert!(printed.err.contains("git is needed"), "{}", printed.err);
}

#[test]
fn all_merge_bases_count() {
    // main and change have merged each other's first commits: two merge bases, and b.pkl is new to one of them.
    let here = Repository::new("changes-criss-cross", &[]);
    here.write("a.pkl", GOOD);
    let ours = here.commit();
    here.git(&["checkout", "--quiet", "main"]);
    here.write("b.pkl", GOOD);
    let theirs = here.commit();
    here.git(&["merge", "--quiet", "--no-edit", &ours]);
    here.git(&["checkout", "--quiet", "change"]);
    here.git(&["merge", "--quiet", "--no-edit", &theirs]);
    assert_eq!(here.git(&["merge-base", "--all", "main", "change"]).lines().count(), 2);
    assert_eq!(scan(&here, "", &[]).1, ["a.pkl", "b.pkl"]);
}

/// The pointer of Git LFS for these bytes, and where the repository keeps them.
fn lfs(bytes: &[u8]) -> (String, String) {
    use sha2::{Digest, Sha256};
    let oid: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {}\n", bytes.len());
    (pointer, format!(".git/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4]))
}

#[test]
fn a_pointer_is_judged_by_its_object() {
    let (old, old_place) = lfs(b"(lp0\n.");
    let here = Repository::new("changes-lfs", &[("old.pkl", old.as_bytes())]);
    let (bad, bad_place) = lfs(BAD);
    here.write("bad.pkl", bad.as_bytes());
    here.commit();
    // Nothing is known about a model of which only the pointer is there.
    let (code, paths, printed) = scan(&here, "", &[]);
    assert_eq!((code, paths), (Some(2), vec!["bad.pkl".to_owned()]), "{printed:?}");
    here.write(&bad_place, BAD);
    let (code, _, printed) = scan(&here, "", &[]);
    assert_eq!(code, Some(1), "{printed:?}");
    assert!(printed.out.contains("echo loaded"), "{}", printed.out);
    // The object on disk in place of its pointer is not a change; another object is.
    here.write(&old_place, b"(lp0\n.");
    here.write("old.pkl", b"(lp0\n.");
    let (_, paths, _) = scan(&here, "", &["old.pkl"]);
    assert_eq!(paths, Vec::<String>::new());
    here.write("old.pkl", b"(lp1\n.");
    let (_, paths, _) = scan(&here, "", &["old.pkl"]);
    assert_eq!(paths, ["old.pkl"]);
}
