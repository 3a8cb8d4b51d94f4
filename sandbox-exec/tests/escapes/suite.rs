//! The escape suite: one small program per attempt (`*/*.c`), each with a stage outside that it would like to reach and a look from
//! outside afterwards. Every attempt runs within the walls as root and as an ordinary user, and once without walls, to show that it is a true
//! attempt. An attempt may get out only where a line of the profile names the opening.

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

/// As the attempts say it.
const OUTSIDE: i32 = 3;
/// Small quotas: an attempt at a quota must cost the machine little when it is the one without walls.
const OUT_LIMIT: u64 = 8 << 20;
const OUTPUT_LIMIT: u64 = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(4);
/// What an ordinary user without a cgroup of his own has to waive.
const WEAKER: [&str; 3] = ["memory", "pids", "cpus"];
/// An id without a name and without files.
const ORDINARY: u32 = 54_321;

pub(crate) fn main() -> Result<()> {
    if let Ok(home) = std::env::var("ESCAPES_PREPARE") {
        // For a virtual machine, which has no compiler.
        return prepare(Path::new(&home));
    }
    if let Ok(home) = std::env::var("ESCAPES_HOME") {
        if std::env::var_os("ESCAPES_ORDINARY").is_some() {
            return as_ordinary_user(Path::new(&home));
        }
        let strict = std::env::var_os("ESCAPES_STRICT").is_some();
        let (who, weaker): (_, &[&str]) =
            if strict { ("one who has cgroups", &[]) } else { ("an ordinary user", &WEAKER) };
        return suite(Path::new(&home), who, weaker, false);
    }
    let home = std::env::temp_dir().join(format!("modelscan-escapes-{}", std::process::id()));
    let done = prepare(&home).and_then(|()| both(&home));
    let _ = fs::remove_dir_all(&home);
    done
}

fn both(home: &Path) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("not run as root: the suite runs as this user only");
        return suite(home, "an ordinary user", &WEAKER, false);
    }
    suite(home, "root", &[], true)?;
    as_ordinary_user(home)
}

fn as_ordinary_user(home: &Path) -> Result<()> {
    let mut again = Command::new(home.join("suite"));
    let status = again.env("ESCAPES_HOME", home).env_remove("ESCAPES_ORDINARY").uid(ORDINARY).gid(ORDINARY).status();
    let status = status.map_err(|e| format!("the suite as an ordinary user could not be started: {e}"))?;
    if status.success() { Ok(()) } else { Err("the suite failed as an ordinary user".into()) }
}

/// Programs and stage files where any user can read them.
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

fn suite(home: &Path, who: &str, weaker: &[&str], control: bool) -> Result<()> {
    let attempts = attempts(home)?;
    let mut stage = Stage::set(home)?;
    // A descriptor left open, as careless callers do; both the walls and the bare runs inherit it.
    let careless = fs::File::open(stage.folder.join("secret"))?;
    rustix::io::fcntl_setfd(&careless, rustix::io::FdFlags::empty())?;
    println!("\nescape attempts as {who}, {} of them", attempts.len());
    println!("{:<34} {:<26} without walls", "attempt", "within the walls");
    let mut escaped = Vec::new();
    let mut true_attempts = 0;
    let mut enforced = None;
    for attempt in &attempts {
        let walled = within(home, attempt, &mut stage, weaker)?;
        let bare = match control {
            true if !attempt.harmful => without(home, attempt, &mut stage)?,
            true => "not run: would harm".to_owned(),
            false => String::new(),
        };
        true_attempts += usize::from(bare == "gets out");
        println!("{:<34} {:<26} {bare}", attempt.name, walled.0);
        enforced = Some(walled.2);
        if !walled.1 {
            escaped.push(attempt.name.clone());
        }
    }
    drop(careless);
    let enforced = enforced.ok_or("no attempts")?;
    println!("{enforced:?}");
    let mut kept = vec![&enforced.memory, &enforced.pids, &enforced.cpus];
    if rustix::process::geteuid().is_root() {
        kept.push(&enforced.devices);
    }
    if weaker.is_empty() && kept.iter().any(|by| !by.starts_with("cgroup")) {
        return Err("every quota should be kept by a cgroup here, and one was not".into());
    }
    println!("{} of {} stopped or open by name as {who}", attempts.len() - escaped.len(), attempts.len());
    if control {
        println!("{true_attempts} get out when there are no walls");
        if true_attempts < attempts.len() / 2 {
            return Err("too few attempts get out without walls: the suite shows little".into());
        }
    }
    if escaped.is_empty() { Ok(()) } else { Err(format!("got out as {who}: {}", escaped.join(", ")).into()) }
}

fn request(home: &Path, attempt: &Attempt, stage: &Stage, weaker: &[&str], out: &Path) -> Result<Request> {
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
    argv.extend(stage.told.iter().map(Into::into));
    let mut request = Request::new(profile, argv);
    request.out = Some(out.to_owned());
    request.allow_degraded = weaker.iter().map(|name| (*name).to_owned()).collect();
    Ok(request)
}

/// Within the walls: what happened in words, and whether that is well.
fn within(home: &Path, attempt: &Attempt, stage: &mut Stage, weaker: &[&str]) -> Result<(String, bool, Enforced)> {
    let out = stage.folder.join("out");
    let request = request(home, attempt, stage, weaker, &out)?;
    let (mut read, write) = std::io::pipe()?;
    let listening = std::thread::spawn(move || {
        let mut all = Vec::new();
        read.read_to_end(&mut all).map(|_| all.len())
    });
    let null = || -> Result<OwnedFd> { Ok(fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into()) };
    let began = Instant::now();
    let stdio = Stdio { input: Some(null()?), output: write.into(), errors: null()? };
    let report = Launcher::at(home.join("launcher")).run(&request, stdio);
    let took = began.elapsed();
    let heard = listening.join().map_err(|_| "the listener broke")??;
    let outside = stage.untouched().and_then(|()| lawful(&out)).and_then(|()| quiet(heard, took));
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

/// What came out is plain files within the limits, under plain names.
fn lawful(out: &Path) -> std::result::Result<(), String> {
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

fn quiet(heard: usize, took: Duration) -> std::result::Result<(), String> {
    if heard as u64 > OUTPUT_LIMIT {
        return Err(format!("{heard} bytes of output came through"));
    }
    // An emulated processor takes seconds to start and to end what a real one does in milliseconds.
    let slack = if std::env::var_os("ESCAPES_STRICT").is_some() { 6_000 } else { 1_500 };
    if took > TIMEOUT + Duration::from_millis(slack) {
        return Err(format!("it took {took:?}"));
    }
    if survivors().is_empty() { Ok(()) } else { Err("a process survived".into()) }
}

/// The process that the daemon attempt leaves behind, found by the name that it gives itself.
fn survivors() -> Vec<i32> {
    let named = |entry: fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The dead may lie about for as long as the host's first process likes.
        (stat.contains("(ms-survivor)") && !stat.contains(") Z "))
            .then(|| entry.file_name().to_str()?.parse().ok())
            .flatten()
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(named).collect()
}

/// Without walls, as root: does it get out?
fn without(home: &Path, attempt: &Attempt, stage: &mut Stage) -> Result<String> {
    let input = stage.folder.join("input");
    // Attempts at /out have the real one for a moment; where there is one already, they are left out.
    let out = Path::new("/out");
    let made = fs::create_dir(out).is_ok();
    let mut command = Command::new(&attempt.program);
    command.arg(format!("INPUT={}", input.display())).args(&stage.told).env("STAGE_SECRET", "x").current_dir(home);
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
