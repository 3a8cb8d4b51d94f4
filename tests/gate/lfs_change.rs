//! `scan --changed-since` where the change brings Git LFS pointers: the object decides, and where it is missing the pointer is not
//! scanned.

use crate::repository::{BAD, GOOD, Repository, fresh};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn oid(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pointer(bytes: &[u8]) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", oid(bytes), bytes.len())
}

/// What a scan of a change in a real repository says, with the code.
fn scan_change(repository: &Repository, more: &[&str]) -> (Option<i32>, String) {
    let args = [&["scan", "--isolated", "--format", "json", "--changed-since", "main", "m"], more].concat();
    let printed = repository.modelscan("", &args);
    (printed.code, printed.out + &printed.err)
}

#[test]
fn a_change_of_a_pointer_is_judged_by_its_object() {
    let change = Repository::new("lfs-change", &[("m/old.pkl", pointer(GOOD).as_bytes())]);
    change.write("m/new.pkl", pointer(BAD).as_bytes());
    change.commit();
    assert_eq!(scan_change(&change, &[]).0, Some(2));
    let id = oid(BAD);
    change.write(format!(".git/lfs/objects/{}/{}/{id}", &id[..2], &id[2..4]), BAD);
    let (code, printed) = scan_change(&change, &[]);
    assert!(code == Some(1) && printed.contains("posix.system") && !printed.contains("old.pkl"), "{printed}");
    // A change could bring verdicts along.
    let (code, printed) = scan_change(&change, &["--cache", "cache"]);
    assert!(code == Some(4) && printed.contains("inside a repository"), "{printed}");
    // A working tree beside the first one has its objects.
    let beside = fresh("lfs-beside").join("tree");
    change.git(&["worktree", "add", "--quiet", "--detach", beside.to_str().unwrap()]);
    let model = beside.join("m/new.pkl");
    let printed = change.modelscan("", &["scan", "--isolated", "--format", "json", model.to_str().unwrap()]);
    let report: Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!(report["artifacts"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!((printed.code, &report["artifacts"][0]["verdict"]), (Some(1), &"dangerous".into()), "{report}");
}
