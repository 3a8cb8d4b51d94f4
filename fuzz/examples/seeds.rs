//! Writes the fixtures and the small files of real libraries into `corpus/`, for every target those that are of its kind.

use fixtures::Corpus;
use std::fs;
use std::path::{Path, PathBuf};

/// Larger inputs make a fuzzer slow and find nothing more.
const LONGEST: usize = 64 << 10;

fn main() {
    let corpus = Corpus::here();
    let built = corpus.fixtures().expect("the manifest can be read").into_iter().map(|fixture| {
        let bytes = corpus.build(&fixture.file).unwrap_or_else(|error| panic!("{}: {error}", fixture.file));
        (fixture.file.replace('/', "-"), bytes)
    });
    let clean = files(&corpus.root().join("clean")).into_iter().map(|path| {
        let name = path.strip_prefix(corpus.root()).expect("below the root").to_string_lossy().replace('/', "-");
        (name, fs::read(path).expect("a fixture can be read"))
    });
    for (name, bytes) in built.chain(clean).filter(|(_, bytes)| bytes.len() <= LONGEST) {
        write("scan", &name, &bytes);
        let wanted = ["torch", "tensor", "numpy", "npy", "npz", "joblib"];
        if wanted.iter().any(|word| name.contains(word)) {
            write("convert", &name, &bytes);
        }
        let has = |place: usize, magic: &[u8]| bytes.get(place..).is_some_and(|rest| rest.starts_with(magic));
        if has(0, b"PK") {
            write("zip", &name, &bytes);
        } else if has(257, b"ustar") || name.contains("-tar-") {
            write("tar", &name, &bytes);
        } else if has(0, b"\x93NUMPY") {
            write("numpy", &name, bytes.get(10..).unwrap_or_default());
        } else {
            write("machine", &name, &bytes);
        }
    }
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(name), bytes)).expect("a seed can be written");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}
