//! Gives this very build of the scanner a name: a number over its sources, tables and the versions of what it is built
//! with. Verdicts that another build came to are not taken for its own (`verdicts.rs`).

use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is"));
    let mut hasher = DefaultHasher::new();
    // The versions of decoders stand in the lock file, which a package of this crate alone lacks.
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
    for path in files {
        println!("cargo::rerun-if-changed={}", path.display());
        let bytes = std::fs::read(&path).expect("sources can be read");
        hasher.write_usize(bytes.len());
        hasher.write(&bytes);
    }
    // What is added is seen by its folder.
    for folder in ["data", "src"] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
    }
    println!("cargo::rustc-env=MODELSCAN_BUILD={:016x}", hasher.finish());
}
