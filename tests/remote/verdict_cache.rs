//! The cache of verdicts: known bytes are not scanned again, all inputs of a verdict are compared, and forged entries are ignored.

use crate::models::{CLEAN, DANGEROUS, safetensors};
use crate::scan::{Outcome, scan, scan_with};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

struct Place {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let root = folder.path().canonicalize().expect("it is there");
        fs::create_dir(root.join("m")).expect("it can be made");
        Self { _folder: folder, root }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.root.join(name), bytes).expect("it can be written");
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.root.join(name).to_str().expect("it is text").to_owned()
    }

    fn scan(&self, path: &str, more: &[&str]) -> Outcome {
        scan(&[&["--cache", &self.path("cache"), path], more].concat())
    }

    fn entries(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root.join("cache")).expect("it is there");
        entries.map(|entry| entry.expect("it can be listed").path()).collect()
    }

    /// Makes the only entry say that the bytes are clean, with its checksum right.
    fn forge(&self) {
        let entry = self.entries().pop().expect("there is one");
        let text = fs::read_to_string(&entry).expect("it is text");
        let mut body: Value = serde_json::from_str(text.split_once('\n').expect("two lines").1).expect("it is JSON");
        body["verdict"] = "clean".into();
        body["findings"] = Value::Array(Vec::new());
        let body = body.to_string();
        let sum: String = {
            use sha2::{Digest, Sha256};
            Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect()
        };
        fs::write(entry, format!("{sum}\n{body}")).expect("it is ours");
    }
}

fn without_bytes(mut outcome: Outcome) -> Value {
    outcome.report["summary"]["bytes_read"].take();
    outcome.report
}

#[test]
fn a_remembered_report_is_the_same_report() {
    let place = Place::new();
    let path = place.write("m/a.pkl", DANGEROUS);
    place.write("m/b.pkl", CLEAN);
    place.write("m/c.pkl", &[CLEAN, DANGEROUS].concat());
    let folder = place.path("m");
    let fresh = without_bytes(scan(&[&folder]));
    assert_eq!(without_bytes(place.scan(&folder, &[])), fresh);
    assert_eq!(place.entries().len(), 3);
    assert_eq!(without_bytes(place.scan(&folder, &[])), fresh);
    // It is the memory that answers: where that is made to lie, so does the answer. The folder is trusted state.
    for entry in place.entries() {
        fs::remove_file(entry).expect("it is there");
    }
    assert_eq!(place.scan(&path, &[]).code, 1);
    place.forge();
    assert_eq!(place.scan(&path, &[]).code, 0);
    // The same bytes elsewhere, by the same name; but not by another name, within other limits, or other bytes.
    fs::create_dir(place.root.join("n")).expect("it can be made");
    assert_eq!(place.scan(&place.write("n/a.pkl", DANGEROUS), &[]).code, 0);
    assert_eq!(place.scan(&place.write("n/b.pkl", DANGEROUS), &[]).code, 1);
    assert_eq!(place.scan(&path, &["--limit-depth", "3"]).code, 1);
    assert_eq!(place.scan(&place.write("m/a.pkl", &[DANGEROUS, b" "].concat()), &[]).code, 1);
}

#[test]
fn policy_comes_after_what_is_remembered() {
    let place = Place::new();
    let path = place.write("m/a.pkl", b"cmylib\nBlock\n)R.");
    assert_eq!(place.scan(&path, &["--fail-on", "high"]).code, 0);
    assert_eq!(place.entries().len(), 1);
    let outcome = place.scan(&path, &["--sha256"]);
    assert_eq!((outcome.code, outcome.verdict()), (1, "unproven"));
    assert!(outcome.report["artifacts"][0]["sha256"].is_string());
}

#[test]
fn what_cannot_be_relied_upon_is_looked_at_again() {
    let place = Place::new();
    let path = place.write("m/a.pkl", DANGEROUS);
    let damage: [&dyn Fn(PathBuf); 4] = [
        &|entry| fs::write(entry, "").expect("it is ours"),
        &|entry| fs::write(entry, "{}\n{}").expect("it is ours"),
        &|entry| fs::set_permissions(entry, fs::Permissions::from_mode(0o666)).expect("it is ours"),
        &|entry| {
            let text = fs::read_to_string(&entry).expect("it is text");
            fs::write(entry, text.replace("a.pkl", "b.pkl")).expect("it is ours");
        },
    ];
    for harm in damage {
        place.scan(&path, &[]);
        place.forge();
        harm(place.entries().pop().expect("there is one"));
        assert_eq!(place.scan(&path, &[]).code, 1);
        fs::remove_dir_all(place.root.join("cache")).expect("it is ours");
    }
}

#[test]
fn a_folder_that_is_not_ours_alone_or_that_is_scanned_is_refused() {
    let place = Place::new();
    let path = place.write("m/a.pkl", CLEAN);
    fs::create_dir(place.root.join("cache")).expect("it can be made");
    fs::set_permissions(place.root.join("cache"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let outcome = place.scan(&path, &[]);
    assert!(outcome.code == 4 && outcome.stderr.contains("chmod 700"), "{}", outcome.stderr);
    let outcome = scan(&["--cache", &place.path("m/cache"), &place.path("m")]);
    assert!(outcome.code == 4 && outcome.stderr.contains("inside what is scanned"), "{}", outcome.stderr);
    assert!(!place.root.join("m/cache").exists());
    let outcome = scan_with(&[&path], &[("MODELSCAN_CACHE", &place.path("m/a.pkl/x"))]);
    assert_eq!(outcome.code, 4);
}

#[test]
fn large_files_are_not_hashed_for_it_unless_their_hash_is_wanted() {
    let place = Place::new();
    let path = place.write("m/a.safetensors", &safetensors(17 << 20));
    let outcome = place.scan(&path, &[]);
    assert!(outcome.code == 0 && outcome.bytes_read() < 1 << 20, "{}", outcome.bytes_read());
    assert_eq!(place.entries().len(), 0);
    // It was written a moment ago, and might be again: not before it has rested may its verdict be kept.
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::open(&path).and_then(|file| file.set_modified(old)).expect("it is ours");
    assert_eq!((place.scan(&path, &["--sha256"]).code, place.entries().len()), (0, 0));
}

#[test]
fn an_object_whose_hash_was_verified_need_not_be_there_again() {
    let place = Place::new();
    fs::create_dir_all(place.root.join("m/.git")).expect("it can be made");
    place.write("m/.git/HEAD", b"ref: refs/heads/main\n");
    let oid: String = {
        use sha2::{Digest, Sha256};
        Sha256::digest(DANGEROUS).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let pointer = |size: usize| format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n");
    let path = place.write("m/a.pkl", pointer(DANGEROUS.len()).as_bytes());
    assert_eq!(place.scan(&path, &[]).code, 2);
    // The content itself, by the same name.
    fs::create_dir(place.root.join("n")).expect("it can be made");
    assert_eq!(place.scan(&place.write("n/a.pkl", DANGEROUS), &[]).code, 1);
    let outcome = place.scan(&path, &[]);
    assert_eq!((outcome.code, outcome.verdict()), (1, "dangerous"), "{}", outcome.report);
    assert_eq!(outcome.report["artifacts"][0]["lfs"]["integrity"], "sha256");
    assert_eq!(place.scan(&path, &["--lfs", "skip"]).code, 2);
    place.write("m/a.pkl", pointer(3).as_bytes());
    assert_eq!(place.scan(&path, &[]).code, 2);
}
