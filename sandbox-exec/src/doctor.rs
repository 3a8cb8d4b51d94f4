//! What this host can enforce, found by trying, and how to get the missing protections.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::cgroup::parents::CgroupParents;
use crate::gpu::driver;
use crate::policy::exit_report::Outcome;
use crate::policy::profile::Profile;
use crate::policy::request::Request;
use crate::supervisor::run_here;
use crate::supervisor::streams::Stdio;
use crate::sys::calls;
use crate::sys::error::Error;

/// One protection.
struct DoctorRow {
    name: &'static str,
    available: bool,
    found: String,
    hint: &'static str,
}

/// Rows that a default run does not need.
const OPTIONAL: [&str; 2] = ["gpu", "device program"];

/// Returns a table for people, and an exit code: 0 when a default run has all its protections, else 1.
pub fn doctor() -> (String, u8) {
    let mut rows = vec![sandbox()];
    rows.extend(kernel());
    rows.extend(cgroups());
    rows.push(gpu());
    let mut out = String::new();
    for row in &rows {
        let state = if row.available { "ok     " } else { "missing" };
        out.push_str(&format!("{state} {:<18} {}\n", row.name, row.found));
        if !row.available {
            out.push_str(&format!("        {:<18} to get it: {}\n", "", row.hint));
        }
    }
    let is_missing = |row: &DoctorRow| !row.available && !OPTIONAL.contains(&row.name);
    let code = u8::from(rows.iter().any(is_missing));
    out.push_str(if code == 0 {
        "A default run has all that it asks for.\n"
    } else {
        "A default run is refused here; --allow-weaker NAME goes on without what is missing.\n"
    });
    (out, code)
}

/// The sandbox as a whole: runs `true` in it, without the quotas, which have their own rows.
fn sandbox() -> DoctorRow {
    let run = || -> Result<_, Error> {
        let mut request = Request::new(Profile::load("eval")?, ["true"]);
        request.allow_degraded = ["memory", "pids", "cpus", "landlock"].map(String::from).to_vec();
        let null = || null().map_err(|e| Error::setup("opening /dev/null", e));
        Ok(run_here(&request, Stdio { input: None, output: null()?, errors: null()? }))
    };
    let (available, found) = match run() {
        Ok(report) if report.outcome == Outcome::Exited && report.code == 0 => {
            let denials = if report.enforced.seccomp_notify {
                "denied calls are reported"
            } else {
                "denied calls are not reported (another seccomp filter has a listener)"
            };
            (true, format!("works: namespaces, private root, seccomp; {denials}"))
        }
        Ok(report) => (false, report.reason.unwrap_or_else(|| format!("the trial run ended with {}", report.code))),
        Err(error) => (false, error.to_string()),
    };
    DoctorRow {
        name: "sandbox",
        available,
        found,
        hint: "see the reason; run as root, or allow user namespaces for this program",
    }
}

fn null() -> io::Result<OwnedFd> {
    Ok(fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into())
}

fn kernel() -> [DoctorRow; 2] {
    let abi = calls::landlock_abi();
    let note = if abi < 6 { " (6 and newer restrict signals and abstract sockets)" } else { "" };
    let setting = fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").unwrap_or_default();
    let is_restricted = setting.trim() == "1";
    [
        DoctorRow {
            name: "landlock",
            available: abi > 0,
            found: format!("ABI {abi}{note}"),
            hint: "boot with lsm=landlock,... on kernel 5.13 or newer",
        },
        DoctorRow {
            name: "user namespaces",
            available: calls::effective_ids().0 == 0 || !is_restricted,
            found: if is_restricted { "restricted by AppArmor".into() } else { "available".into() },
            hint: "install an AppArmor profile with `userns,` for this program, or run as root",
        },
    ]
}

fn cgroups() -> [DoctorRow; 4] {
    let parents = CgroupParents::find();
    let version = parents.version.map_or("none", |version| version.name());
    let row = |name, path: &Option<PathBuf>| DoctorRow {
        name,
        available: path.is_some(),
        found: path.as_ref().map_or_else(
            || "no cgroup can be created here".into(),
            |path| format!("{version}, below {}", path.display()),
        ),
        hint: "run as root, or where systemd serves this user (loginctl enable-linger) and delegates memory, pids and cpu",
    };
    let has_device_rules = parents.version.is_some() && calls::effective_ids().0 == 0;
    let found = if has_device_rules { "by cgroup" } else { "only the named nodes exist, and none can be created" };
    [
        row("memory", &parents.memory),
        row("pids", &parents.pids),
        row("cpus", &parents.cpu),
        DoctorRow {
            name: "device program",
            available: has_device_rules,
            found: found.into(),
            hint: "run as root (only needed as a second layer)",
        },
    ]
}

fn gpu() -> DoctorRow {
    let available = Path::new("/dev/nvidiactl").exists();
    let quota = || match driver::query("0") {
        Ok(info) if info.can_limit_memory && calls::effective_ids().0 == 0 => {
            "by the driver (nvml), or a MIG slice".to_owned()
        }
        Ok(_) => "by a MIG slice; else only polled (mps, nvml-watch)".to_owned(),
        Err(error) => format!("none unless an MPS daemon runs: {}", error.detail()),
    };
    DoctorRow {
        name: "gpu",
        available,
        found: if available {
            format!("nvidia nodes exist; memory quota {}", quota())
        } else {
            "no nvidia nodes".into()
        },
        hint: "load the NVIDIA driver, if this machine has a GPU",
    }
}
