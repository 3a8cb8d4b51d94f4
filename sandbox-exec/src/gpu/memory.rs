//! The memory quota of a GPU during a run: set in the driver before the command starts, or polled. All of this happens after the last fork, when
//! the supervisor may have threads.

use std::ffi::CString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quantity::ByteSize;

use super::devices::{Gpu, MemoryEnforcement, MemoryQuota};
use crate::sys::error::Error;
use crate::sys::nvml::Nvml;
use crate::sys::process_tree;

/// The interval between two queries of memory use.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A quota in force.
#[derive(Debug)]
pub(crate) struct ActiveQuota {
    quota: MemoryQuota,
    monitor: Option<Arc<Monitor>>,
    /// The driver keeps the limit while the library is open.
    _driver: Option<Nvml>,
}

/// The state that the polling thread shares with the supervisor.
#[derive(Debug, Default)]
struct Monitor {
    /// Bytes in use by the run.
    used: AtomicU64,
    /// The driver no longer answers, so the quota is no longer enforced.
    failed: AtomicBool,
    /// The run has ended.
    stop: AtomicBool,
}

/// Enforces the quota for the descendants of the first process, which are in `cgroup` (its path within the hierarchy).
pub(crate) fn enforce(gpu: &Gpu, first_pid: i32, cgroup: Option<&Path>) -> Result<Option<ActiveQuota>, Error> {
    let Some(quota) = gpu.memory else {
        return Ok(None);
    };
    let (monitor, driver) = match quota.enforcement {
        MemoryEnforcement::Driver => (None, Some(set_driver_limit(gpu, quota, cgroup)?)),
        MemoryEnforcement::Polling | MemoryEnforcement::Mps => (Some(start_monitor(gpu.minor, first_pid)), None),
        MemoryEnforcement::Slice | MemoryEnforcement::None => (None, None),
    };
    Ok(Some(ActiveQuota { quota, monitor, _driver: driver }))
}

fn set_driver_limit(gpu: &Gpu, quota: MemoryQuota, cgroup: Option<&Path>) -> Result<Nvml, Error> {
    let failed = |reason: String| Error::CannotEnforce {
        protection: "gpu_memory".into(),
        reason,
        hint: "use a MIG slice (--gpu MIG-...) or a newer driver, or go on without it by --allow-weaker gpu_memory"
            .into(),
    };
    let cgroup = cgroup.ok_or_else(|| failed("the driver limits cgroups, and this run has none".into()))?;
    let name = CString::new(cgroup.as_os_str().as_encoded_bytes()).map_err(|e| failed(e.to_string()))?;
    let set = || -> io::Result<Nvml> {
        let driver = Nvml::open()?;
        driver.limit_memory(driver.by_minor(gpu.minor)?, &name, quota.bytes)?;
        Ok(driver)
    };
    set().map_err(|e| failed(e.to_string()))
}

/// Polls in a thread: the driver may be slow, and the time limit of the run must not wait for it.
fn start_monitor(minor: u32, first_pid: i32) -> Arc<Monitor> {
    let monitor = Arc::new(Monitor::default());
    let shared = Arc::clone(&monitor);
    std::thread::spawn(move || {
        let failed = |_| shared.failed.store(true, Ordering::Relaxed);
        let Ok(driver) = Nvml::open().map_err(failed) else { return };
        let Ok(device) = driver.by_minor(minor).map_err(failed) else { return };
        while !shared.stop.load(Ordering::Relaxed) {
            let own = process_tree::with_descendants(first_pid);
            let Ok(listed) = driver.processes(device).map_err(failed) else { return };
            let inside = listed.iter().filter(|(pid, _)| i32::try_from(*pid).is_ok_and(|pid| own.contains(&pid)));
            shared.used.store(inside.map(|(_, used)| *used).fold(0, u64::saturating_add), Ordering::Relaxed);
            std::thread::sleep(POLL_INTERVAL);
        }
    });
    monitor
}

impl ActiveQuota {
    /// As the report names it.
    pub(crate) fn name(&self) -> &'static str {
        self.quota.enforcement.name()
    }

    /// Whether [`Self::exceeded`] must be called regularly.
    pub(crate) fn is_polled(&self) -> bool {
        self.monitor.is_some()
    }

    /// Why the run must end now.
    pub(crate) fn exceeded(&self) -> Option<String> {
        let monitor = self.monitor.as_ref()?;
        if monitor.used.load(Ordering::Relaxed) > self.quota.bytes {
            return Some(format!("used more than {} of the GPU's memory", ByteSize(self.quota.bytes)));
        }
        // An MPS daemon limits its clients without being polled.
        let unenforced = self.quota.enforcement == MemoryEnforcement::Polling && monitor.failed.load(Ordering::Relaxed);
        unenforced.then(|| "the driver no longer reports the use of the GPU's memory".to_owned())
    }
}

impl Drop for ActiveQuota {
    fn drop(&mut self) {
        if let Some(monitor) = &self.monitor {
            monitor.stop.store(true, Ordering::Relaxed);
        }
    }
}
