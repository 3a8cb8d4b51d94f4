//! The memory quota of a GPU while a run goes on: set in the driver before the command starts, or watched. All of it happens after the last
//! fork, when the supervisor may have threads.

use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::gpu::{Gpu, Means, Quota};
use quantity::ByteSize;
use crate::sys::Nvml;
use crate::watchdog;

/// How often the driver is asked who uses how much.
const WATCH: Duration = Duration::from_millis(100);

/// A quota that is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    quota: Quota,
    watch: Option<Arc<Watch>>,
    /// The limit holds as long as the library is open.
    _driver: Option<Nvml>,
}

#[derive(Debug, Default)]
struct Watch {
    used: AtomicU64,
    /// The driver does not tell any more: a quota that nobody sees is none.
    blind: AtomicBool,
    over: AtomicBool,
}

/// Begins to keep the quota for those who descend from the first process and are in the cgroup.
pub(crate) fn keep(gpu: &Gpu, first: i32, cgroup: Option<&Path>) -> Result<Option<Kept>, Error> {
    let Some(quota) = gpu.memory else {
        return Ok(None);
    };
    let kept = match quota.means {
        Means::Driver => Kept { quota, watch: None, _driver: Some(limit(gpu, quota, cgroup)?) },
        Means::Watch | Means::Mps => Kept { quota, watch: Some(watch(gpu.minor, first)), _driver: None },
        Means::Slice | Means::Nothing => Kept { quota, watch: None, _driver: None },
    };
    Ok(Some(kept))
}

fn limit(gpu: &Gpu, quota: Quota, cgroup: Option<&Path>) -> Result<Nvml, Error> {
    let failed = |why: String| Error::CannotEnforce {
        what: "gpu_memory".into(),
        why,
        mend: "give a MIG slice (--gpu MIG-...), or a newer driver".into(),
    };
    let cgroup = cgroup.ok_or_else(|| failed("the driver limits cgroups, and this run has none".into()))?;
    let name = CString::new(cgroup.as_os_str().as_encoded_bytes()).map_err(|e| failed(e.to_string()))?;
    let set = || -> std::io::Result<Nvml> {
        let driver = Nvml::open()?;
        driver.limit_memory(driver.by_minor(gpu.minor)?, &name, quota.bytes)?;
        Ok(driver)
    };
    set().map_err(|e| failed(e.to_string()))
}

/// In a thread: the driver may take its time, and the clock of the run must not wait for it.
fn watch(minor: u32, first: i32) -> Arc<Watch> {
    let watch = Arc::new(Watch::default());
    let shared = Arc::clone(&watch);
    std::thread::spawn(move || {
        let blind = |_| shared.blind.store(true, Ordering::Relaxed);
        let Ok(driver) = Nvml::open().map_err(blind) else { return };
        let Ok(device) = driver.by_minor(minor).map_err(blind) else { return };
        while !shared.over.load(Ordering::Relaxed) {
            let own = watchdog::descendants(first);
            let Ok(listed) = driver.processes(device).map_err(blind) else { return };
            let inside = listed.iter().filter(|(pid, _)| i32::try_from(*pid).is_ok_and(|pid| own.contains(&pid)));
            shared.used.store(inside.map(|(_, used)| *used).fold(0, u64::saturating_add), Ordering::Relaxed);
            std::thread::sleep(WATCH);
        }
    });
    watch
}

impl Kept {
    /// As the report names it.
    pub(crate) fn name(&self) -> &'static str {
        self.quota.means.name()
    }

    /// Whether it must be looked at now and then.
    pub(crate) fn watched(&self) -> bool {
        self.watch.is_some()
    }

    /// Why the run must end now.
    pub(crate) fn exceeded(&self) -> Option<String> {
        let watch = self.watch.as_ref()?;
        if watch.used.load(Ordering::Relaxed) > self.quota.bytes {
            return Some(format!("used more than {} of the GPU's memory", ByteSize(self.quota.bytes)));
        }
        // An MPS daemon limits its clients whether or not anybody watches.
        let blind = self.quota.means == Means::Watch && watch.blind.load(Ordering::Relaxed);
        blind.then(|| "the driver no longer tells who uses the GPU's memory".to_owned())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.over.store(true, Ordering::Relaxed);
        }
    }
}
