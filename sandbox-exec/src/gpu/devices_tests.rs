//! Hosts of plain files and drivers of closures: the nodes of a GPU or a slice, and what enforces its quota.

use super::*;
use crate::policy::profile::Profile;
use quantity::ByteSize;

struct TestHost(PathBuf);

impl Drop for TestHost {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Two GPUs, the first of which is cut: slice 1 with compute instance 0 is opened by the nodes 12 and 13.
fn test_host(name: &str, mps: bool) -> std::io::Result<TestHost> {
    let made = TestHost(std::env::temp_dir().join(format!("modelscan-gpu-{name}-{}", std::process::id())));
    let pages = [
        ("dev/nvidia0", ""),
        ("dev/nvidia1", ""),
        ("dev/nvidiactl", ""),
        ("dev/nvidia-uvm", ""),
        ("dev/nvidia-uvm-tools", ""),
        ("dev/nvidia-modeset", ""),
        ("dev/nvidia-caps/nvidia-cap12", ""),
        ("dev/nvidia-caps/nvidia-cap13", ""),
        ("dev/nvidia-caps/nvidia-cap21", ""),
        ("proc/gpus/0000:01:00.0/information", "Model: \t NVIDIA H100\nGPU UUID: \t GPU-aa\nDevice Minor: \t 0\n"),
        ("proc/gpus/0000:02:00.0/information", "Model: \t NVIDIA H100\nGPU UUID: \t GPU-bb\nDevice Minor: \t 1\n"),
        ("proc/capabilities/gpu0/mig/gi1/access", "DeviceFileMinor: 12\nDeviceFileMode: 292\nDeviceFileModify: 1\n"),
        ("proc/capabilities/gpu0/mig/gi1/ci0/access", "DeviceFileMinor: 13\nDeviceFileMode: 292\n"),
    ];
    for (path, text) in pages {
        let path = made.0.join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        fs::write(path, text)?;
    }
    if mps {
        fs::create_dir_all(made.0.join("mps"))?;
        fs::write(made.0.join("mps/control"), "")?;
    }
    Ok(made)
}

fn find(made: &TestHost, which: &str, quota: Option<u64>, info: Result<DriverInfo, Error>) -> Result<Gpu, Error> {
    let mut request = Request::new(Profile::load("gpu-eval")?, ["true"]);
    request.gpu_memory = quota.map(ByteSize);
    let [dev, proc, mps] = ["dev", "proc", "mps"].map(|name| made.0.join(name));
    HostPaths { dev: &dev, proc: &proc, mps: &mps }.find(which, &request, &|_| info.clone())
}

fn names(gpu: &Gpu) -> Vec<String> {
    gpu.nodes.iter().filter_map(|node| Some(node.file_name()?.to_string_lossy().into_owned())).collect()
}

const OLD: DriverInfo = DriverInfo { minor: 0, slice: None, total_memory: 80 << 30, can_limit_memory: false };
const SLICE: DriverInfo = DriverInfo { minor: 0, slice: Some((1, 0)), total_memory: 10 << 30, can_limit_memory: true };

fn absent() -> Result<DriverInfo, Error> {
    Err(Error::setup("querying the GPU driver", "libnvidia-ml.so.1 is not installed"))
}

#[test]
fn a_gpu_by_number_or_uuid_gets_its_own_nodes_only() -> Result<(), Box<dyn std::error::Error>> {
    let made = test_host("nodes", false)?;
    for (which, own) in [("1", "nvidia1"), ("GPU-bb", "nvidia1"), ("GPU-aa", "nvidia0")] {
        assert_eq!(names(&find(&made, which, None, absent())?), [own, "nvidiactl", "nvidia-uvm"], "{which}");
    }
    for which in ["7", "GPU-cc", "", "../null", "MIG-x"] {
        assert!(find(&made, which, None, absent()).is_err(), "{which}");
    }
    Ok(())
}

#[test]
fn a_slice_gets_the_nodes_of_its_two_capabilities() -> Result<(), Box<dyn std::error::Error>> {
    let made = test_host("slice", false)?;
    let gpu = find(&made, "MIG-1234", None, Ok(SLICE))?;
    assert_eq!(names(&gpu), ["nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-cap12", "nvidia-cap13"]);
    assert!(gpu.env.contains(&("CUDA_VISIBLE_DEVICES".into(), "MIG-1234".into())));
    let unknown = DriverInfo { slice: Some((2, 0)), ..SLICE };
    assert!(find(&made, "MIG-1234", None, Ok(unknown)).is_err(), "a slice whose capabilities are not there");
    assert!(find(&made, "MIG-1234", None, Ok(OLD)).is_err(), "the driver does not report it as a slice");
    Ok(())
}

#[test]
fn the_strongest_available_enforcement_is_used() -> Result<(), Box<dyn std::error::Error>> {
    let (made, with_mps) = (test_host("means", false)?, test_host("mps", true)?);
    let root = calls::effective_ids().0 == 0;
    let new = DriverInfo { can_limit_memory: true, ..OLD };
    let enforcement = |made: &TestHost, which: &str, quota: u64, info: Result<DriverInfo, Error>| {
        find(made, which, Some(quota), info).map(|gpu| gpu.memory.map(|quota| quota.enforcement))
    };
    assert_eq!(enforcement(&made, "MIG-1", 10 << 30, Ok(SLICE))?, Some(MemoryEnforcement::Slice));
    assert_eq!(
        enforcement(&made, "0", 1 << 30, Ok(new))?,
        Some(if root { MemoryEnforcement::Driver } else { MemoryEnforcement::Polling })
    );
    assert_eq!(enforcement(&made, "0", 1 << 30, Ok(OLD))?, Some(MemoryEnforcement::Polling));
    assert_eq!(enforcement(&with_mps, "0", 1 << 30, Ok(OLD))?, Some(MemoryEnforcement::Mps));
    assert_eq!(enforcement(&with_mps, "0", 1 << 30, absent())?, Some(MemoryEnforcement::Mps));
    for (which, info) in [("0", absent()), ("MIG-1", Ok(SLICE))] {
        let why = enforcement(&made, which, 1 << 30, info).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(why.contains("gpu_memory"), "{why}");
    }
    let mps = find(&with_mps, "0", Some(1 << 30), Ok(OLD))?;
    assert!(mps.env.contains(&("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT".into(), "0=1024M".into())));
    assert_eq!(mps.entries.len(), 1);
    Ok(())
}

#[test]
fn the_minor_is_read_from_the_page_of_the_uuid() {
    let page = "Model: \t\t NVIDIA H100\nGPU UUID: \t GPU-1234\nDevice Minor: \t 3\n";
    assert_eq!(minor_on_page(page, "GPU-1234"), Some(3));
    assert_eq!(minor_on_page(page, "GPU-9999"), None);
}
