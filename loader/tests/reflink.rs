//! Shared blocks on XFS and btrfs, in images that the test mounts. It reports a skip without root, mkfs or a loop device.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops where it breaks, and says when it cannot run"
)]

use fixtures::Need;
use loader::convert::{ConvertOptions, plan};
use loader::{LoadOptions, WriteOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in a file, mounted.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(mkfs: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let image = folder.path().join("image");
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        // XFS needs 300 MB. The file is sparse.
        file.set_len(320 << 20).map_err(|error| error.to_string())?;
        let mounted = Self(folder);
        std::fs::create_dir(mounted.path()).map_err(|error| error.to_string())?;
        run(mkfs, &["-q", image.to_str().unwrap()])?;
        run("mount", &["-o", "loop", image.to_str().unwrap(), mounted.path().to_str().unwrap()])?;
        Ok(mounted)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("mounted")
    }

    fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        stat.f_bfree * stat.f_frsize
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        _ = run("umount", &[self.path().to_str().unwrap()]);
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", said.trim())) }
}

/// A stored torch zip with one tensor of ones, aligned to 64 bytes.
fn checkpoint(path: &Path, floats: u32) {
    use std::io::Write;
    let pickle = fixtures::assemble(&format!(
        "PROTO 2\nEMPTY_DICT\nBINUNICODE 'w'\nGLOBAL 'torch._utils' '_rebuild_tensor_v2'\nMARK\nMARK\nBINUNICODE 'storage'\n\
         GLOBAL 'torch' 'FloatStorage'\nBINUNICODE '0'\nBINUNICODE 'cpu'\nBININT {floats}\nTUPLE\nBINPERSID\nBININT1 0\n\
         BININT {floats}\nTUPLE1\nBININT1 1\nTUPLE1\nNEWFALSE\nGLOBAL 'collections' 'OrderedDict'\nEMPTY_TUPLE\nREDUCE\nTUPLE\nREDUCE\n\
         SETITEM\nSTOP"
    ))
    .unwrap();
    let mut writer = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer.start_file("m/data.pkl", stored).unwrap();
    writer.write_all(&pickle).unwrap();
    writer.start_file("m/data/0", stored.with_alignment(64)).unwrap();
    writer.write_all(&1f32.to_le_bytes().repeat(floats as usize)).unwrap();
    writer.finish().unwrap().sync_all().unwrap();
}

#[test]
fn a_result_shares_the_blocks_of_its_source() {
    for mkfs in ["mkfs.xfs", "mkfs.btrfs"] {
        let mounted = match Mounted::new(mkfs) {
            Ok(mounted) => mounted,
            Err(why) => {
                let root = rustix::process::geteuid().is_root();
                let need = if root { Need::Program } else { Need::Root };
                fixtures::skip(need, format!("no file system that shares blocks by {mkfs}: {why}"));
                continue;
            }
        };
        let (source, out) = (mounted.path().join("m.pt"), mounted.path().join("m.safetensors"));
        checkpoint(&source, 10 << 20);
        run("sync", &["-f", source.to_str().unwrap()]).unwrap();
        let before = mounted.free();
        let jobs = plan(std::slice::from_ref(&source), &out, &LoadOptions::default()).unwrap();
        let write = WriteOptions { reflink: true, sha256: true, ..WriteOptions::default() };
        jobs.write(&ConvertOptions { write, verify: true, force: false }).unwrap();
        run("sync", &["-f", out.to_str().unwrap()]).unwrap();
        let taken = before.saturating_sub(mounted.free());
        assert!(taken < 4 << 20, "{mkfs}: {taken} bytes are taken by a result of 40 MB that should share them");
        let bytes = std::fs::read(&out).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let ones = tensors.tensor("w").unwrap();
        assert_eq!(ones.shape(), [10 << 20]);
        assert!(ones.data().chunks_exact(4).all(|number| number == 1f32.to_le_bytes()));
        let others = tensors.names().into_iter().filter(|name| *name != "w");
        assert!(others.clone().count() > 0 && others.clone().all(|name| name.starts_with("modelscan.filler.")));
    }
}

#[test]
fn where_blocks_cannot_be_shared_the_file_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    // Two views of the same elements: no range of the file equals the result.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/clean/torch/torch215/views.pt");
    let out = folder.path().join("views.safetensors");
    let jobs = plan(&[source], &out, &LoadOptions::default()).unwrap();
    let write = WriteOptions { reflink: true, ..WriteOptions::default() };
    jobs.write(&ConvertOptions { write, verify: true, force: false }).unwrap();
    let bytes = std::fs::read(&out).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert!(tensors.names().iter().all(|name| !name.starts_with("modelscan.")), "{:?}", tensors.names());
}
