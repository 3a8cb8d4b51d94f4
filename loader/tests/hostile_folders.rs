//! Sharded and distributed checkpoints whose parts do not fit together.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod checkpoint;

use checkpoint::{dict, floats, int, numbers, tensor_of, text, tuple, zip};
use loader::convert::{ConvertOptions, plan};
use loader::{Error, LoadOptions};
use std::path::{Path, PathBuf};

/// A folder with these files.
fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// Converts it into a new folder, which must not exist after a failure.
fn convert(folder: &Path) -> Result<Vec<(PathBuf, checkpoint::Tensors)>, Error> {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("a/b");
    let jobs = plan(&[folder.to_owned()], &out, &LoadOptions::default());
    let done = jobs.and_then(|jobs| jobs.write(&ConvertOptions { verify: true, ..ConvertOptions::default() }));
    if let Err(error) = done {
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "left behind after {error}");
        return Err(error);
    }
    let there = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let results = there.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    Ok(results.map(|path| (path.clone(), checkpoint::tensors(&path))).collect())
}

#[track_caller]
fn refused(folder: &Path, says: &[&str]) {
    let Err(error) = convert(folder) else { unreachable!("it was converted") };
    let said = error.to_string();
    for part in says {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

/// An object of a class of `torch.distributed.checkpoint`, with a state.
fn made(class: &str, state: &str) -> String {
    format!("GLOBAL 'torch.distributed.checkpoint.{class}\nEMPTY_TUPLE\nNEWOBJ\n{state}\nBUILD")
}

fn sizes(sizes: &[i64]) -> String {
    format!("GLOBAL 'torch' 'Size'\n{}\nTUPLE1\nREDUCE", tuple(sizes))
}

/// A part: its offsets, its shape, and its location on disk (`None` for any).
type Part<'a> = (&'a [i64], &'a [i64], Option<&'a [i64]>, &'a str);

/// `.metadata` of one tensor `w`, and a file for each part.
fn distributed(dtype: &str, whole: &[i64], parts: &[Part<'_>], files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let chunk = |(offsets, shape, ..): &Part<'_>| {
        made("metadata' 'ChunkStorageMetadata'", &dict(&[("offsets", sizes(offsets)), ("sizes", sizes(shape))]))
    };
    let chunks: Vec<String> = parts.iter().map(chunk).collect();
    let tensor = made(
        "metadata' 'TensorStorageMetadata'",
        &dict(&[
            ("properties", made("metadata' 'TensorProperties'", &format!("GLOBAL 'torch' '{dtype}'\nTUPLE1"))),
            ("size", sizes(whole)),
            ("chunks", format!("EMPTY_LIST\nMARK\n{}\nAPPENDS", chunks.join("\n"))),
        ]),
    );
    let place = |(_, _, offset, file): &Part<'_>| {
        let offset = offset.map_or("NONE".to_owned(), sizes);
        let key = made("metadata' 'MetadataIndex'", &dict(&[("fqn", text("w")), ("offset", offset)]));
        let length = files.iter().find(|(name, _)| name == file).map_or(0, |(_, bytes)| bytes.len() as i64);
        let state = dict(&[("relative_path", text(file)), ("offset", int(0)), ("length", int(length))]);
        format!("{key}\n{}", made("filesystem' '_StorageInfo'", &state))
    };
    let places: Vec<String> = parts.iter().map(place).collect();
    let metadata = made(
        "metadata' 'Metadata'",
        &dict(&[
            ("state_dict_metadata", dict(&[("w", tensor)])),
            ("planner_data", "NONE".to_owned()),
            ("storage_data", format!("EMPTY_DICT\nMARK\n{}\nSETITEMS", places.join("\n"))),
        ]),
    );
    let mut all = files.to_vec();
    all.push((".metadata", checkpoint::pickle(&metadata)));
    folder(&all)
}

/// A part of two floats.
fn half(first: u8) -> Vec<u8> {
    let storage = checkpoint::storage("FloatStorage", "0", 2, "");
    zip(&tensor_of(&storage, 0, &[2], &[1]), &[("0", numbers(first)[..8].to_vec())])
}

#[test]
fn parts_of_a_distributed_tensor_must_cover_it() {
    let files = [("__0_0.distcp", half(0)), ("__1_0.distcp", half(100))];
    let part = |at: &'static [i64], file: &'static str| -> Part<'static> { (at, &[2], Some(at), file) };
    let (one, two) = (part(&[0], "__0_0.distcp"), part(&[2], "__1_0.distcp"));
    let found = convert(distributed("float32", &[4], &[one, two], &files).path()).unwrap();
    assert_eq!(found[0].1["w"].2, [&numbers(0)[..8], &numbers(100)[..8]].concat());
    let refuse = |whole: &[i64], parts: &[Part<'_>], says: &str| {
        refused(distributed("float32", whole, parts, &files).path(), &["w: ", says]);
    };
    refuse(&[4], &[one, part(&[1], "__1_0.distcp")], "two parts of it overlap");
    refuse(&[4], &[one, part(&[3], "__1_0.distcp")], "a part of it stands outside of the whole");
    refuse(&[5], &[one, two], "its parts have 4 of its 5 elements");
    refuse(&[4], &[one], "its parts have 2 of its 4 elements");
    refuse(&[4], &[one, (&[2], &[1], Some(&[2]), "__1_0.distcp")], "and should have [1]");
    refuse(&[4], &[one, (&[2], &[2], Some(&[7]), "__1_0.distcp")], "has no place");
    refuse(&[2, 2], &[one, two], "a part of it has other dimensions");
    refuse(&[i64::MAX, i64::MAX], &[one, two], "its size does not fit in 64 bits");
    refuse(&[4], &[], "it has no parts");
}

#[test]
fn one_location_does_not_serve_several_parts() {
    let files = [("__0_0.distcp", half(0))];
    let any: [Part<'_>; 2] = [(&[0], &[2], None, "__0_0.distcp"), (&[2], &[2], None, "__0_0.distcp")];
    refused(distributed("float32", &[4], &any, &files).path(), &["w: its part at [0] has no place"]);
    let only: [Part<'_>; 1] = [(&[0], &[2], None, "__0_0.distcp")];
    assert_eq!(convert(distributed("float32", &[2], &only, &files).path()).unwrap()[0].1["w"].2, numbers(0)[..8]);
}

#[test]
fn parts_must_be_in_the_folder() {
    for file in ["../a.distcp", "/etc/passwd", "a/b.distcp"] {
        let only: [Part<'_>; 1] = [(&[0], &[2], Some(&[0]), file)];
        refused(distributed("float32", &[2], &only, &[]).path(), &["does not stand beside it"]);
    }
}

#[test]
fn a_part_with_another_type_than_the_metadata_is_refused() {
    let files = [("__0_0.distcp", half(0))];
    let only: [Part<'_>; 1] = [(&[0], &[2], Some(&[0]), "__0_0.distcp")];
    refused(distributed("int32", &[2], &only, &files).path(), &["w: its parts are F32 and should be I32"]);
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let two = [("0", numbers(0)), ("1", numbers(100))];
    let shard = |names: &[&str], key: &str| {
        zip(&dict(&names.iter().map(|name| (*name, floats(key, 4))).collect::<Vec<_>>()), &two)
    };
    let index = |text: &str| format!("{{\"metadata\": {{}}, \"weight_map\": {text}}}").into_bytes();
    let both = index("{\"a\": \"m-1.bin\", \"b\": \"m-2.bin\"}");
    let good = [("m-1.bin", shard(&["a"], "0")), ("m-2.bin", shard(&["b"], "1")), ("m.bin.index.json", both.clone())];
    assert_eq!(convert(folder(&good).path()).unwrap().len(), 2);
    let twice = [("m-1.bin", shard(&["a"], "0")), ("m-2.bin", shard(&["a", "b"], "1")), ("m.bin.index.json", both)];
    refused(folder(&twice).path(), &["a is in m-1.bin and in m-2.bin"]);
    let lacking = [("m-1.bin", shard(&["a"], "0")), ("m.bin.index.json", index("{\"b\": \"m-1.bin\"}"))];
    refused(folder(&lacking).path(), &["b should be in m-1.bin and is not"]);
    for file in ["../m-1.bin", "/m-1.bin", ""] {
        let away = index(&format!("{{\"a\": \"{file}\"}}"));
        refused(folder(&[("m.bin.index.json", away)]).path(), &["does not stand beside it"]);
    }
}
