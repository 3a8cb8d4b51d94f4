//! The escape suite: one small program per attempt (`*/*.c`), each with a target outside (the stage) that is checked afterwards. Every attempt runs
//! in the sandbox as root and as an unprivileged user, and once without a sandbox, to show that it works there. In the sandbox an attempt may
//! succeed only where the profile grants the permission that it names.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio as Std};
use std::time::{Duration, Instant};

use sandbox_exec::{
    ByteSize, Enforced, ExitReport, Launcher, Outcome, Profile, ReadOnlyPath, Request, Stdio, TimeSpan,
};

#[path = "stage.rs"]
mod stage;

use stage::Stage;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The exit code of an attempt whose success shows only outside.
const OUTSIDE: i32 = 3;
/// Small quotas, so that attempts to exceed them are cheap without a sandbox too.
const OUT_LIMIT: u64 = 8 << 20;
const OUTPUT_LIMIT: u64 = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(4);
/// Quotas that an unprivileged user without a cgroup must waive.
const WAIVED: [&str; 3] = ["memory", "pids", "cpus"];
/// An id without an account.
const UNPRIVILEGED_ID: u32 = 54_321;

pub(crate) fn main() -> Result<()> {
    if let Ok(home) = std::env::var("ESCAPES_PREPARE") {
        // For the virtual machine, which has no compiler.
        return prepare(Path::new(&home));
    }
    if let Ok(home) = std::env::var("ESCAPES_HOME") {
        if std::env::var_os("ESCAPES_ORDINARY").is_some() {
            return as_unprivileged_user(Path::new(&home));
        }
        let strict = std::env::var_os("ESCAPES_STRICT").is_some();
        let (who, waived): (_, &[&str]) =
            if strict { ("one who has cgroups", &[]) } else { ("an unprivileged user", &WAIVED) };
        return suite(Path::new(&home), who, waived, false);
    }
    let home = std::env::temp_dir().join(format!("modelscan-escapes-{}", std::process::id()));
    let done = prepare(&home).and_then(|()| both(&home));
    let _ = fs::remove_dir_all(&home);
    done
}

fn both(home: &Path) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    if !root {
        fixtures::skip(fixtures::Need::Root, "not root: the suite runs as this user only");
        return suite(home, "an unprivileged user", &WAIVED, false);
    }
    suite(home, "root", &[], true)?;
    as_unprivileged_user(home)
}

fn as_unprivileged_user(home: &Path) -> Result<()> {
    let mut again = Command::new(home.join("suite"));
    let status = again
        .env("ESCAPES_HOME", home)
        .env_remove("ESCAPES_ORDINARY")
        .uid(UNPRIVILEGED_ID)
        .gid(UNPRIVILEGED_ID)
        .status();
    let status = status.map_err(|e| format!("the suite as an unprivileged user could not be started: {e}"))?;
    if status.success() { Ok(()) } else { Err("the suite failed as an unprivileged user".into()) }
}

/// Compiles the attempts to a folder that any user can read.
fn prepare(home: &Path) -> Result<()> {
    fs::create_dir_all(home.join("bin"))?;
    fs::create_dir_all(home.join("work"))?;
    fs::copy(std::env::current_exe()?, home.join("suite"))?;
    fs::copy(env!("CARGO_BIN_EXE_sandbox-exec"), home.join("launcher"))?;
    for folder in [home, &home.join("bin")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    fs::set_permissions(home.join("work"), fs::Permissions::from_mode(0o1777))?;
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/escapes");
    let mut compiling = Vec::new();
    for source in sources_in(&sources)? {
        let name = name_of(&sources, &source);
        let to = home.join("bin").join(name.replace('/', "."));
        let mut cc = Command::new("cc");
        let child = cc.args(["-w", "-O0", "-pthread", "-o"]).arg(&to).arg(&source).spawn();
        compiling.push((name.clone(), child.map_err(|e| format!("cc is needed to compile the attempts: {e}"))?));
        if compiling.len() >= 2 {
            finish(compiling.remove(0))?;
        }
        let text = fs::read_to_string(&source)?;
        let notes: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("// ")).collect();
        fs::write(home.join("bin").join(format!("{}.notes", name.replace('/', "."))), notes.join("\n"))?;
    }
    compiling.into_iter().try_for_each(finish)
}

fn finish((name, mut child): (String, Child)) -> Result<()> {
    if child.wait()?.success() { Ok(()) } else { Err(format!("{name} does not compile").into()) }
}

fn sources_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![folder.join("stage.c")];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            for file in fs::read_dir(path)? {
                found.push(file?.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(base: &Path, source: &Path) -> String {
    source.strip_prefix(base).unwrap_or(source).with_extension("").to_string_lossy().into_owned()
}

struct Attempt {
    name: String,
    program: PathBuf,
    allow: Option<String>,
    quota: Option<String>,
    harmful: bool,
}

fn attempts(home: &Path) -> Result<Vec<Attempt>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(home.join("bin"))? {
        let program = entry?.path();
        let file = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file == "stage" || file.ends_with(".notes") {
            continue;
        }
        let notes = fs::read_to_string(program.with_file_name(format!("{file}.notes")))?;
        let note =
            |key: &str| notes.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned());
        let attempt = Attempt {
            name: file.replacen('.', "/", 1),
            program: program.clone(),
            allow: note("allow:"),
            quota: note("quota:"),
            harmful: note("control: harm").is_some(),
        };
        found.insert(file, attempt);
    }
    Ok(found.into_values().collect())
}

fn suite(home: &Path, who: &str, waived: &[&str], control: bool) -> Result<()> {
    let attempts = attempts(home)?;
    let mut stage = Stage::set(home)?;
    // A descriptor without close-on-exec, as careless callers leave it; runs with and without a sandbox inherit it.
    let leaked = fs::File::open(stage.folder.join("secret"))?;
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty())?;
    println!("\nescape attempts as {who}, {} of them", attempts.len());
    println!("{:<34} {:<26} without a sandbox", "attempt", "in the sandbox");
    let mut escaped = Vec::new();
    let mut true_attempts = 0;
    let mut enforced = None;
    for attempt in &attempts {
        let result = sandboxed(home, attempt, &mut stage, waived)?;
        let bare = match control {
            true if !attempt.harmful => unsandboxed(home, attempt, &mut stage)?,
            true => "not run: would harm".to_owned(),
            false => String::new(),
        };
        true_attempts += usize::from(bare == "gets out");
        println!("{:<34} {:<26} {bare}", attempt.name, result.0);
        enforced = Some(result.2);
        if !result.1 {
            escaped.push(attempt.name.clone());
        }
    }
    drop(leaked);
    let enforced = enforced.ok_or("no attempts")?;
    println!("{enforced:?}");
    let mut enforcing = vec![&enforced.memory, &enforced.pids, &enforced.cpus];
    if rustix::process::geteuid().is_root() {
        enforcing.push(&enforced.devices);
    }
    if waived.is_empty() && enforcing.iter().any(|by| !by.starts_with("cgroup")) {
        return Err("a cgroup should enforce every quota here, and one does not".into());
    }
    println!("{} of {} stopped or permitted by name as {who}", attempts.len() - escaped.len(), attempts.len());
    if control {
        println!("{true_attempts} succeed without a sandbox");
        if true_attempts < attempts.len() / 2 {
            return Err("too few attempts succeed without a sandbox, so the suite proves little".into());
        }
    }
    if escaped.is_empty() { Ok(()) } else { Err(format!("got out as {who}: {}", escaped.join(", ")).into()) }
}

fn request(home: &Path, attempt: &Attempt, stage: &Stage, waived: &[&str], out: &Path) -> Result<Request> {
    let mut profile = Profile::load("eval")?;
    let readable = |path: PathBuf, dest: &str| ReadOnlyPath {
        path,
        dest: Some(dest.into()),
        why: "the suite".into(),
        optional: false,
    };
    profile.read.push(readable(home.join("bin"), "/attempts"));
    profile.read.push(readable(stage.folder.join("input"), "/input"));
    profile.limits.memory = ByteSize(96 << 20);
    profile.limits.cpus = 0.5;
    profile.limits.timeout = TimeSpan(TIMEOUT);
    profile.limits.scratch = ByteSize(16 << 20);
    profile.limits.out = ByteSize(OUT_LIMIT);
    profile.limits.output = ByteSize(OUTPUT_LIMIT);
    let file = attempt.program.file_name().unwrap_or_default();
    let mut argv = vec![Path::new("/attempts").join(file).into_os_string(), "INPUT=/input".into()];
    argv.extend(stage.arguments.iter().map(Into::into));
    let mut request = Request::new(profile, argv);
    request.out = Some(out.to_owned());
    request.allow_degraded = waived.iter().map(|name| (*name).to_owned()).collect();
    Ok(request)
}

/// In the sandbox: the result in words, whether it is acceptable, and the protections.
fn sandboxed(home: &Path, attempt: &Attempt, stage: &mut Stage, waived: &[&str]) -> Result<(String, bool, Enforced)> {
    let out = stage.folder.join("out");
    let request = request(home, attempt, stage, waived, &out)?;
    let (mut read, write) = std::io::pipe()?;
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        read.read_to_end(&mut all).map(|_| all.len())
    });
    let null = || -> Result<OwnedFd> { Ok(fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into()) };
    let began = Instant::now();
    let stdio = Stdio { input: Some(null()?), output: write.into(), errors: null()? };
    let report = Launcher::at(home.join("launcher")).run(&request, stdio);
    let took = began.elapsed();
    let received = reader.join().map_err(|_| "the reader panicked")??;
    let outside = stage.untouched().and_then(|()| only_plain_files(&out)).and_then(|()| quiet(received, took));
    stage.restore();
    let _ = fs::remove_dir_all(&out);
    let (how, well) = judge(attempt, &request, &report, outside);
    Ok((how, well, report.enforced))
}

fn judge(
    attempt: &Attempt,
    request: &Request,
    report: &ExitReport,
    outside: std::result::Result<(), String>,
) -> (String, bool) {
    if report.outcome == Outcome::NotStarted {
        return (format!("NOT STARTED {}", report.reason.clone().unwrap_or_default()), false);
    }
    if let Err(why) = outside {
        return (format!("GOT OUT: {why}"), false);
    }
    let first_killed = attempt.name == "processes/kill_all" && report.outcome != Outcome::Exited;
    let got_out = first_killed || (report.outcome == Outcome::Exited && report.code == 0);
    if got_out {
        let open =
            attempt.allow.as_ref().filter(|name| request.profile.allow.iter().any(|row| row.name.name() == *name));
        if let Some(name) = open {
            return (format!("open: allow {name}"), true);
        }
        let waived = attempt.quota.as_ref().filter(|name| request.allow_degraded.contains(name));
        return match waived {
            Some(name) => (format!("waived: {name}"), true),
            None => ("GOT OUT".into(), false),
        };
    }
    let how = match report.outcome {
        Outcome::TimedOut => "time limit".to_owned(),
        Outcome::Memory => "memory quota".to_owned(),
        Outcome::Signaled => format!("signal {}", report.signal.unwrap_or(0)),
        _ if report.code == OUTSIDE => "nothing outside".to_owned(),
        _ => report
            .violations
            .iter()
            .find(|v| v.kind == "syscall")
            .map_or_else(|| "stopped".to_owned(), |v| format!("refused {}", v.what)),
    };
    (how, true)
}

/// An error unless the results are regular files with plain names, within the limits.
fn only_plain_files(out: &Path) -> std::result::Result<(), String> {
    let mut folders = vec![out.to_owned()];
    let mut total = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| e.to_string())?.flatten() {
            let about = fs::symlink_metadata(entry.path()).map_err(|e| e.to_string())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.chars().any(char::is_control) {
                return Err("a hostile name came out".into());
            }
            if about.is_dir() {
                folders.push(entry.path());
            } else if !about.is_file() || about.mode() & 0o7777 != 0o644 || about.nlink() != 1 {
                return Err(format!("{name} came out as it should not"));
            }
            total += if about.is_file() { about.len() } else { 0 };
        }
    }
    if total > OUT_LIMIT { Err(format!("{total} bytes came out")) } else { Ok(()) }
}

fn quiet(received: usize, took: Duration) -> std::result::Result<(), String> {
    if received as u64 > OUTPUT_LIMIT {
        return Err(format!("{received} bytes of output came through"));
    }
    // An emulated processor takes seconds for what takes a real one milliseconds.
    let slack = if std::env::var_os("ESCAPES_STRICT").is_some() { 6_000 } else { 1_500 };
    if took > TIMEOUT + Duration::from_millis(slack) {
        return Err(format!("it took {took:?}"));
    }
    if survivors().is_empty() { Ok(()) } else { Err("a process survived".into()) }
}

/// Processes that the daemon attempt left behind, found by their name.
fn survivors() -> Vec<i32> {
    let named = |entry: fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // Zombies stay until the host's init reaps them.
        (stat.contains("(ms-survivor)") && !stat.contains(") Z "))
            .then(|| entry.file_name().to_str()?.parse().ok())
            .flatten()
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(named).collect()
}

/// Without a sandbox, as root: whether the attempt succeeds.
fn unsandboxed(home: &Path, attempt: &Attempt, stage: &mut Stage) -> Result<String> {
    let input = stage.folder.join("input");
    // Attempts at /out use the real folder, unless the host already has one.
    let out = Path::new("/out");
    let made = fs::create_dir(out).is_ok();
    let mut command = Command::new(&attempt.program);
    command.arg(format!("INPUT={}", input.display())).args(&stage.arguments).env("STAGE_SECRET", "x").current_dir(home);
    command.stdin(Std::null()).stdout(Std::null()).stderr(Std::null()).process_group(0);
    let mut child = command.spawn()?;
    let until = Instant::now() + Duration::from_secs(8);
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() > until => break None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let survivors = survivors();
    let touched = stage.untouched().is_err() || (made && fs::read_dir(out)?.next().is_some()) || !survivors.is_empty();
    for pid in survivors.into_iter().filter_map(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    if made {
        fs::remove_dir_all(out)?;
    }
    stage.restore();
    let code = status.and_then(|status| status.code());
    Ok(match code {
        Some(0) => "gets out".into(),
        Some(OUTSIDE) if touched || attempt.name == "resources/stdout_flood" => "gets out".into(),
        Some(code) => format!("this host stops it ({code})"),
        None => format!("ended by {:?}", status.and_then(|status| status.signal())),
    })
}
