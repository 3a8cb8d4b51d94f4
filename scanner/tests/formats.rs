//! A format is one file: its id is written there and nowhere else.

use scanner::formats;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Files that hold several formats, or a format whose id is no name of a module.
const HOMES: [(&str, &[&str]); 4] = [
    ("compressed", &["gzip", "bzip2", "xz", "lzma", "zlib", "zstd", "lz4", "joblib-zf"]),
    ("keras", &["keras", "keras-config", "keras-weights"]),
    ("seven_zip", &["7z"]),
    ("torch_tar", &["torch-tar", "torch-tar-part"]),
];

/// Literals that equal an id and mean something else: (end of the path, id).
const OTHER_MEANINGS: &[(&str, &str)] = &[
    // Modules of Python.
    ("/numpy.rs", "numpy"),
    ("/arguments.rs", "numpy"),
    ("/keras_names.rs", "keras"),
    // A member of torch's tar.
    ("/contents.rs", "pickle"),
    ("/examine.rs", "pickle"),
    ("/torch_tar.rs", "pickle"),
    // Compression methods in messages, and the name of a thread.
    ("/codec.rs", "gzip"),
    ("/codec.rs", "bzip2"),
    ("/codec.rs", "xz"),
    ("/codec.rs", "lzma"),
    ("/codec.rs", "zlib"),
    ("/codec.rs", "zstd"),
    ("/codec.rs", "lz4"),
    ("/seven_zip.rs", "7z"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without its tests and comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn home_of(id: &str) -> String {
    HOMES.iter().find(|(_, ids)| ids.contains(&id)).map_or_else(|| id.replace('-', "_"), |(home, _)| (*home).to_owned())
}

#[test]
fn ids_are_unique_and_each_format_is_in_the_file_of_its_name() {
    let mut seen = BTreeSet::new();
    for info in formats::all() {
        assert!(seen.insert(info.id), "{} is there twice", info.id);
        let file = root().join(format!("scanner/src/format/{}.rs", home_of(info.id)));
        let text = fs::read_to_string(&file).unwrap_or_default();
        assert!(!text.is_empty(), "{} is missing", file.display());
        assert!(text.contains(&format!("\"{}\"", info.id)), "{} does not state {}", file.display(), info.id);
        assert!(
            ![info.name, info.doc_read, info.doc_judged, info.doc_converted].contains(&""),
            "{} has empty columns",
            info.id
        );
        assert!(info.promised_as.is_none() || !info.extensions.is_empty(), "{} promises no extension", info.id);
        let general = info.refines.map(|general| formats::by_id(general.id).is_some());
        assert_ne!(general, Some(false), "{} refines a format that is not in the list", info.id);
    }
}

#[test]
fn no_other_file_names_a_format_by_its_id() {
    let mut files = Vec::new();
    for folder in ["scanner/src", "loader/src", "admission/src", "remote/src", "src", "python/src"] {
        sources(&root().join(folder), &mut files);
    }
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for path in files.iter().filter(|path| !path.to_string_lossy().ends_with("tests.rs")) {
        let (code, shown) = (code(path), path.to_string_lossy().into_owned());
        for info in formats::all() {
            let home = shown.ends_with(&format!("/scanner/src/format/{}.rs", home_of(info.id)));
            let other = OTHER_MEANINGS.iter().any(|(end, id)| shown.ends_with(end) && *id == info.id);
            if !home && !other && code.contains(&format!("\"{}\"", info.id)) {
                found.entry(shown.clone()).or_default().push(info.id);
            }
        }
    }
    assert!(found.is_empty(), "format ids outside of their files: {found:#?}");
}
