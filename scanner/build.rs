//! Computes the id of the rule set: the SHA-256 over the sources and tables of the scanner, its version, and the versions of its
//! dependencies. Locks and caches of verdicts store it (`src/judge/ruleset_id.rs`).

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets the folder of the crate"));
    let mut hash = Sha256::new();
    // Lengths keep the borders between texts.
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(std::env::var("CARGO_PKG_VERSION").expect("cargo sets the version").as_bytes());
    for path in files(&root) {
        println!("cargo::rerun-if-changed={}", path.display());
        add(path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().as_bytes());
        add(&std::fs::read(&path).expect("sources can be read"));
    }
    // A new file changes the time of its folder.
    for folder in ["data", "src"] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
    }
    let id: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=MODELSCAN_RULESET_ID={id}");
}

/// All files that decide, sorted. A package of this crate alone has no lock file with the versions of its dependencies.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut todo = ["build.rs", "Cargo.toml", "../Cargo.lock", "data", "src"].map(|name| root.join(name)).to_vec();
    let mut files = Vec::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("sources can be listed");
            todo.extend(entries.map(|entry| entry.expect("sources can be listed").path()));
        } else if path.exists() {
            files.push(path);
        }
    }
    files.sort();
    files
}
