//! Hosts made of plain files, and drivers made of closures: which nodes a GPU or a slice gets, and which means keeps its quota.

use super::*;
use crate::profile::Profile;
use quantity::ByteSize;

struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Two GPUs, the first of which is cut: slice 1 with compute instance 0 is opened by the nodes 12 and 13.
fn made(name: &str, mps: bool) -> std::io::Result<Made> {
    let made = Made(std::env::temp_dir().join(format!("modelscan-gpu-{name}-{}", std::process::id())));
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

fn find(made: &Made, which: &str, quota: Option<u64>, told: Result<Told, String>) -> Result<Gpu, Error> {
    let mut request = Request::new(Profile::load("gpu-eval")?, ["true"]);
    request.gpu_memory = quota.map(ByteSize);
    let [dev, proc, mps] = ["dev", "proc", "mps"].map(|name| made.0.join(name));
    Host { dev: &dev, proc: &proc, mps: &mps }.find(which, &request, &|_| told.clone())
}

fn names(gpu: &Gpu) -> Vec<String> {
    gpu.nodes.iter().filter_map(|node| Some(node.file_name()?.to_string_lossy().into_owned())).collect()
}

const OLD: Told = Told { minor: 0, slice: None, total: 80 << 30, limits: false };
const SLICE: Told = Told { minor: 0, slice: Some((1, 0)), total: 10 << 30, limits: true };

fn absent() -> Result<Told, String> {
    Err("there is no library".into())
}

#[test]
fn a_gpu_by_number_or_uuid_gets_its_own_nodes_only() -> Result<(), Box<dyn std::error::Error>> {
    let made = made("nodes", false)?;
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
    let made = made("slice", false)?;
    let gpu = find(&made, "MIG-1234", None, Ok(SLICE))?;
    assert_eq!(names(&gpu), ["nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-cap12", "nvidia-cap13"]);
    assert!(gpu.env.contains(&("CUDA_VISIBLE_DEVICES".into(), "MIG-1234".into())));
    let unknown = Told { slice: Some((2, 0)), ..SLICE };
    assert!(find(&made, "MIG-1234", None, Ok(unknown)).is_err(), "a slice whose capabilities are not there");
    assert!(find(&made, "MIG-1234", None, Ok(OLD)).is_err(), "what the driver does not call a slice");
    Ok(())
}

#[test]
fn the_strongest_means_that_is_present_keeps_the_quota() -> Result<(), Box<dyn std::error::Error>> {
    let (made, with_mps) = (made("means", false)?, made("mps", true)?);
    let root = crate::sys::ids().0 == 0;
    let new = Told { limits: true, ..OLD };
    let means = |made: &Made, which: &str, quota: u64, told: Result<Told, String>| {
        find(made, which, Some(quota), told).map(|gpu| gpu.memory.map(|quota| quota.means))
    };
    assert_eq!(means(&made, "MIG-1", 10 << 30, Ok(SLICE))?, Some(Means::Slice));
    assert_eq!(means(&made, "0", 1 << 30, Ok(new))?, Some(if root { Means::Driver } else { Means::Watch }));
    assert_eq!(means(&made, "0", 1 << 30, Ok(OLD))?, Some(Means::Watch));
    assert_eq!(means(&with_mps, "0", 1 << 30, Ok(OLD))?, Some(Means::Mps));
    assert_eq!(means(&with_mps, "0", 1 << 30, absent())?, Some(Means::Mps));
    for (which, told) in [("0", absent()), ("MIG-1", Ok(SLICE))] {
        let why = means(&made, which, 1 << 30, told).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(why.contains("gpu_memory"), "{why}");
    }
    let mps = find(&with_mps, "0", Some(1 << 30), Ok(OLD))?;
    assert!(mps.env.contains(&("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT".into(), "0=1024M".into())));
    assert_eq!(mps.entries.len(), 1);
    Ok(())
}

#[test]
fn the_minor_stands_on_the_page_of_the_uuid() {
    let page = "Model: \t\t NVIDIA H100\nGPU UUID: \t GPU-1234\nDevice Minor: \t 3\n";
    assert_eq!(minor_on_page(page, "GPU-1234"), Some(3));
    assert_eq!(minor_on_page(page, "GPU-9999"), None);
}
