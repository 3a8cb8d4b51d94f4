//! GPUs without a GPU: device nodes of NVIDIA's major number created by `mknod`, and a driver library of a few lines of C. Opening a node
//! without a driver fails with ENXIO where the rules permit it, and with EPERM or ENOENT where they do not.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

mod support;

use support::{Result, can_sandbox, launcher, null, request, run};

use fixtures::Need;
use sandbox_exec::{ByteSize, ExitReport, Outcome, Profile, Request, Stdio, TimeSpan};

/// The nodes are global, so these tests run one at a time.
static NODES: Mutex<()> = Mutex::new(());

/// Created nodes; dropping them deletes them.
struct Nodes(Vec<PathBuf>);

impl Nodes {
    fn make() -> Result<Self> {
        let mut made = Self(Vec::new());
        for (name, minor) in [("nvidia77", 77), ("nvidia78", 78), ("nvidiactl", 255)] {
            let path = Path::new("/dev").join(name);
            if path.exists() {
                continue;
            }
            let mode = rustix::fs::Mode::from_bits_truncate(0o666);
            let device = rustix::fs::makedev(195, minor);
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::CharacterDevice, mode, device)?;
            made.0.push(path.clone());
            rustix::fs::chmodat(rustix::fs::CWD, &path, mode, rustix::fs::AtFlags::empty())?;
        }
        Ok(made)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether nodes can be created on this host; skips the test if not.
fn can_make_nodes() -> bool {
    if !can_sandbox() {
        return false;
    }
    if !rustix::process::geteuid().is_root() {
        fixtures::skip(Need::Root, "only root can create device nodes");
        return false;
    }
    true
}

fn gpu_request(script: &str) -> Result<Request> {
    let mut request = request(&["bash", "-c", script])?;
    request.profile = Profile::load("gpu-eval")?;
    request.profile.limits.timeout = TimeSpan(Duration::from_secs(10));
    request.gpu = Some("77".into());
    Ok(request)
}

/// A folder with a library in place of the driver's, and the file in which it records calls.
struct Driver(PathBuf);

impl Driver {
    fn compile(name: &str, old: bool) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("modelscan-nvml-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let driver = Self(folder);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_nvml.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(driver.0.join("libnvidia-ml.so.1")).arg(source);
        if old {
            cc.arg("-DOLD");
        }
        if !cc.status()?.success() {
            return Err("the fake driver does not compile".into());
        }
        Ok(driver)
    }

    fn run(&self, request: &Request) -> Result<ExitReport> {
        let launcher = launcher().env("LD_LIBRARY_PATH", &self.0).env("FAKE_NVML", self.0.join("asked"));
        Ok(launcher.run(request, Stdio { input: None, output: null()?, errors: null()? }))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn only_the_requested_gpu_is_accessible() -> Result<()> {
    if !can_make_nodes() {
        return Ok(());
    }
    let _alone = NODES.lock().map_err(|_| "another test panicked")?;
    let _nodes = Nodes::make()?;
    let script = "exec 2>&1; ls /dev | grep nvidia[0-9]; : < /dev/nvidia77; : < /dev/nvidia78";
    let (report, text) = run(&gpu_request(script)?)?;
    let seen: Vec<_> = text.lines().filter(|line| line.starts_with("nvidia")).collect();
    assert_eq!(seen, ["nvidia77"], "{:?}", report.reason);
    assert!(text.contains("nvidia77: No such device or address"), "{text}");
    assert!(text.contains("nvidia78: No such file or directory"), "{text}");
    Ok(())
}

#[test]
fn an_unenforceable_memory_quota_is_refused_or_waived_by_name() -> Result<()> {
    if !can_make_nodes() {
        return Ok(());
    }
    let _alone = NODES.lock().map_err(|_| "another test panicked")?;
    let _nodes = Nodes::make()?;
    let mut request = gpu_request("true")?;
    request.gpu_memory = Some(ByteSize(1 << 30));
    let (report, _) = run(&request)?;
    if report.enforced.gpu_memory.is_some() {
        let driver = report.enforced.gpu_memory;
        fixtures::skip(Need::Machine, format!("this machine has a driver, which enforces the quota: {driver:?}"));
        return Ok(());
    }
    let why = report.reason.unwrap_or_default();
    assert!(report.code == 125 && why.contains("gpu_memory") && why.contains("libnvidia-ml"), "{why}");
    request.allow_degraded.push("gpu_memory".into());
    let (report, _) = run(&request)?;
    assert_eq!((report.code, report.enforced.gpu_memory.as_deref()), (0, Some("none")), "{:?}", report.reason);
    Ok(())
}

#[test]
fn a_new_driver_limits_the_cgroup_of_the_run() -> Result<()> {
    if !can_make_nodes() {
        return Ok(());
    }
    let _alone = NODES.lock().map_err(|_| "another test panicked")?;
    let _nodes = Nodes::make()?;
    let driver = Driver::compile("new", false)?;
    let mut request = gpu_request("true")?;
    request.gpu_memory = Some(ByteSize(1 << 30));
    let report = driver.run(&request)?;
    if !report.enforced.memory.starts_with("cgroup") {
        let why = report.reason;
        fixtures::skip(Need::Sandbox, format!("no cgroups here, and the driver limits only those: {why:?}"));
        return Ok(());
    }
    assert_eq!((report.code, report.enforced.gpu_memory.as_deref()), (0, Some("nvml")), "{:?}", report.reason);
    let asked = fs::read_to_string(driver.0.join("asked"))?;
    let words: Vec<_> = asked.split_whitespace().collect();
    assert!(
        matches!(words.as_slice(), ["limit", group, "1073741824"] if group.starts_with('/')
        && group.contains("/modelscan-")),
        "{asked}"
    );
    Ok(())
}

#[test]
fn with_an_old_driver_a_run_over_the_quota_is_killed() -> Result<()> {
    if !can_make_nodes() {
        return Ok(());
    }
    let _alone = NODES.lock().map_err(|_| "another test panicked")?;
    let _nodes = Nodes::make()?;
    let driver = Driver::compile("old", true)?;
    let mut request = gpu_request("exec 3<>/proc/self/comm; printf gpu-hog >&3; sleep 8; :")?;
    request.gpu_memory = Some(ByteSize(1 << 30));
    let report = driver.run(&request)?;
    let reason = report.reason.clone().unwrap_or_default();
    assert_eq!((report.outcome, report.code), (Outcome::Memory, 137), "{reason}");
    assert_eq!(report.enforced.gpu_memory.as_deref(), Some("nvml-watch"));
    assert!(reason.contains("1GiB of the GPU's memory") && report.wall_ms < 5_000, "{reason} {}", report.wall_ms);
    assert!(report.violations.iter().any(|violation| violation.what == "gpu_memory"));
    // The same within the quota.
    request.gpu_memory = Some(ByteSize(3 << 30));
    request.command.argv[2] = "exec 3<>/proc/self/comm; printf gpu-hog >&3; sleep 0.4; :".into();
    let report = driver.run(&request)?;
    assert_eq!((report.outcome, report.code), (Outcome::Exited, 0), "{:?}", report.reason);
    Ok(())
}
