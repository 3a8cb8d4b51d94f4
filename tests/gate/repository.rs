//! Git repositories for tests, each in a folder of its own. The configuration of the user does not apply.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A pickle that says something when it is loaded.
pub const BAD: &[u8] = b"cposix\nsystem\n(S'echo loaded'\ntR.";
/// A pickle that is an empty list.
pub const GOOD: &[u8] = b"].";

/// A repository whose branch `main` has one commit. HEAD is at `change`, which starts there.
pub struct Repository {
    pub dir: PathBuf,
}

/// A fresh folder below the one for tests.
pub fn fresh(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir.canonicalize().unwrap()
}

impl Repository {
    /// With these files on `main`.
    pub fn new(name: &str, files: &[(&str, &[u8])]) -> Self {
        let here = Self { dir: fresh(name).join("repository") };
        fs::create_dir(&here.dir).unwrap();
        here.git(&["init", "--quiet", "--initial-branch=main"]);
        here.write("README", b"text");
        for (path, bytes) in files {
            here.write(path, bytes);
        }
        here.commit();
        here.git(&["checkout", "--quiet", "-b", "change"]);
        here
    }

    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Everything that is there, as a commit; its id.
    pub fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
        self.id("HEAD")
    }

    pub fn id(&self, name: &str) -> String {
        self.git(&["rev-parse", name])
    }

    pub fn git<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        let output = git(&self.dir).args(args).output().expect("git runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The command, at the top of the repository or in a folder of it.
    pub fn modelscan(&self, folder: &str, args: &[&str]) -> Printed {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelscan"));
        command.args(args).current_dir(self.dir.join(folder)).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &self.dir);
        Printed::of(&mut command)
    }
}

/// Git with the configuration of the repository only.
pub fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    command.current_dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "somebody").env(format!("GIT_{who}_EMAIL"), "somebody@example.org");
    }
    command.args(["-c", "protocol.file.allow=always", "-c", "core.hooksPath=/dev/null"]);
    command
}

/// What a command printed, and its code.
#[derive(Debug)]
pub struct Printed {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Printed {
    pub fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the command starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: status.code(), out: text(stdout), err: text(stderr) }
    }
}
