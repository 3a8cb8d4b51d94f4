//! Failures while a result is written: no file is left behind.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod checkpoint;

use checkpoint::{dict, tensor_of, zip};
use loader::convert::{ConvertOptions, WrittenFile, plan};
use loader::{Error, LoadOptions, Progress, WriteOptions};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of the storage: several copy buffers.
const LEN: usize = 8 << 20;

/// A checkpoint of one large tensor, in a folder of its own.
fn large(folder: &Path) -> PathBuf {
    let storage = checkpoint::storage("ByteStorage", "0", LEN as i64, "");
    let path = folder.join("large.pt");
    let numbers: Vec<u8> = (0..LEN).map(|index| (index % 251) as u8).collect();
    std::fs::write(&path, zip(&dict(&[("w", tensor_of(&storage, 0, &[LEN as i64], &[1]))]), &[("0", numbers)]))
        .unwrap();
    path
}

fn write(source: &Path, out: &Path, options: WriteOptions<'_>, force: bool) -> Result<Vec<WrittenFile>, Error> {
    let jobs = plan(&[source.to_owned()], out, &LoadOptions::default())?;
    jobs.write(&ConvertOptions { write: options, verify: true, force })
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

/// Runs a function after the first write.
struct Meanwhile<F: Fn() + Sync>(F, AtomicBool);

impl<F: Fn() + Sync> Progress for Meanwhile<F> {
    fn written(&self, _bytes: u64) {
        if !self.1.swap(true, Ordering::Relaxed) {
            self.0();
        }
    }

    fn note(&self, _text: &str) {}
}

fn meanwhile<F: Fn() + Sync>(what: F) -> Meanwhile<F> {
    Meanwhile(what, AtomicBool::new(false))
}

#[test]
fn a_source_that_changes_during_the_copy_gives_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let source = large(folder.path());
    let out = folder.path().join("out.safetensors");
    let cut = meanwhile(|| File::options().write(true).open(&source).unwrap().set_len(1000).unwrap());
    let error = write(&source, &out, WriteOptions { progress: Some(&cut), ..WriteOptions::default() }, false);
    assert!(error.unwrap_err().to_string().contains("shorter than when it was opened"));
    let source = large(folder.path());
    let touched = meanwhile(|| {
        use std::os::unix::fs::FileExt;
        File::options().write(true).open(&source).unwrap().write_all_at(&[0; 4], (LEN - 1000) as u64).unwrap();
    });
    let error = write(&source, &out, WriteOptions { progress: Some(&touched), ..WriteOptions::default() }, false);
    // Either the checksum of the record or the times of the file differ.
    assert!(matches!(error, Err(Error::Changed(_) | Error::Damaged { .. })));
    assert_eq!(names(folder.path()), ["large.pt"]);
}

#[test]
fn a_stopped_copy_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let source = large(folder.path());
    let out = folder.path().join("out.safetensors");
    let stop = Arc::new(AtomicBool::new(false));
    let asked = meanwhile(|| stop.store(true, Ordering::Relaxed));
    for sha256 in [false, true] {
        stop.store(false, Ordering::Relaxed);
        asked.1.store(false, Ordering::Relaxed);
        let options =
            WriteOptions { progress: Some(&asked), stop: Some(stop.clone()), sha256, ..WriteOptions::default() };
        assert!(matches!(write(&source, &out, options, false), Err(Error::Interrupted)));
        assert_eq!(names(folder.path()), ["large.pt"]);
    }
}

#[test]
fn a_file_created_during_the_copy_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let source = large(folder.path());
    let out = folder.path().join("out.safetensors");
    let taken = meanwhile(|| std::fs::write(&out, "mine").unwrap());
    let options = WriteOptions { progress: Some(&taken), ..WriteOptions::default() };
    assert!(matches!(write(&source, &out, options, false), Err(Error::Io { .. })));
    assert_eq!(std::fs::read(&out).unwrap(), b"mine");
    assert_eq!(names(folder.path()), ["large.pt", "out.safetensors"]);
}

#[test]
fn the_source_is_replaced_only_with_force_and_by_a_complete_result() {
    let folder = tempfile::tempdir().unwrap();
    let source = large(folder.path());
    let before = std::fs::read(&source).unwrap();
    assert!(matches!(write(&source, &source, WriteOptions::default(), false), Err(Error::Usage { .. })));
    let stop = Arc::new(AtomicBool::new(true));
    let stopped = WriteOptions { stop: Some(stop), ..WriteOptions::default() };
    assert!(matches!(write(&source, &source, stopped, true), Err(Error::Interrupted)));
    assert!(std::fs::read(&source).unwrap() == before && names(folder.path()) == ["large.pt"]);
    write(&source, &source, WriteOptions::default(), true).unwrap();
    assert_eq!(checkpoint::tensors(&source)["w"].2.len(), LEN);
}

#[test]
fn a_symlink_is_replaced_and_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let source = large(folder.path());
    let (target, link) = (folder.path().join("target"), folder.path().join("link.safetensors"));
    std::fs::write(&target, "mine").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(matches!(write(&source, &link, WriteOptions::default(), false), Err(Error::Usage { .. })));
    write(&source, &link, WriteOptions::default(), true).unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_file());
    assert_eq!(std::fs::read(&target).unwrap(), b"mine");
}

#[test]
fn no_folder_is_created_for_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let source = large(folder.path());
    for out in ["lacking/out.safetensors", "large.pt/out.safetensors"] {
        let error = write(&source, &folder.path().join(out), WriteOptions::default(), false);
        assert!(matches!(error, Err(Error::Io { .. })), "{out}");
    }
    assert_eq!(names(folder.path()), ["large.pt"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_reported_and_left_empty() {
    let folder = tempfile::tempdir().unwrap();
    let source = large(folder.path());
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mount = |args: &[&str]| Command::new("mount").args(args).arg(&small).status().is_ok_and(|done| done.success());
    if !mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]) {
        fixtures::skip(fixtures::Need::Root, "this user may not mount a small disk");
        return;
    }
    let outcome = write(&source, &small.join("out.safetensors"), WriteOptions::default(), false);
    let there = names(&small);
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    assert!(outcome.unwrap_err().to_string().contains("the disk is full; nothing was left behind"));
    assert_eq!(there, Vec::<String>::new());
}

#[test]
fn a_file_without_tensors_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("list.pkl"), folder.path().join("out.safetensors"));
    std::fs::write(&source, b"\x80\x02]q\x00(K\x01K\x02e.").unwrap();
    let error = write(&source, &out, WriteOptions::default(), false).unwrap_err();
    assert!(error.to_string().contains("it holds no tensors"), "{error}");
    assert_eq!(names(folder.path()), ["list.pkl"]);
    std::fs::write(&source, b"\x80\x02}.").unwrap();
    write(&source, &out, WriteOptions::default(), false).unwrap();
    assert_eq!(names(folder.path()), ["list.pkl", "out.safetensors"]);
}

#[test]
fn a_source_keeps_its_own_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("a.safetensors"), folder.path().join("b.safetensors"));
    let header = r#"{"__metadata__":{"format":"flax","step":"3","modelscan.source_sha256":"old"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&1f32.to_le_bytes());
    std::fs::write(&source, bytes).unwrap();
    write(&source, &out, WriteOptions::default(), false).unwrap();
    let written = std::fs::read(&out).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&written).unwrap();
    let mut kept: Vec<_> = metadata.metadata().clone().unwrap().into_iter().collect();
    kept.sort();
    assert_eq!(kept, [("format".to_owned(), "flax".to_owned()), ("step".to_owned(), "3".to_owned())]);
}
