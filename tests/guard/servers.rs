//! `modelscan guard` with real servers, which are shells that take orders: the files that they see, the files that they never see,
//! and that no copy is left behind. Tests of the mount namespace are skipped where there is none.

use fixtures::{Need, skip};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

const CLEAN: &[u8] = b"(lp0\nI1\naI2\na.";
const UNPROVEN: &[u8] = b"cfoo.bar\nBaz\n(S'x'\ntR.";

/// A folder of models and one for copies.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guard-{name}"));
        _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("models")).unwrap();
        fs::create_dir_all(folder.join("store")).unwrap();
        let place = Self { folder: folder.canonicalize().unwrap() };
        place.write("a.pkl", CLEAN);
        place
    }

    fn models(&self) -> PathBuf {
        self.folder.join("models")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.models().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A pickle that makes a file when it is loaded.
    fn payload(&self) -> Vec<u8> {
        let canary = self.folder.join("canary");
        format!("cposix\nsystem\n(S'touch {}'\ntR.", canary.display()).into_bytes()
    }

    fn guard<I: AsRef<OsStr>>(&self, options: &[&str], server: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelscan"));
        command.arg("guard").args(options).arg("--store").arg(self.folder.join("store")).arg(self.models()).arg("--");
        command.args(server).current_dir(&self.folder);
        command
    }

    fn run(&self, options: &[&str], server: &[&str]) -> Output {
        self.guard(options, server).output().unwrap()
    }

    /// Whether nothing is left of copies.
    fn is_tidy(&self) -> bool {
        fs::read_dir(self.folder.join("store")).unwrap().next().is_none()
    }
}

/// A server that runs the lines of its input.
struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { child, out };
        assert_eq!(server.line(), "ready");
        server
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn tell(&mut self, what: &str) {
        writeln!(self.child.stdin.as_ref().unwrap(), "{what}").unwrap();
    }

    /// All that it says from now on, after its last order.
    fn rest(&mut self) -> Vec<u8> {
        drop(self.child.stdin.take());
        let mut rest = Vec::new();
        self.out.read_to_end(&mut rest).unwrap();
        rest
    }
}

const WAITING: [&str; 3] = ["sh", "-c", "echo ready; while read -r line; do eval \"$line\"; done"];

/// Asked once: the tests that ask run at the same time, in one folder.
fn has_view() -> bool {
    static WITHOUT: OnceLock<Option<String>> = OnceLock::new();
    let without = WITHOUT.get_or_init(|| {
        let place = Place::new("probe");
        let probe = place.run(&[], &["true"]);
        if probe.status.code() == Some(125) {
            return Some(String::from_utf8_lossy(&probe.stderr).lines().next().unwrap_or_default().to_owned());
        }
        assert_eq!(probe.status.code(), Some(0), "{}", String::from_utf8_lossy(&probe.stderr));
        None
    });
    without.iter().for_each(|why| skip(Need::Sandbox, why));
    without.is_none()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_server_finds_a_copy_that_it_cannot_write_at_the_same_path() {
    if !has_view() {
        return;
    }
    let place = Place::new("same-path");
    place.write("sub/config.json", b"{}");
    let models = place.models();
    let script = format!(
        "test \"$MODELSCAN_DIR\" = \"$1\" && cd {0} && find . -type f | sort && cat a.pkl && \
         ! touch new 2>/dev/null && ! rm a.pkl 2>/dev/null && ! sh -c 'echo x > a.pkl' 2>/dev/null && exit 7",
        models.display()
    );
    for store in [None, Some("memory")] {
        let mut command = match store {
            None => place.guard(&["--quiet"], ["sh", "-c", &script, "sh", "{}"]),
            Some(memory) => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_modelscan"));
                command.args(["guard", "--quiet", "--store", memory]).arg(&models);
                command.args(["--", "sh", "-c", &script, "sh", "{}"]);
                command
            }
        };
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
        let expected = [b"./a.pkl\n./sub/config.json\n", CLEAN].concat();
        assert_eq!(String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&expected));
        assert_eq!(stderr(&output), "");
        assert!(place.is_tidy());
    }
    assert_eq!(fs::read(models.join("a.pkl")).unwrap(), CLEAN);
}

#[test]
fn what_changes_after_the_start_is_not_seen() {
    if !has_view() {
        return;
    }
    let place = Place::new("after");
    let mut server = Server::start(place.guard(&[], WAITING));
    // Nothing has a name outside of the server's view, even while it runs.
    assert!(fs::read_dir(place.folder.join("store")).unwrap().next().is_none());
    place.write("a.pkl", &place.payload());
    place.write("new.pkl", &place.payload());
    fs::remove_file(place.models().join("a.pkl")).unwrap();
    place.write("a.pkl", &place.payload());
    server.tell(&format!("ls {0}; cat {0}/a.pkl", place.models().display()));
    assert_eq!(server.rest(), [b"a.pkl\n", CLEAN].concat());
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn whoever_writes_while_it_starts_gets_nothing_in() {
    let place = Place::new("race");
    let (payload, done) = (place.payload(), AtomicBool::new(false));
    let path = place.models().join("a.pkl");
    let beside = place.folder.join("beside");
    let (mut started, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0u64.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let bytes = if turn % 2 == 0 { &payload[..] } else { CLEAN };
                if turn % 4 < 2 {
                    fs::write(&beside, bytes).unwrap();
                    fs::rename(&beside, &path).unwrap();
                } else {
                    fs::write(&path, bytes).unwrap();
                }
                std::thread::sleep(std::time::Duration::from_micros(turn * 37 % 900));
            }
        });
        for _ in 0..60 {
            let output = place.run(&["--view", "folder"], &["sh", "-c", "cat \"$1\"/a.pkl", "sh", "{}"]);
            match output.status.code() {
                Some(0) => started += 1,
                Some(1 | 2) => refused += 1,
                other => unreachable!("{other:?}: {}", stderr(&output)),
            }
            let seen = String::from_utf8_lossy(&output.stdout);
            assert!(!seen.contains("system"), "{seen}");
        }
        done.store(true, Ordering::Relaxed);
    });
    eprintln!("started {started} times, refused {refused} times");
    assert!(refused > 0, "nobody wrote while it started");
    assert!(place.is_tidy());
}

#[test]
fn what_is_dangerous_starts_nothing() {
    let place = Place::new("dangerous");
    place.write("sub/b.pkl", &place.payload());
    let hash = "0".repeat(64);
    let all = ["--view", "folder", "--allow-unproven", "--allow-programs", "--allow-sha256", &hash];
    for options in [&all[..2], &all[..]] {
        let output = place.run(options, &["touch", "started"]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("error: sub/b.pkl: dangerous; unsafe-callable"), "{}", stderr(&output));
        assert!(output.stdout.is_empty() && place.is_tidy());
        assert!(!place.folder.join("started").exists() && !place.folder.join("canary").exists());
    }
}

#[test]
fn what_is_not_clean_is_admitted_by_name_only() {
    let place = Place::new("unproven");
    let code = |options: &[&str]| {
        let output = place.run(&[&["--view", "folder"], options].concat(), &["true"]);
        (output.status.code().unwrap(), stderr(&output))
    };
    place.write("b.pkl", UNPROVEN);
    let (refused, why) = code(&[]);
    assert_eq!(refused, 1, "{why}");
    let hash = why.split("--allow-sha256 ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(code(&["--allow-sha256", &hash]).0, 0);
    assert_eq!(code(&["--allow-sha256", &"0".repeat(64)]).0, 1);
    assert_eq!(code(&["--allow-sha256", "x"]).0, 4);
    assert_eq!(code(&["--allow-unproven"]).0, 0);
    fs::remove_file(place.models().join("b.pkl")).unwrap();
    place.write("modeling.py", b"import os\n");
    assert_eq!((code(&[]).0, code(&["--allow-unproven"]).0, code(&["--allow-programs"]).0), (1, 1, 0));
    fs::remove_file(place.models().join("modeling.py")).unwrap();
    // Of no format that is read here.
    place.write("model.gguf", b"GGUF\x03\0\0\0");
    assert_eq!((code(&[]).0, code(&["--allow-unproven"]).0), (2, 0));
    fs::remove_file(place.models().join("model.gguf")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", place.models().join("link")).unwrap();
    assert_eq!(code(&["--allow-unproven"]).0, 2);
}

#[test]
fn what_is_refused_can_be_left_out() {
    let place = Place::new("omit");
    place.write("b.pkl", &place.payload());
    place.write("tf_model.h5", b"\x89HDF\r\n\x1a\n");
    let output = place.run(&["--view", "folder", "--omit-refused"], &["ls", "{}"]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"a.pkl\n"[..]), "{}", stderr(&output));
    for name in ["b.pkl", "tf_model.h5"] {
        assert!(stderr(&output).contains(&format!("warning: {name} is left out")), "{}", stderr(&output));
    }
    // A lock covers the files that are left out as well.
    let locked = place.folder.join("lock");
    let mut lock = Command::new(env!("CARGO_BIN_EXE_modelscan"));
    lock.args(["lock", "--record-dangerous", "-o"]).args([&locked, &place.models()]);
    assert!(lock.output().unwrap().status.success());
    let options = ["--view", "folder", "--omit-refused", "--lock", locked.to_str().unwrap()];
    assert_eq!(place.run(&options, &["true"]).status.code(), Some(0));
    place.write("tf_model.h5", b"\x89HDF\r\n\x1a\n+");
    assert_eq!(place.run(&options, &["true"]).status.code(), Some(1));
}

#[test]
fn a_lock_must_match() {
    let place = Place::new("lock");
    let models = place.models();
    let lock = models.join("modelscan.lock");
    let made = Command::new(env!("CARGO_BIN_EXE_modelscan")).arg("lock").arg(&models).output().unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let run = || place.run(&["--view", "folder", "--lock", lock.to_str().unwrap()], &["ls", "{}"]);
    let output = run();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"a.pkl\n"[..]), "{}", stderr(&output));
    place.write("a.pkl", b"(lp0\nI1\naI3\na.");
    place.write("new.json", b"{}");
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    for expected in ["additional: new.json", "different: a.pkl"] {
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    fs::remove_file(models.join("a.pkl")).unwrap();
    assert!(stderr(&run()).contains("missing: a.pkl"));
    assert_eq!(place.run(&["--lock", "nowhere"], &["true"]).status.code(), Some(4));
    assert!(place.is_tidy());
}

#[test]
fn what_torch_saved_stands_there_as_safetensors() {
    let place = Place::new("convert");
    let torch = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/clean/torch/torch215");
    for (from, to) in [("tied.pt", "pytorch_model.bin"), ("training.pt", "sub/training.pt")] {
        place.write(to, &fs::read(torch.join(from)).unwrap());
    }
    place.write("sub/training.safetensors", b"");
    let script = "cd \"$1\" && find . -type f | sort";
    let output = place.run(&["--view", "folder", "--convert"], &["sh", "-c", script, "sh", "{}"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(seen, "./a.pkl\n./model.safetensors\n./sub/training.pt\n./sub/training.safetensors\n");
    assert!(stderr(&output).contains("sub/training.pt stays as it is"), "{}", stderr(&output));
    assert!(place.models().join("pytorch_model.bin").exists() && place.is_tidy());
}

#[test]
fn a_sharded_checkpoint_is_converted_as_one() {
    let place = Place::new("sharded");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/clean");
    let Some(sharded) = find_sharded(&from) else { unreachable!("there is a sharded checkpoint among the fixtures") };
    for entry in fs::read_dir(sharded).unwrap() {
        let path = entry.unwrap().path();
        place.write(&format!("s/{}", path.file_name().unwrap().to_str().unwrap()), &fs::read(&path).unwrap());
    }
    let script = "cd \"$1\"/s && ls && cat *.index.json";
    let output = place.run(&["--view", "folder", "--convert"], &["sh", "-c", script, "sh", "{}"]);
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(seen.contains("model-00001-of-") && seen.contains("model.safetensors.index.json"), "{seen}");
    assert!(!seen.contains(".bin"), "{seen}");
}

fn find_sharded(folder: &Path) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    if entries.iter().any(|path| path.ends_with("pytorch_model.bin.index.json")) {
        return Some(folder.to_owned());
    }
    entries.iter().filter(|path| path.is_dir()).find_map(|path| find_sharded(path))
}

#[test]
fn signals_and_codes_are_the_servers_own() {
    let waiting = ["sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"];
    let views: &[&str] = if has_view() { &["mount", "folder"] } else { &["folder"] };
    for view in views {
        let place = Place::new(&format!("signals-{view}"));
        let options = ["--view", *view];
        assert_eq!(place.run(&options, &["sh", "-c", "exit 42"]).status.code(), Some(42));
        let killed = place.run(&options, &["sh", "-c", "kill -KILL $$"]).status;
        assert!(killed.signal() == Some(9) || killed.code() == Some(137), "{killed:?}");
        assert!(place.is_tidy());
        let mut server = Server::start(place.guard(&options, waiting));
        let pid = server.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(server.child.wait().unwrap().code(), Some(9), "{view}");
        assert!(place.is_tidy(), "{view}");
        assert_eq!(place.run(&options, &["no-such-program"]).status.code(), Some(127));
        assert_eq!(place.run(&options, &["/etc/passwd"]).status.code(), Some(126));
        assert!(place.is_tidy(), "{view}");
    }
}

#[test]
fn nothing_is_left_when_the_server_is_killed() {
    if !has_view() {
        return;
    }
    let place = Place::new("killed");
    let mut server = Server::start(place.guard(&[], WAITING));
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert!(place.is_tidy());
}

#[test]
fn nothing_is_left_when_it_is_interrupted_while_it_copies() {
    let place = Place::new("interrupted");
    fs::File::create(place.models().join("large.png")).unwrap().set_len(4 << 30).unwrap();
    let mut child = place.guard(&["--view", "folder"], ["true"]).stderr(Stdio::null()).spawn().unwrap();
    while place.is_tidy() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let code = child.wait().unwrap().code();
    // Where blocks are shared the copy is made at once, and the server has ended already.
    assert!(code == Some(130) || code == Some(0), "{code:?}");
    assert!(place.is_tidy());
}

/// As an ordinary user, with a user namespace along. Where the tests run as one, all others are this test.
#[test]
fn who_may_not_mount_gets_a_view_all_the_same() {
    const NOBODY: u32 = 65534;
    let place = Place::new("nobody");
    if fs::metadata(&place.folder).unwrap().uid() != 0 {
        return skip(Need::Root, "not root; the other tests run as an ordinary user already");
    }
    for folder in [place.models(), place.folder.join("store")] {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let script = format!(
        "id -u; cat {0}/a.pkl; ! touch {0}/new 2>/dev/null && ! umount {0} 2>/dev/null",
        place.models().display()
    );
    let mut command = place.guard(&["--quiet"], ["sh", "-c", &script]);
    let output = match command.uid(NOBODY).gid(NOBODY).output() {
        Ok(output) => output,
        Err(error) => return skip(Need::Machine, format!("another user cannot run the build: {error}")),
    };
    match output.status.code() {
        Some(125) => skip(Need::Sandbox, stderr(&output)),
        Some(2) if stderr(&output).contains("ermission denied") => {
            skip(Need::Machine, format!("another user cannot reach the folder of tests: {}", stderr(&output)));
        }
        code => {
            assert_eq!(code, Some(0), "{}", stderr(&output));
            assert_eq!(output.stdout, [b"65534\n", CLEAN].concat());
            assert!(place.is_tidy());
        }
    }
}

#[test]
fn what_is_typed_wrong_starts_nothing() {
    let place = Place::new("usage");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_modelscan")).args(arguments).current_dir(&place.folder).output();
        output.unwrap().status.code()
    };
    assert_eq!(run(&["guard"]), Some(4));
    assert_eq!(run(&["guard", "models"]), Some(4));
    assert_eq!(run(&["guard", "models", "--"]), Some(4));
    assert_eq!(run(&["guard", "models", "true"]), Some(4));
    assert_eq!(run(&["guard", "models/a.pkl", "--", "true"]), Some(4));
    assert_eq!(run(&["guard", "nowhere", "--", "touch", "started"]), Some(2));
    assert_eq!(run(&["guard", "--view", "folder", "--store", "models", "models", "--", "touch", "started"]), Some(4));
    assert!(!place.folder.join("started").exists());
}
