//! `modelscan kserve-init` as an init container runs it: two arguments, started again at any moment, from a folder, a file and
//! an address of a real server on loopback.

use fixtures::server::{Reply, Server, honest};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixture(name: &str) -> Vec<u8> {
    let torch = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/clean/torch/torch215");
    fs::read(torch.join(name)).unwrap()
}

/// An empty folder, with a source in it.
fn fresh(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kserve-{name}"));
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("src/sub")).unwrap();
    let folder = folder.canonicalize().unwrap();
    fs::write(folder.join("src/pytorch_model.bin"), fixture("tied.pt")).unwrap();
    fs::write(folder.join("src/config.json"), "{}").unwrap();
    fs::write(folder.join("src/sub/vocab.txt"), "a b\n").unwrap();
    folder
}

fn init(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelscan"));
    for name in
        ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "MODELSCAN_CA_FILE"]
    {
        command.env_remove(name);
    }
    command.arg("kserve-init").args(args).current_dir(folder).output().unwrap()
}

#[track_caller]
fn assert_code(output: &Output, code: i32, says: &str) {
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{printed}");
    let all = format!("{printed}{}", String::from_utf8_lossy(&output.stdout));
    assert!(all.contains(says), "{all}");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(here) = todo.pop() {
        for entry in fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { todo.push(path) } else { names.push(path) }
        }
    }
    let mut names: Vec<String> =
        names.iter().map(|path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

const FILLED: [&str; 4] = ["config.json", "model.safetensors", "modelscan.lock", "sub/vocab.txt"];

#[test]
fn a_folder_is_cleared_converted_and_put_in_its_place_once() {
    let folder = fresh("once");
    let dest = folder.join("models");
    assert_code(&init(&folder, &["src", "models"]), 0, "models was filled: 3 files");
    assert_eq!(names(&dest), FILLED);
    let check = Command::new(env!("CARGO_BIN_EXE_modelscan")).args(["lock", "--check"]).arg(&dest).status().unwrap();
    assert!(check.success());
    // Started again after the source changed: the server gets the files that were cleared.
    fs::write(folder.join("src/bad.pkl"), "cposix\nsystem\n(S'id'\ntR.").unwrap();
    assert_code(&init(&folder, &["src", "models"]), 0, "models is filled already: 3 files");
    fs::write(dest.join("config.json"), "[]").unwrap();
    assert_code(&init(&folder, &["src", "models"]), 4, "different: config.json");
}

#[test]
fn as_it_is_where_nothing_is_to_be_converted_and_from_every_kind_of_place() {
    let folder = fresh("kinds");
    let source = format!("file://{}", folder.join("src").display());
    assert_code(&init(&folder, &["--no-convert", &source, "a"]), 0, "a was filled");
    assert_eq!(names(&folder.join("a")), ["config.json", "modelscan.lock", "pytorch_model.bin", "sub/vocab.txt"]);
    assert_code(&init(&folder, &["src/pytorch_model.bin", "b"]), 0, "b was filled: 1 files");
    assert_eq!(names(&folder.join("b")), ["model.safetensors", "modelscan.lock"]);
    // Where it would be mounted there is nothing here.
    assert_code(&init(&folder, &["pvc://claim/no/such/folder", "c"]), 2, "/mnt/pvc/no/such/folder");
    assert_code(&init(&folder, &["s3://bucket/model", "c"]), 4, "s3:// is not read here");
    assert_code(&init(&folder, &["nowhere", "c"]), 2, "nowhere");
    assert!(!folder.join("c").exists());
    assert_code(&init(&folder, &["src", "src/inside"]), 4, "lie within each other");
    assert!(!folder.join("src/inside").exists());
    assert_code(&init(&folder, &["src"]), 4, "<DEST>");
}

#[test]
fn what_is_not_admitted_leaves_nothing() {
    let folder = fresh("refused");
    fs::create_dir(folder.join("models")).unwrap();
    fs::write(folder.join("src/bad.pkl"), "cposix\nsystem\n(S'id'\ntR.").unwrap();
    assert_code(&init(&folder, &["src", "models"]), 1, "bad.pkl: dangerous");
    assert_eq!(fs::read_dir(folder.join("models")).unwrap().count(), 0);
    fs::remove_file(folder.join("src/bad.pkl")).unwrap();
    fs::write(folder.join("src/modeling.py"), "import os\n").unwrap();
    assert_code(&init(&folder, &["src", "models"]), 1, "modeling.py: a program");
    assert_code(&init(&folder, &["--allow-programs", "src", "models"]), 0, "4 files");
}

#[test]
fn the_lock_that_comes_with_a_source_is_checked() {
    let folder = fresh("lock");
    assert!(
        Command::new(env!("CARGO_BIN_EXE_modelscan")).arg("lock").arg(folder.join("src")).status().unwrap().success()
    );
    fs::write(folder.join("src/config.json"), "[]").unwrap();
    assert_code(&init(&folder, &["src", "models"]), 1, "different: config.json");
    fs::write(folder.join("src/config.json"), "{}").unwrap();
    assert_code(&init(&folder, &["src", "models"]), 0, "3 files");
    assert_eq!(names(&folder.join("models")), FILLED);
}

#[test]
fn a_killed_start_is_begun_anew_and_what_others_put_there_stays() {
    let folder = fresh("killed");
    let partial = folder.join("models/.modelscan.partial/files");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("half.bin"), "x").unwrap();
    assert_code(&init(&folder, &["src", "models"]), 0, "was filled");
    assert_eq!(names(&folder.join("models")), FILLED);
    fs::create_dir(folder.join("other")).unwrap();
    fs::write(folder.join("other/mine"), "x").unwrap();
    assert_code(&init(&folder, &["src", "other"]), 4, "mine is there");
    assert_eq!(names(&folder.join("other")), ["mine"]);
}

#[test]
fn killed_at_any_moment_it_ends_whole_when_it_is_started_again() {
    let folder = fresh("any-moment");
    let source = folder.join("src");
    for index in 0..40 {
        fs::write(source.join(format!("{index}.json")), "[1]".repeat(200_000)).unwrap();
    }
    let mut unfinished = 0;
    for turn in 0..12 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_modelscan"))
            .args(["kserve-init", "--quiet", "src", "models"])
            .current_dir(&folder)
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(15 * turn));
        child.kill().unwrap();
        child.wait().unwrap();
        // The lock is written last.
        if folder.join("models/modelscan.lock").exists() {
            assert_eq!(names(&folder.join("models")).len(), 44);
        } else {
            unfinished += 1;
        }
    }
    assert!(unfinished > 0, "nothing was ever interrupted");
    assert_code(&init(&folder, &["src", "models"]), 0, "43 files");
    assert_eq!(names(&folder.join("models")).len(), 44);
}

#[test]
fn an_address_is_brought_whole_and_cleared() {
    let folder = fresh("address");
    let clean = fixture("tied.pt");
    let server = Server::start(move |request| match request.target.as_str() {
        "/a/pytorch_model.bin" => honest(&clean, "v1", request),
        "/bad.bin" => honest(b"cposix\nsystem\n(S'id'\ntR.", "v1", request),
        "/cut.bin" => {
            let mut reply = Reply::new(200, &clean[..100]);
            reply.length = Some(clean.len() as u64);
            reply
        }
        _ => Reply::new(404, ""),
    });
    let here = |path: &str, dest: &str| init(&folder, &["--allow-http", "--allow-private", &server.url(path), dest]);
    assert_code(&here("/a/pytorch_model.bin", "a"), 0, "a was filled: 1 files");
    assert_eq!(names(&folder.join("a")), ["model.safetensors", "modelscan.lock"]);
    let local = init(&folder, &["src/pytorch_model.bin", "b"]);
    assert_code(&local, 0, "");
    let bytes = |place: &str| fs::read(folder.join(place).join("model.safetensors")).unwrap();
    assert_eq!(bytes("a"), bytes("b"));
    assert_code(&here("/bad.bin", "c"), 1, "bad.bin: dangerous");
    assert_code(&here("/cut.bin", "c"), 2, "/cut.bin");
    assert_code(&here("/none.bin", "c"), 2, "/none.bin");
    assert_code(&init(&folder, &[&server.url("/a/pytorch_model.bin"), "c"]), 4, "--allow-http");
    assert!(!folder.join("c").exists());
    // A budget that does not suffice.
    let address = server.url("/a/pytorch_model.bin");
    let args = ["--allow-http", "--allow-private", "--limit-remote-bytes", "1000", &address, "c"];
    assert_code(&init(&folder, &args), 2, "bytes");
    assert!(!folder.join("c").exists());
}
