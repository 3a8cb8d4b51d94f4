//! The device nodes of one GPU or one MIG slice, and how its memory quota is enforced. For a whole GPU the kernel's `/proc` is enough; slices
//! and quotas need the driver's library (`driver.rs`).
//!
//! Source: NVIDIA, MIG User Guide ("Device Nodes and Capabilities") and Multi-Process Service.

use std::fs;
use std::path::{Path, PathBuf};

use super::driver::{self, DriverInfo};
use crate::policy::mount_entry::MountEntry;
use crate::policy::request::Request;
use crate::sys::calls;
use crate::sys::error::Error;

/// A GPU inside the sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Gpu {
    pub(crate) nodes: Vec<PathBuf>,
    /// Further mounts: the folder of an MPS daemon.
    pub(crate) entries: Vec<MountEntry>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) minor: u32,
    pub(crate) memory: Option<MemoryQuota>,
}

/// A memory quota and what enforces it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryQuota {
    pub(crate) bytes: u64,
    pub(crate) enforcement: MemoryEnforcement,
}

/// From the strongest to the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryEnforcement {
    /// The MIG slice has no more memory.
    Slice,
    /// The driver limits the run's cgroup.
    Driver,
    /// An MPS daemon limits its clients. A process may bypass the daemon, so use is polled as well.
    Mps,
    /// Use is polled, and a run over the quota is killed: with a delay.
    Polling,
    /// Waived.
    None,
}

impl MemoryEnforcement {
    /// As the report names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Slice => "mig",
            Self::Driver => "nvml",
            Self::Mps => "mps",
            Self::Polling => "nvml-watch",
            Self::None => "none",
        }
    }
}

/// The folder of the MPS control daemon, on the host and inside.
const MPS_FOLDER: &str = "/tmp/nvidia-mps";
const MPS_FOLDER_INSIDE: &str = "/run/nvidia-mps";

/// The folders in which a host shows its GPUs; tests use others.
struct HostPaths<'a> {
    dev: &'a Path,
    proc: &'a Path,
    mps: &'a Path,
}

type Query<'a> = &'a dyn Fn(&str) -> Result<DriverInfo, Error>;

/// Finds a GPU by number or UUID, or a MIG slice by UUID.
pub(crate) fn find(gpu: &str, request: &Request) -> Result<Gpu, Error> {
    let host = HostPaths { dev: Path::new("/dev"), proc: Path::new("/proc/driver/nvidia"), mps: Path::new(MPS_FOLDER) };
    host.find(gpu, request, &driver::query)
}

impl HostPaths<'_> {
    fn find(&self, which: &str, request: &Request, query: Query<'_>) -> Result<Gpu, Error> {
        if which.is_empty() || !which.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'/') {
            return Err(Error::request("gpu", format!("`{which}` is not a GPU"))
                .with_hint("write its number, or a UUID as nvidia-smi -L shows it"));
        }
        let is_slice = which.starts_with("MIG-");
        // The query takes long, so it is made only where its answer is used.
        let info = (is_slice || request.gpu_memory.is_some()).then(|| query(which));
        let minor = match (which.parse::<u32>(), &info) {
            (Ok(minor), _) => minor,
            (Err(_), Some(info)) if is_slice => info.as_ref().map_err(|error| unavailable(&error.detail()))?.minor,
            (Err(_), _) => self.minor_of(which).ok_or_else(|| unavailable(&format!("no GPU has the UUID {which}")))?,
        };
        let mut gpu = Gpu {
            nodes: self.nodes(minor)?,
            entries: Vec::new(),
            env: vec![("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned())],
            minor,
            memory: None,
        };
        if let (true, Some(Ok(info))) = (is_slice, &info) {
            gpu.nodes.extend(self.capabilities(info)?);
            gpu.env.push(("CUDA_VISIBLE_DEVICES".to_owned(), which.to_owned()));
        }
        if let (Some(size), Some(info)) = (request.gpu_memory, info) {
            let enforcement = self.enforcement(size.0, is_slice, info, request, &mut gpu)?;
            gpu.memory = Some(MemoryQuota { bytes: size.0, enforcement });
        }
        Ok(gpu)
    }

    /// The GPU's own node and the two shared ones. Not nvidia-uvm-tools, which reads other processes, and not nvidia-modeset, which drives displays.
    fn nodes(&self, minor: u32) -> Result<Vec<PathBuf>, Error> {
        let own = self.dev.join(format!("nvidia{minor}"));
        if !own.exists() {
            return Err(unavailable(&format!("{} does not exist", own.display())));
        }
        let shared = ["nvidiactl", "nvidia-uvm"].map(|name| self.dev.join(name));
        Ok(std::iter::once(own).chain(shared.into_iter().filter(|node| node.exists())).collect())
    }

    /// The minor number of the GPU with a UUID, from its page in `/proc`.
    fn minor_of(&self, uuid: &str) -> Option<u32> {
        let pages = fs::read_dir(self.proc.join("gpus")).ok()?;
        pages.flatten().find_map(|gpu| minor_on_page(&fs::read_to_string(gpu.path().join("information")).ok()?, uuid))
    }

    /// The nodes of a slice's two capabilities: of its GPU instance and of its compute instance.
    fn capabilities(&self, info: &DriverInfo) -> Result<[PathBuf; 2], Error> {
        let (instance, compute) = info.slice.ok_or_else(|| unavailable("the driver does not report it as a slice"))?;
        let folder = self.proc.join(format!("capabilities/gpu{}/mig/gi{instance}", info.minor));
        let node = |page: PathBuf| {
            let text = fs::read_to_string(&page).map_err(|e| unavailable(&format!("{}: {e}", page.display())))?;
            let minor = field(&text, "DeviceFileMinor").and_then(|minor| minor.parse::<u32>().ok());
            let minor = minor.ok_or_else(|| unavailable(&format!("{} names no node", page.display())))?;
            let node = self.dev.join(format!("nvidia-caps/nvidia-cap{minor}"));
            if node.exists() { Ok(node) } else { Err(unavailable(&format!("{} does not exist", node.display()))) }
        };
        Ok([node(folder.join("access"))?, node(folder.join(format!("ci{compute}/access")))?])
    }

    /// The strongest enforcement that this host has.
    fn enforcement(
        &self,
        bytes: u64,
        is_slice: bool,
        info: Result<DriverInfo, Error>,
        request: &Request,
        gpu: &mut Gpu,
    ) -> Result<MemoryEnforcement, Error> {
        let waived = |reason: &str, hint: &str| {
            request.require(false, "gpu_memory", reason, hint).map(|()| MemoryEnforcement::None)
        };
        if is_slice {
            let total = info.map_or(u64::MAX, |info| info.total_memory);
            if total <= bytes {
                return Ok(MemoryEnforcement::Slice);
            }
            let reason = format!("the slice holds {} MiB, and a part of a slice cannot be limited", total >> 20);
            return waived(&reason, "choose a smaller slice, or a quota of at least its memory");
        }
        if info.as_ref().is_ok_and(|info| info.can_limit_memory) && calls::effective_ids().0 == 0 {
            return Ok(MemoryEnforcement::Driver);
        }
        if self.mps.join("control").exists() {
            gpu.entries.push(MountEntry::folder(self.mps, Path::new(MPS_FOLDER_INSIDE)));
            gpu.env.push(("CUDA_MPS_PIPE_DIRECTORY".into(), MPS_FOLDER_INSIDE.into()));
            gpu.env.push(("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT".into(), format!("0={}M", bytes >> 20)));
            return Ok(MemoryEnforcement::Mps);
        }
        match info {
            Ok(_) => Ok(MemoryEnforcement::Polling),
            Err(error) => waived(
                &format!("no MPS control daemon runs; {}", error.detail()),
                "use a MIG slice, install the driver's libnvidia-ml.so.1, or start nvidia-cuda-mps-control -d",
            ),
        }
    }
}

fn unavailable(reason: &str) -> Error {
    let hint = "load the driver (nvidia-smi creates the nodes), or choose another by --gpu".to_owned();
    Error::CannotEnforce { protection: "gpu".into(), reason: reason.into(), hint }
}

fn minor_on_page(page: &str, uuid: &str) -> Option<u32> {
    (field(page, "GPU UUID") == Some(uuid)).then(|| field(page, "Device Minor")?.parse().ok()).flatten()
}

fn field<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(name)?.split_once(':').map(|(_, value)| value.trim()))
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
