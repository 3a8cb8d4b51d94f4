//! Complete runs through the launcher: their outcomes, what they leave behind, and their cost for large callers.

#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::time::{Duration, Instant};

mod support;

use support::{Result, can_sandbox, launcher, null, request, run};

use sandbox_exec::{AllowedHost, ByteSize, EnvVariable, Outcome, Pool, ReadOnlyPath, Stdio, TimeSpan};

#[test]
fn codes_are_those_of_the_contract() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    for (argv, outcome, code) in [
        (vec!["true"], Outcome::Exited, 0),
        (vec!["sh", "-c", "exit 7"], Outcome::Exited, 7),
        (vec!["sh", "-c", "kill -SEGV $$"], Outcome::Signaled, 139),
        (vec!["no-such-program"], Outcome::NotStarted, 127),
        (vec!["/etc/passwd"], Outcome::NotStarted, 126),
    ] {
        let (report, _) = run(&request(&argv)?)?;
        assert_eq!((report.outcome, report.code), (outcome, code), "{argv:?}: {:?}", report.reason);
    }
    Ok(())
}

#[test]
fn bad_input_is_an_error_with_a_hint() -> Result<()> {
    let mut missing = request(&["true"])?;
    missing.profile.read.push(ReadOnlyPath {
        path: "/no/such".into(),
        dest: None,
        why: "test".into(),
        optional: false,
    });
    let mut address = request(&["true"])?;
    address.profile.network.push(AllowedHost { host: "10.0.0.1".into(), why: "test".into() });
    let mut small = request(&["true"])?;
    small.profile.limits.memory = ByteSize(1);
    let mut gpu = request(&["true"])?;
    gpu.gpu = Some("99".into());
    for (request, expected) in [(missing, "/no/such"), (address, "10.0.0.1"), (small, "4MiB"), (gpu, "nvidia99")] {
        let (report, _) = run(&request)?;
        let reason = report.reason.unwrap_or_default();
        assert_eq!((report.outcome, report.code), (Outcome::NotStarted, 125), "{reason}");
        assert!(reason.contains(expected), "{reason}");
    }
    Ok(())
}

#[test]
fn all_processes_end_soon_after_the_time_limit() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let mut request = request(&["sh", "-c", "trap '' TERM; (while :; do :; done) & while :; do :; done"])?;
    request.profile.limits.timeout = TimeSpan(Duration::from_millis(500));
    let (report, _) = run(&request)?;
    assert_eq!((report.outcome, report.code), (Outcome::TimedOut, 124));
    println!("ended {} ms after the limit", report.wall_ms.saturating_sub(500));
    assert!(report.wall_ms < 500 + 400, "{} ms", report.wall_ms);
    Ok(())
}

#[test]
fn signals_reach_the_command_and_what_it_starts() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    // The supervisor blocks termination signals; the processes inside must not inherit that.
    let (report, text) = run(&request(&["sh", "-c", "sleep 20 & kill -TERM $!; wait $!; echo $?"])?)?;
    assert_eq!((report.code, text.as_str()), (0, "143\n"), "{:?}", report.reason);
    Ok(())
}

#[test]
fn denied_calls_are_reported_with_their_arguments_and_process() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let (report, _) = run(&request(&["unshare", "-U", "true"])?)?;
    let reported = report.violations.iter().find(|violation| violation.what == "unshare");
    if report.enforced.seccomp_notify {
        let reported = reported.ok_or("the denied call is not in the report")?;
        assert!(reported.detail.starts_with("(0x10000000"), "{reported:?}");
        assert_eq!(reported.pid, Some(2));
    }
    assert_ne!(report.code, 0);
    Ok(())
}

#[test]
fn landlock_denials_are_reported_where_audit_is_enabled() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let (report, _) = run(&request(&["cat", "/proc/self/status"])?)?;
    assert_eq!(report.code, 1, "/proc is denied without its permission");
    match report.violations.iter().find(|violation| violation.kind == "landlock") {
        Some(denied) => assert_eq!((denied.what.as_str(), denied.detail.as_str()), ("/proc/2/status", "fs.read_file")),
        None => fixtures::skip(
            fixtures::Need::Machine,
            "denied, but not reported: auditing is disabled, or only root may receive its records",
        ),
    }
    Ok(())
}

#[test]
fn streams_pass_and_only_named_variables() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let (mut read, write) = std::io::pipe()?;
    let (input, mut feed) = std::io::pipe()?;
    feed.write_all(b"fed")?;
    drop(feed);
    let stdio = Stdio { input: Some(input.into()), output: write.into(), errors: null()? };
    let mut request = request(&["sh", "-c", "cat; echo; env | sort"])?;
    request.profile.env.push(EnvVariable { name: "CARGO_PKG_NAME".into(), value: None, why: "test".into() });
    let report = launcher().run(&request, stdio);
    let mut text = String::new();
    read.read_to_string(&mut text)?;
    assert_eq!(report.code, 0, "{:?}", report.reason);
    assert!(text.starts_with("fed\nCARGO_PKG_NAME=modelscan-sandbox-exec\nHOME=/tmp\nLANG=C.UTF-8\n"), "{text}");
    assert!(!text.contains("CARGO_MANIFEST"), "{text}");
    Ok(())
}

#[test]
fn prepared_sandboxes_run_one_command_each() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let request = request(&["sh", "-c", "echo $$ > /tmp/mine; ls /tmp"])?;
    let mut pool = Pool::new(launcher(), request.clone(), 2)?;
    for left in [1, 0, 0] {
        let report = pool.run(&request.command, Stdio { input: None, output: null()?, errors: null()? });
        assert_eq!((report.code, pool.available()), (0, left), "{:?}", report.reason);
    }
    pool.refill()?;
    assert_eq!(pool.available(), 2);
    Ok(())
}

#[test]
fn a_large_caller_has_no_longer_launch() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let time = || -> Result<Duration> {
        let mut best = Duration::MAX;
        for _ in 0..10 {
            let started = Instant::now();
            assert_eq!(run(&request(&["true"])?)?.0.code, 0);
            best = best.min(started.elapsed());
        }
        Ok(best)
    };
    let small = time()?;
    let held = vec![1u8; 512 << 20];
    let large = time()?;
    println!(
        "{small:?} from a small caller, {large:?} from one that holds {} MiB",
        held.iter().step_by(4096).map(|b| usize::from(*b)).sum::<usize>() / 256
    );
    assert!(large < small * 2 + Duration::from_millis(5), "{small:?} and {large:?}");
    Ok(())
}

#[test]
fn prepared_sandboxes_start_quickly() -> Result<()> {
    if !can_sandbox() {
        return Ok(());
    }
    let request = request(&["true"])?;
    let mut pool = Pool::new(launcher(), request.clone(), 20)?;
    let mut times = Vec::new();
    for _ in 0..20 {
        let stdio = Stdio { input: None, output: null()?, errors: null()? };
        let started = Instant::now();
        assert_eq!(pool.run(&request.command, stdio).code, 0);
        times.push(started.elapsed());
    }
    times.sort();
    println!("a run in a prepared sandbox: minimum {:?}, median {:?}", times.first(), times.get(10));
    assert!(times.first().is_some_and(|time| *time < Duration::from_millis(20)));
    Ok(())
}
