//! Compares listings of files of torch with the names, types and shapes that torch 2.15 loads (`torch_files.tsv`).

use scanner::Limits;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/clean")
}

/// Name, type and shape, in the format of the table.
fn listed(file: &str) -> (Vec<String>, bool) {
    let listing = loader::list(&folder().join(file), &Limits::default()).expect(file);
    let row = |tensor: &scanner::internal::observe::observations::Tensor| {
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        format!("{}\t{}\t{}", tensor.name, tensor.dtype, shape.join(","))
    };
    (listing.tensors.iter().map(row).collect(), listing.complete)
}

#[test]
fn files_of_torch_list_the_tensors_that_torch_loads() {
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

#[test]
fn arrays_of_numpy_and_joblib_are_listed() {
    let arrays = ["0\tI64\t2,3", "1\tF32\t2,3", "2\tF64\t0,3", "3\tF64\t"];
    for protocol in 0..=5 {
        let (found, complete) = listed(&format!("numpy/np25/arrays-p{protocol}.pkl"));
        assert!(complete && found == arrays, "protocol {protocol}: {found:?}");
    }
    let (found, _) = listed("numpy/np25/joblib-plain.joblib");
    assert_eq!(found, ["w\tF64\t3,4", "f\tF32\t2,2", "e\tF64\t0"]);
}

#[test]
fn headers_give_the_names_of_tensors() {
    assert_eq!(listed("safetensors/half.safetensors").0, ["b\tBF16\t2", "h\tF16\t3", "q\tBOOL\t2"]);
    assert_eq!(listed("numpy/np25/f4.npy").0, ["f4\t>f4\t2,3"], "big-endian numbers keep the word of numpy");
}

#[test]
fn parts_of_a_distributed_checkpoint_have_no_names() {
    assert_eq!(listed("torch/dcp/__0_0.distcp").0, Vec::<String>::new());
}
