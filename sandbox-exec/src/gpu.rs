//! One GPU and no other: which nodes it has, and by what its memory quota is kept. Nothing here needs a driver library; what the kernel's
//! `/proc/driver/nvidia` tells is enough.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::request::Request;

/// A GPU as it is seen inside.
#[derive(Clone, Debug)]
pub(crate) struct Gpu {
    pub(crate) nodes: Vec<PathBuf>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) memory: Option<String>,
}

/// Where an MPS control daemon listens.
const MPS: &str = "/tmp/nvidia-mps";

/// Finds the nodes of a GPU given by number or UUID.
pub(crate) fn find(which: &str, request: &Request) -> Result<Gpu, Error> {
    let minor = if which.chars().all(|c| c.is_ascii_digit()) && !which.is_empty() {
        which.to_owned()
    } else {
        minor_of(which).ok_or_else(|| missing(&format!("no GPU has the UUID {which}")))?
    };
    let own = PathBuf::from(format!("/dev/nvidia{minor}"));
    if !own.exists() {
        return Err(missing(&format!("{} is not there", own.display())));
    }
    // Not nvidia-uvm-tools (reads other processes) and not nvidia-modeset (displays).
    let shared = ["/dev/nvidiactl", "/dev/nvidia-uvm"].map(PathBuf::from);
    let nodes = std::iter::once(own).chain(shared.into_iter().filter(|node| node.exists())).collect();
    let mut env = vec![("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned())];
    let memory = quota(request, &mut env)?;
    Ok(Gpu { nodes, env, memory })
}

fn missing(why: &str) -> Error {
    let mend = "load the driver (nvidia-smi makes the nodes), or choose another by --gpu".to_owned();
    Error::CannotEnforce { what: "gpu".into(), why: why.into(), mend }
}

/// The kernel tells each GPU's UUID and minor in a page of its own.
fn minor_of(uuid: &str) -> Option<String> {
    let pages = fs::read_dir("/proc/driver/nvidia/gpus").ok()?;
    pages.flatten().find_map(|gpu| minor_on_page(&fs::read_to_string(gpu.path().join("information")).ok()?, uuid))
}

fn minor_on_page(page: &str, uuid: &str) -> Option<String> {
    let field = |name: &str| {
        page.lines().find_map(|line| line.strip_prefix(name)?.split_once(':').map(|(_, value)| value.trim()))
    };
    (field("GPU UUID") == Some(uuid)).then(|| field("Device Minor").map(str::to_owned)).flatten()
}

/// The means that are present. MPS keeps a limit per client; without it nothing here can, and that is said.
fn quota(request: &Request, env: &mut Vec<(String, String)>) -> Result<Option<String>, Error> {
    let Some(size) = request.gpu_memory else {
        return Ok(None);
    };
    if Path::new(MPS).join("control").exists() {
        env.push(("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT".into(), format!("0={}M", size.0 >> 20)));
        return Ok(Some("mps".into()));
    }
    if request.accepts_weaker("gpu_memory") {
        return Ok(Some("none".into()));
    }
    Err(Error::CannotEnforce {
        what: "gpu_memory".into(),
        why: "no MPS control daemon runs, and a GPU that is not cut into slices has no other quota here".into(),
        mend: "start one (nvidia-cuda-mps-control -d), or give a MIG slice".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_stands_on_the_page_of_the_uuid() {
        let page = "Model: \t\t NVIDIA H100\nGPU UUID: \t GPU-1234\nDevice Minor: \t 3\n";
        assert_eq!(minor_on_page(page, "GPU-1234").as_deref(), Some("3"));
        assert_eq!(minor_on_page(page, "GPU-9999"), None);
    }
}
