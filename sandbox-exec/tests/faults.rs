//! Faults outside of the sandbox: a killed supervisor, many runs in a row, many at once, full disks. Nothing may be left behind.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

mod support;

use support::{Result, can_sandbox, launcher, null, request, run};

use sandbox_exec::{ByteSize, Outcome, Stdio, TimeSpan};

/// Held by tests that leave cgroups for a moment, and by tests that check for leftover cgroups.
static CGROUPS: Mutex<()> = Mutex::new(());

/// Cgroups of runs whose supervisor no longer exists.
fn leftovers() -> Vec<String> {
    let orphaned = |name: &str| {
        let owner = name.strip_prefix("modelscan-").and_then(|rest| rest.split('-').nth(1));
        owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
    };
    let mut found = Vec::new();
    let mut folders = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if orphaned(&name) {
                found.push(entry.path().display().to_string());
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn a_killed_supervisor_takes_all_processes_along() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let _alone = CGROUPS.lock().map_err(|_| "another test panicked")?;
    let mut request = request(&["sleep", "31.25"])?;
    request.profile.limits.timeout = TimeSpan(Duration::from_secs(20));
    let alive = || {
        let found = Command::new("pgrep").args(["-f", "^sleep 31.25$"]).output();
        found.map(|out| String::from_utf8_lossy(&out.stdout).lines().count()).unwrap_or(0)
    };
    let runner = std::thread::spawn(move || {
        null()
            .map(|output| {
                launcher().run(
                    &request,
                    Stdio { input: None, output, errors: null().unwrap_or_else(|_| std::process::abort()) },
                )
            })
            .map_err(|e| e.to_string())
    });
    let started = Instant::now();
    while alive() == 0 && started.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(alive(), 1, "the command did not start");
    // The supervisor is the grandparent of the command, and a child of this process.
    let sleeper = String::from_utf8(Command::new("pgrep").args(["-f", "^sleep 31.25$"]).output()?.stdout)?;
    let parent = |pid: &str| -> Result<String> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)).ok_or("no parent")?.to_owned())
    };
    let supervisor = parent(&parent(sleeper.trim())?)?;
    assert_eq!(parent(&supervisor)?, std::process::id().to_string());
    let pid = rustix::process::Pid::from_raw(supervisor.parse()?).ok_or("no supervisor")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    let report = runner.join().map_err(|_| "the runner panicked")??;
    assert_eq!((report.outcome, report.code), (Outcome::NotStarted, 125), "{:?}", report.reason);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(alive(), 0, "the command outlived its supervisor");
    // The next run removes the cgroups of a killed supervisor.
    run(&support::request(&["true"])?)?;
    assert_eq!(leftovers(), Vec::<String>::new());
    Ok(())
}

#[test]
fn many_runs_leave_nothing_behind() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let _alone = CGROUPS.lock().map_err(|_| "another test panicked")?;
    // SANDBOX_MANY=1000 runs a thousand, in about a minute.
    let many = std::env::var("SANDBOX_MANY").ok().and_then(|text| text.parse().ok()).unwrap_or(50);
    let mounts = fs::read_to_string("/proc/self/mountinfo")?.lines().count();
    let files = fs::read_dir("/proc/self/fd")?.count();
    let mut supervisors = Vec::new();
    for _ in 0..many {
        let (report, text) = run(&request(&["sh", "-c", "echo hello"])?)?;
        assert_eq!((report.code, text.as_str()), (0, "hello\n"), "{:?}", report.reason);
        supervisors.push(report.wall_ms);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(fs::read_to_string("/proc/self/mountinfo")?.lines().count(), mounts);
    assert_eq!(leftovers(), Vec::<String>::new());
    assert!(fs::read_dir("/proc/self/fd")?.count() <= files + 40, "descriptors are left open");
    println!("{many} runs, slowest {} ms", supervisors.iter().max().unwrap_or(&0));
    Ok(())
}

#[test]
fn runs_at_once_do_not_see_each_other() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let many: usize = std::env::var("SANDBOX_AT_ONCE").ok().and_then(|text| text.parse().ok()).unwrap_or(24);
    let threads: Vec<_> = (0..many)
        .map(|number| {
            std::thread::spawn(move || {
                let script =
                    format!("echo {number} > /tmp/x; sleep 0.1; cat /tmp/x; ls /tmp; ls /proc | grep -c '^[0-9]'");
                request(&["sh", "-c", &script]).and_then(|request| run(&request)).map_err(|e| e.to_string())
            })
        })
        .collect();
    for (number, thread) in threads.into_iter().enumerate() {
        let (report, text) = thread.join().map_err(|_| "a runner panicked")??;
        let mut lines = text.lines();
        assert_eq!(report.code, 0, "{:?}", report.reason);
        assert_eq!((lines.next(), lines.next()), (Some(number.to_string().as_str()), Some("x")));
        let seen: usize = lines.next().unwrap_or_default().parse()?;
        assert!(seen <= 4, "{seen} processes are seen");
    }
    Ok(())
}

#[test]
fn a_reader_that_does_not_read_delays_nothing() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let mut request = request(&[
        "sh",
        "-c",
        "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done",
    ])?;
    request.profile.limits.timeout = TimeSpan(Duration::from_millis(500));
    let (unread, write) = std::io::pipe()?;
    let started = Instant::now();
    let report = launcher().run(&request, Stdio { input: None, output: write.into(), errors: null()? });
    assert_eq!((report.outcome, report.code), (Outcome::TimedOut, 124), "{:?}", report.reason);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    drop(unread);
    Ok(())
}

#[test]
fn output_that_cannot_be_written_is_a_failure() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let full = || -> Result<_> { Ok(fs::OpenOptions::new().write(true).open("/dev/full")?.into()) };
    let report = launcher().run(&request(&["echo", "hello"])?, Stdio { input: None, output: full()?, errors: null()? });
    let reason = report.reason.unwrap_or_default();
    assert_eq!(report.code, 125, "{reason}");
    assert!(reason.contains("standard output") && reason.contains("No space left"), "{reason}");
    assert!(report.violations.iter().any(|violation| violation.kind == "output"));
    // The command's own exit code has precedence.
    let failing = request(&["sh", "-c", "echo hello; exit 3"])?;
    let report = launcher().run(&failing, Stdio { input: None, output: full()?, errors: null()? });
    assert_eq!((report.outcome, report.code), (Outcome::Exited, 3));
    Ok(())
}

#[test]
fn a_full_disk_is_reported_and_no_partial_file_is_left() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("modelscan-full-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    if let Err(error) = rustix::mount::mount("full", &folder, "tmpfs", flags, c"size=256k") {
        fs::remove_dir(&folder)?;
        fixtures::skip(fixtures::Need::Root, format!("a small disk cannot be mounted here: {error}"));
        return Ok(());
    }
    let ran =
        request(&["sh", "-c", "cd /out; echo small > a; head -c 1000000 /dev/zero > b"]).and_then(|mut request| {
            request.out = Some(folder.clone());
            request.profile.limits.out = ByteSize(4 << 20);
            run(&request)
        });
    let left: Vec<_> = fs::read_dir(&folder)?.flatten().map(|entry| entry.file_name()).collect();
    rustix::mount::unmount(&folder, rustix::mount::UnmountFlags::DETACH)?;
    fs::remove_dir(&folder)?;
    let (report, _) = ran?;
    let reason = report.reason.unwrap_or_default();
    assert_eq!(report.code, 125, "{reason}");
    assert!(reason.contains("No space left") && reason.contains("modelscan-full"), "{reason}");
    assert!(left.iter().all(|name| name == "a"), "{left:?}");
    Ok(())
}

#[test]
fn exhausted_memory_ends_the_run_and_not_the_supervisor() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let mut request = request(&["sh", "-c", "x=a; while :; do x=$x$x; done"])?;
    request.profile.limits.memory = ByteSize(64 << 20);
    let (report, _) = run(&request)?;
    if report.enforced.memory.starts_with("cgroup") {
        assert_eq!((report.outcome, report.code), (Outcome::Memory, 137), "{:?}", report.reason);
        assert!(report.violations.iter().any(|violation| violation.what == "memory"));
    } else {
        fixtures::skip(fixtures::Need::Sandbox, "no cgroups here: only the watchdog and rlimits limit memory");
        assert_ne!(report.code, 0);
    }
    Ok(())
}
