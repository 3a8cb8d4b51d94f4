//! The names, types and shapes of the tensors in files that torch wrote, compared with what torch itself says of them:
//! `torch_files.tsv` was written by loading these very files with torch 2.15.

use scanner::limits::Limits;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/clean")
}

/// Name, type and shape as they stand in the table.
fn listed(file: &str) -> (Vec<String>, bool) {
    let listing =
        loader::list(&folder().join(file), &Limits::default()).unwrap_or_else(|error| panic!("{file}: {error}"));
    let row = |tensor: &scanner::seen::Tensor| {
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        format!("{}\t{}\t{}", tensor.name, tensor.dtype, shape.join(","))
    };
    (listing.tensors.iter().map(row).collect(), listing.complete)
}

#[test]
fn every_file_of_torch_lists_what_torch_loads() {
    let mut expected: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in include_str!("torch_files.tsv").lines().filter(|line| !line.starts_with('#')) {
        let (file, row) = line.split_once('\t').expect("a row starts with its file");
        expected.entry(file).or_default().push(row);
    }
    let mut wrong = Vec::new();
    for (file, rows) in &expected {
        let (found, complete) = listed(&format!("torch/{file}"));
        if found != *rows || !complete {
            wrong.push(format!("{file} (complete: {complete})\n  found    {found:?}\n  expected {rows:?}"));
        }
    }
    assert!(expected.len() > 40, "the table has {} files", expected.len());
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), expected.len(), wrong.join("\n"));
}
