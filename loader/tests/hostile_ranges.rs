//! Tensors that reach out of their storages, and storages with wrong declarations, in torch zips and legacy streams.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod checkpoint;

use checkpoint::{convert, dict, floats, legacy, lenient, numbers, refusal, refused, storage, tensor_of, usual, zip};
use fixtures::Corpus;
use loader::{Error, LoadOptions};
use std::time::Instant;

/// The same tensor beside a good one, in a zip and in a legacy stream.
fn both(tensor: &str) -> [Vec<u8>; 2] {
    let storages = [("0", numbers(0)), ("1", numbers(100))];
    let value = |good: String| dict(&[("good", good), ("bad", tensor.to_owned())]);
    let old = tensor_of(&storage("FloatStorage", "1", 4, "NONE"), 0, &[4], &[1]);
    let old = value(old).replace("BININT1 4\n\nTUPLE\nBINPERSID", "BININT1 4\nNONE\nTUPLE\nBINPERSID");
    let counted = storages.clone().map(|(key, bytes)| (key, 4, bytes));
    [zip(&value(floats("1", 4)), &storages), legacy(&old, &counted)]
}

fn view(offset: i64, size: &[i64], stride: &[i64]) -> String {
    tensor_of(&storage("FloatStorage", "0", 4, ""), offset, size, stride)
}

/// It is refused with these reasons, also with `allow_unproven`.
#[track_caller]
fn refuse(bytes: &[u8], says: &[&str]) {
    refusal(bytes, &usual());
    refused(bytes, &lenient(), says);
}

#[test]
fn tensors_inside_of_their_storage_are_converted() {
    for bytes in both(&view(1, &[3], &[1])) {
        let found = convert(&bytes, &usual()).unwrap();
        assert_eq!((&found["good"].2, &found["bad"].2[..]), (&numbers(100), &numbers(4)[..12]));
    }
}

#[test]
fn tensors_that_reach_out_of_their_storage_are_refused_by_name() {
    let outside = "bad: its last element stands behind the end of its storage";
    let overflow = "bad: its size does not fit in 64 bits";
    for (tensor, says) in [
        (view(0, &[5], &[1]), outside),
        (view(4, &[1], &[1]), outside),
        (view(1 << 40, &[], &[]), outside),
        (view(0, &[2], &[4]), outside),
        (view(0, &[2, 2], &[3, 1]), outside),
        (view(i64::MAX, &[4], &[1]), overflow),
        (view(0, &[4, 4], &[i64::MAX, i64::MAX]), overflow),
        (view(0, &[i64::MAX, i64::MAX], &[0, 0]), overflow),
        (view(0, &[i64::MAX], &[0]), overflow),
        (view(0, &[2], &[1, 1]), "bad: it has another number of strides than of sizes"),
        (view(-1, &[1], &[1]), "bad: its offset or strides are no whole numbers"),
        (view(0, &[2], &[-1]), "bad: its offset or strides are no whole numbers"),
        (view(0, &[-2], &[1]), "bad: its shape is not made of whole numbers"),
    ] {
        for bytes in both(&tensor) {
            refuse(&bytes, &[says]);
        }
    }
}

#[test]
fn storages_with_wrong_declarations_are_refused() {
    let of = |class: &str, key: &str, count: i64| tensor_of(&storage(class, key, count, ""), 0, &[1], &[1]);
    // A wrong count is refused even where no other declaration of the key contradicts it.
    let alone = |tensor: String| dict(&[("bad", tensor)]);
    let one = [("0", numbers(0))];
    refuse(&zip(&alone(of("FloatStorage", "0", 5)), &one), &["bad: storage 0 is said to have 20 bytes and has 16"]);
    refuse(&zip(&alone(of("FloatStorage", "0", i64::MAX)), &one), &["bad: its storage is of a class"]);
    refuse(&zip(&alone(of("FloatStorage", "0", -1)), &one), &["bad: its storage is named in no way"]);
    refuse(&zip(&alone(of("FloatStorage", "7", 4)), &one), &["bad: its record archive/data/7 is not there"]);
    let stream = |count: i64, said: u64| legacy(&alone(of("FloatStorage", "0", count)), &[("0", said, numbers(0))]);
    refuse(&stream(5, 5), &["bad: storage 0 is not there"]);
    refuse(&stream(4, 5), &["bad: storage 0 is not there"]);
    refuse(&stream(4, u64::MAX), &["bad: storage 0 is not there"]);
    let lacking = legacy(&alone(of("FloatStorage", "7", 4)), &[]);
    refused(&lacking, &lenient(), &["bad: storage 7 is not there"]);
    let none = tensor_of(&storage("FloatStorage", "7", 0, ""), 0, &[0], &[1]);
    assert!(convert(&zip(&alone(none), &one), &usual()).unwrap()["bad"].2.is_empty());
}

#[test]
fn each_of_many_bad_tensors_is_named() {
    let items: Vec<(String, String)> = (0..50).map(|index| (format!("t{index}"), view(0, &[5], &[1]))).collect();
    let items: Vec<(&str, String)> = items.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    let error = refused(&zip(&dict(&items), &[("0", numbers(0))]), &lenient(), &[]);
    let Error::NotConvertible(refused) = error else { unreachable!("{error}") };
    assert!(refused.iter().map(|refused| &refused.name).eq(items.iter().map(|(name, _)| name)));
}

#[test]
fn many_duplicate_keys_are_done_in_time() {
    let start = Instant::now();
    let count = 200_000;
    let mut value = String::with_capacity(count * 40);
    value += &format!("{}\nBINPUT 0\nPOP\nEMPTY_DICT\n", floats("0", 4));
    for index in 0..count {
        value += if index % 1000 == 0 { "MARK\n" } else { "" };
        value += &format!("BININT {}\nBINGET 0\n", index % (count / 2));
        value += if index % 1000 == 999 { "SETITEMS\n" } else { "" };
    }
    let found = convert(&zip(&value, &[("0", numbers(0))]), &LoadOptions::default()).unwrap();
    assert_eq!(found.len(), 1, "all are one tensor");
    assert!(start.elapsed().as_secs() < 60, "it took {:?}", start.elapsed());
}

#[test]
fn deep_nesting_is_refused() {
    let mut value = floats("0", 4);
    for _ in 0..5000 {
        value = format!("EMPTY_LIST\n{value}\nAPPEND");
    }
    refused(&zip(&value, &[("0", numbers(0))]), &lenient(), &["nested too deeply"]);
}

#[test]
fn a_zip_bomb_is_refused() {
    let bytes = Corpus::here().build("archive/torch-storage-bomb.toml").unwrap();
    let error = refused(&bytes, &usual(), &["bomb"]);
    assert!(error.is_refusal() && matches!(error, Error::NotCleared(_)));
    refused(&bytes, &lenient(), &["more than 200 times the file"]);
}

#[test]
fn a_list_as_shape_is_refused() {
    // The list has one item when the tensor is made, and two when the pickle ends.
    let size = "EMPTY_LIST\nBINPUT 7\nBININT1 2\nAPPEND";
    let args = format!(
        "{}\nBININT1 0\n{size}\nBININT1 1\nBININT1 1\nTUPLE2\nNEWFALSE\nNONE",
        storage("FloatStorage", "0", 4, "")
    );
    let later = "BINGET 7\nBININT1 2\nAPPEND";
    let made = format!("GLOBAL 'torch._utils' '_rebuild_tensor_v2'\nMARK\n{args}\nTUPLE\nREDUCE");
    let value = format!("EMPTY_LIST\n{made}\nAPPEND\n{later}\nAPPEND");
    refuse(&zip(&value, &[("0", numbers(0))]), &["0: its shape is not made of whole numbers"]);
}

#[test]
fn a_masked_array_is_refused_or_written_as_its_parts() {
    let read = |name: &str| std::fs::read(Corpus::here().root().join("clean/numpy").join(name)).unwrap();
    let parts = LoadOptions { lossless_parts: true, ..usual() };
    for name in ["np25/masked-p2.pkl", "np25/masked-p5.pkl", "np115/masked-p0.pkl"] {
        refused(&read(name), &usual(), &["masked has no place in safetensors", "NAME.data and NAME.mask"]);
        assert_eq!(convert(&read(name), &parts).unwrap().keys().collect::<Vec<_>>(), ["data", "mask"], "{name}");
    }
}
