//! One GPU or one slice of one, and nothing else: which nodes it has, and by what its memory quota will be kept. What the kernel's `/proc`
//! tells is enough for a whole GPU; slices and quotas need the driver's library, which is asked by `gpu_driver.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::gpu_driver::{self, Told};
use crate::plan::Entry;
use crate::request::Request;

/// A GPU as it is seen inside.
#[derive(Clone, Debug)]
pub(crate) struct Gpu {
    pub(crate) nodes: Vec<PathBuf>,
    /// What else must be inside: the folder of an MPS daemon.
    pub(crate) entries: Vec<Entry>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) minor: u32,
    pub(crate) memory: Option<Quota>,
}

/// A memory quota, and what keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    pub(crate) bytes: u64,
    pub(crate) means: Means,
}

/// From the strongest to the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// The slice has no more memory than that.
    Slice,
    /// The driver limits the run's cgroup.
    Driver,
    /// An MPS daemon limits its clients; one that goes past the daemon is only watched.
    Mps,
    /// The driver is asked again and again, and a run that uses more is killed: late.
    Watch,
    /// Waived.
    Nothing,
}

impl Means {
    /// As the report names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Slice => "mig",
            Self::Driver => "nvml",
            Self::Mps => "mps",
            Self::Watch => "nvml-watch",
            Self::Nothing => "none",
        }
    }
}

/// Where an MPS control daemon listens, and where that is inside.
const MPS: &str = "/tmp/nvidia-mps";
const MPS_INSIDE: &str = "/run/nvidia-mps";

/// Where the kernel shows devices; another place in tests.
struct Host<'a> {
    dev: &'a Path,
    proc: &'a Path,
    mps: &'a Path,
}

/// Finds the nodes of a GPU given by number or UUID, or of a slice given by UUID.
pub(crate) fn find(which: &str, request: &Request) -> Result<Gpu, Error> {
    let host = Host { dev: Path::new("/dev"), proc: Path::new("/proc/driver/nvidia"), mps: Path::new(MPS) };
    host.find(which, request, &gpu_driver::ask)
}

impl Host<'_> {
    fn find(&self, which: &str, request: &Request, ask: &dyn Fn(&str) -> Result<Told, String>) -> Result<Gpu, Error> {
        if which.is_empty() || !which.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'/') {
            return Err(Error::Request(format!(
                "`{which}` is no GPU: write its number, or a UUID as nvidia-smi -L shows it"
            )));
        }
        let slice = which.starts_with("MIG-");
        let told = if slice || request.gpu_memory.is_some() { ask(which) } else { Err(String::new()) };
        let minor = match which.parse::<u32>() {
            Ok(minor) => minor,
            Err(_) if slice => told.as_ref().map_err(|why| missing(why))?.minor,
            Err(_) => self.minor_of(which).ok_or_else(|| missing(&format!("no GPU has the UUID {which}")))?,
        };
        let own = self.dev.join(format!("nvidia{minor}"));
        if !own.exists() {
            return Err(missing(&format!("{} is not there", own.display())));
        }
        // Not nvidia-uvm-tools (reads other processes) and not nvidia-modeset (displays).
        let shared = ["nvidiactl", "nvidia-uvm"].map(|name| self.dev.join(name));
        let mut nodes: Vec<PathBuf> =
            std::iter::once(own).chain(shared.into_iter().filter(|node| node.exists())).collect();
        let mut env = vec![("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned())];
        if let (true, Ok(told)) = (slice, &told) {
            nodes.extend(self.capabilities(told)?);
            env.push(("CUDA_VISIBLE_DEVICES".to_owned(), which.to_owned()));
        }
        let mut gpu = Gpu { nodes, entries: Vec::new(), env, minor, memory: None };
        if let Some(size) = request.gpu_memory {
            gpu.memory = Some(Quota { bytes: size.0, means: self.means(size.0, slice, told, request, &mut gpu)? });
        }
        Ok(gpu)
    }

    /// The kernel tells each GPU's UUID and minor in a page of its own.
    fn minor_of(&self, uuid: &str) -> Option<u32> {
        let pages = fs::read_dir(self.proc.join("gpus")).ok()?;
        pages.flatten().find_map(|gpu| minor_on_page(&fs::read_to_string(gpu.path().join("information")).ok()?, uuid))
    }

    /// A slice is opened by the nodes of two capabilities: that of its GPU instance and that of its compute instance.
    fn capabilities(&self, told: &Told) -> Result<[PathBuf; 2], Error> {
        let (instance, compute) = told.slice.ok_or_else(|| missing("the driver does not call it a slice"))?;
        let folder = self.proc.join(format!("capabilities/gpu{}/mig/gi{instance}", told.minor));
        let node = |page: PathBuf| {
            let text = fs::read_to_string(&page).map_err(|e| missing(&format!("{}: {e}", page.display())))?;
            let minor = field(&text, "DeviceFileMinor").and_then(|minor| minor.parse::<u32>().ok());
            let minor = minor.ok_or_else(|| missing(&format!("{} names no node", page.display())))?;
            let node = self.dev.join(format!("nvidia-caps/nvidia-cap{minor}"));
            if node.exists() { Ok(node) } else { Err(missing(&format!("{} is not there", node.display()))) }
        };
        Ok([node(folder.join("access"))?, node(folder.join(format!("ci{compute}/access")))?])
    }

    /// The strongest means that is present.
    fn means(
        &self,
        bytes: u64,
        slice: bool,
        told: Result<Told, String>,
        request: &Request,
        gpu: &mut Gpu,
    ) -> Result<Means, Error> {
        let refuse = |why: String, mend: &str| match request.accepts_weaker("gpu_memory") {
            true => Ok(Means::Nothing),
            false => Err(Error::CannotEnforce { what: "gpu_memory".into(), why, mend: mend.into() }),
        };
        if slice {
            let total = told.map_or(u64::MAX, |told| told.total);
            if total <= bytes {
                return Ok(Means::Slice);
            }
            let why = format!("the slice holds {} MiB, and a part of a slice cannot be limited", total >> 20);
            return refuse(why, "choose a smaller slice, or ask for no less than it holds");
        }
        if told.as_ref().is_ok_and(|told| told.limits) && crate::sys::ids().0 == 0 {
            return Ok(Means::Driver);
        }
        if self.mps.join("control").exists() {
            gpu.entries.push(Entry::folder(self.mps, Path::new(MPS_INSIDE)));
            gpu.env.push(("CUDA_MPS_PIPE_DIRECTORY".into(), MPS_INSIDE.into()));
            gpu.env.push(("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT".into(), format!("0={}M", bytes >> 20)));
            return Ok(Means::Mps);
        }
        match told {
            Ok(_) => Ok(Means::Watch),
            Err(why) => refuse(
                format!("no MPS control daemon runs, and the driver cannot be asked: {why}"),
                "give a MIG slice, install the driver's libnvidia-ml.so.1, or start nvidia-cuda-mps-control -d",
            ),
        }
    }
}

fn missing(why: &str) -> Error {
    let mend = "load the driver (nvidia-smi makes the nodes), or choose another by --gpu".to_owned();
    Error::CannotEnforce { what: "gpu".into(), why: why.into(), mend }
}

fn minor_on_page(page: &str, uuid: &str) -> Option<u32> {
    (field(page, "GPU UUID") == Some(uuid)).then(|| field(page, "Device Minor")?.parse().ok()).flatten()
}

fn field<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(name)?.split_once(':').map(|(_, value)| value.trim()))
}

#[cfg(test)]
#[path = "gpu_tests.rs"]
mod tests;
