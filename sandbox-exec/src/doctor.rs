//! What this host can enforce, found by trying, and how to get what is missing.

use std::fs;
use std::path::Path;

use crate::cgroup_place::Place;
use crate::profile::Profile;
use crate::request::Request;
use crate::streams::Stdio;
use crate::{Outcome, gpu_driver, run_here, sys};

struct Row {
    what: &'static str,
    there: bool,
    found: String,
    mend: &'static str,
}

/// A table for people, and 0 when everything that a default run asks for is there, 1 otherwise.
pub fn doctor() -> (String, u8) {
    let mut rows = vec![whole()];
    rows.extend(kernel());
    rows.extend(cgroups());
    rows.push(gpu());
    let mut out = String::new();
    for row in &rows {
        out.push_str(&format!("{} {:<18} {}\n", if row.there { "ok     " } else { "missing" }, row.what, row.found));
        if !row.there {
            out.push_str(&format!("        {:<18} to get it: {}\n", "", row.mend));
        }
    }
    let needed = rows.iter().filter(|row| row.what != "gpu" && row.what != "device program");
    let code = u8::from(needed.clone().any(|row| !row.there));
    out.push_str(if code == 0 {
        "A default run has all that it asks for.\n"
    } else {
        "A default run is refused here; --allow-weaker NAME goes on without what is missing.\n"
    });
    (out, code)
}

/// The walls as a whole, by building them around a program that does nothing.
fn whole() -> Row {
    let null = || fs::OpenOptions::new().read(true).write(true).open("/dev/null").map(Into::into);
    let tried = Profile::load("eval").map_err(|e| e.to_string()).and_then(|profile| {
        let mut request = Request::new(profile, ["true"]);
        request.weaker = ["memory", "pids", "cpus", "landlock"].map(String::from).to_vec();
        let stdio = Stdio {
            input: None,
            output: null().map_err(|e: std::io::Error| e.to_string())?,
            errors: null().map_err(|e: std::io::Error| e.to_string())?,
        };
        Ok(run_here(&request, stdio))
    });
    let (there, found) = match tried {
        Ok(report) if report.outcome == Outcome::Exited && report.code == 0 => {
            let told = if report.enforced.seccomp_notify {
                "refused calls are reported"
            } else {
                "refused calls are refused in silence (another filter listens already)"
            };
            (true, format!("namespaces, root, seccomp stand; {told}"))
        }
        Ok(report) => (false, report.reason.unwrap_or_else(|| format!("the trial ended with {}", report.code))),
        Err(error) => (false, error),
    };
    Row { what: "walls", there, found, mend: "see the reason; run as root, or allow user namespaces for this program" }
}

fn kernel() -> Vec<Row> {
    let abi = sys::landlock_abi();
    let setting = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let restricted = setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1");
    let (uid, _) = sys::ids();
    vec![
        Row {
            what: "landlock",
            there: abi > 0,
            found: format!(
                "ABI {abi}{}",
                if abi < 6 { " (signals and abstract sockets are scoped from 6 on)" } else { "" }
            ),
            mend: "boot with lsm=landlock,... on kernel 5.13 or newer",
        },
        Row {
            what: "user namespaces",
            there: uid == 0 || !restricted,
            found: if restricted { "restricted by AppArmor".into() } else { "open".into() },
            mend: "install an AppArmor profile with `userns,` for this program, or run as root",
        },
    ]
}

fn cgroups() -> Vec<Row> {
    let place = Place::find();
    let name = place.version.map_or("none", |version| version.name());
    let row = |what, path: &Option<std::path::PathBuf>| Row {
        what,
        there: path.is_some(),
        found: path
            .as_ref()
            .map_or_else(|| "no cgroup may be made here".into(), |path| format!("{name}, below {}", path.display())),
        mend: "run as root, or where systemd serves this user (loginctl enable-linger) and hands him memory, pids and cpu",
    };
    let device = match place.version {
        Some(_) if sys::ids().0 == 0 => (true, "by cgroup"),
        _ => (false, "only the nodes named are there, and none can be made"),
    };
    vec![
        row("memory", &place.memory),
        row("pids", &place.pids),
        row("cpus", &place.cpu),
        Row {
            what: "device program",
            there: device.0,
            found: device.1.into(),
            mend: "run as root (only needed as a second layer)",
        },
    ]
}

fn gpu() -> Row {
    let there = Path::new("/dev/nvidiactl").exists();
    let quota = || match gpu_driver::ask("0") {
        Ok(told) if told.limits && sys::ids().0 == 0 => "by the driver (nvml), or a MIG slice".to_owned(),
        Ok(_) => "by a MIG slice; else only watched (mps, nvml-watch)".to_owned(),
        Err(why) => format!("none unless an MPS daemon runs: {why}"),
    };
    Row {
        what: "gpu",
        there,
        found: if there {
            format!("nvidia nodes are there; memory quota {}", quota())
        } else {
            "no nvidia nodes".into()
        },
        mend: "load the NVIDIA driver, if this machine has a GPU",
    }
}
