//! Makes checkpoints that no library writes from pickle assembly, as a torch zip, legacy stream or tar, and converts them.
#![allow(dead_code, clippy::unwrap_used, reason = "a test stops where it breaks, and not every test needs all of it")]

use loader::convert::{ConvertOptions, plan};
use loader::{Error, LoadOptions, PlanOptions, WriteOptions};
use std::collections::BTreeMap;
use std::path::Path;

/// Type, shape and bytes by name, as the safetensors crate reads them.
pub type Tensors = BTreeMap<String, (String, Vec<usize>, Vec<u8>)>;

pub fn pickle(assembly: &str) -> Vec<u8> {
    fixtures::assemble(&format!("PROTO 2\n{assembly}\nSTOP")).unwrap()
}

/// An integer in the shortest opcode.
pub fn int(value: i64) -> String {
    match value {
        0..=255 => format!("BININT1 {value}"),
        _ if i32::try_from(value).is_ok() => format!("BININT {value}"),
        _ => format!("LONG1 {value}"),
    }
}

pub fn tuple(values: &[i64]) -> String {
    format!("MARK\n{}\nTUPLE", values.iter().map(|value| int(*value)).collect::<Vec<_>>().join("\n"))
}

pub fn text(text: &str) -> String {
    format!("BINUNICODE '{text}'")
}

/// The persistent id of a storage. `view` is the sixth item in the legacy stream.
pub fn storage(class: &str, key: &str, count: i64, view: &str) -> String {
    let class = if class.contains('\'') { class.to_owned() } else { format!("'torch' '{class}'") };
    let (key, count) = (text(key), int(count));
    format!("MARK\nBINUNICODE 'storage'\nGLOBAL {class}\n{key}\nBINUNICODE 'cpu'\n{count}\n{view}\nTUPLE\nBINPERSID")
}

/// A tensor of a storage: offset, size and stride in elements.
pub fn tensor_of(storage: &str, offset: i64, size: &[i64], stride: &[i64]) -> String {
    let (offset, size, stride) = (int(offset), tuple(size), tuple(stride));
    format!(
        "GLOBAL 'torch._utils' '_rebuild_tensor_v2'\nMARK\n{storage}\n{offset}\n{size}\n{stride}\nNEWFALSE\nNONE\nTUPLE\nREDUCE"
    )
}

/// The first `size` floats of storage `key`, which has four.
pub fn floats(key: &str, size: i64) -> String {
    tensor_of(&storage("FloatStorage", key, 4, ""), 0, &[size], &[1])
}

/// A dict of these values by key.
pub fn dict(items: &[(&str, String)]) -> String {
    let pairs: Vec<String> = items.iter().map(|(key, value)| format!("{}\n{value}", text(key))).collect();
    format!("EMPTY_DICT\nMARK\n{}\nSETITEMS", pairs.join("\n"))
}

/// Sixteen bytes that tell one storage from another.
pub fn numbers(first: u8) -> Vec<u8> {
    (0..16).map(|byte| first + byte).collect()
}

/// An entry of a zip. `crc32` and `name` may be wrong.
#[derive(Clone)]
pub struct Entry {
    pub name: String,
    pub bytes: Vec<u8>,
    pub crc32: Option<u32>,
    /// Uses the data of the entry with this index.
    pub shared: Option<usize>,
}

pub fn entry(name: &str, bytes: &[u8]) -> Entry {
    Entry { name: format!("archive/{name}"), bytes: bytes.to_vec(), crc32: None, shared: None }
}

/// The entries of torch's zip: `data.pkl`, and the storages by key.
pub fn entries(assembly: &str, storages: &[(&str, Vec<u8>)]) -> Vec<Entry> {
    let records = storages.iter().map(|(key, bytes)| entry(&format!("data/{key}"), bytes));
    [entry("data.pkl", &pickle(assembly))].into_iter().chain(records).chain([entry("version", b"3\n")]).collect()
}

pub fn zip(assembly: &str, storages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    zip_of(&entries(assembly, storages))
}

pub fn zip_of(entries: &[Entry]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let mut places: Vec<(u32, u32, u32)> = Vec::new();
    for entry in entries {
        let size = u32::try_from(entry.bytes.len()).unwrap();
        let (at, crc32, size) = match entry.shared {
            Some(other) => places[other],
            None => (u32::try_from(out.len()).unwrap(), entry.crc32.unwrap_or(crc32fast::hash(&entry.bytes)), size),
        };
        places.push((at, crc32, size));
        let name = entry.name.as_bytes();
        let mut fields = b"\0\0\0\0\0\0\x21\0".to_vec();
        fields.extend([crc32, size, size].map(u32::to_le_bytes).concat());
        fields.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        fields.extend([0, 0]);
        if entry.shared.is_none() {
            out.extend([b"PK\x03\x04\x14\0", fields.as_slice(), name, &entry.bytes].concat());
        }
        directory.extend([b"PK\x01\x02\x14\x03\x14\0", fields.as_slice(), &[0; 6], &[0, 0, 0xa4, 0x81]].concat());
        directory.extend([&at.to_le_bytes(), name].concat());
    }
    let (count, start) = (u16::try_from(entries.len()).unwrap().to_le_bytes(), u32::try_from(out.len()).unwrap());
    let size = u32::try_from(directory.len()).unwrap();
    out.extend(directory);
    out.extend(
        [b"PK\x05\x06\0\0\0\0", &count[..], &count, &size.to_le_bytes(), &start.to_le_bytes(), &[0, 0]].concat(),
    );
    out
}

/// A legacy stream: the storages in order, each after its element count.
pub fn legacy(assembly: &str, storages: &[(&str, u64, Vec<u8>)]) -> Vec<u8> {
    let keys: Vec<String> = storages.iter().map(|(key, ..)| text(key)).collect();
    let mut out = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    out.extend(pickle("EMPTY_DICT"));
    out.extend(pickle(assembly));
    out.extend(pickle(&format!("EMPTY_LIST\nMARK\n{}\nAPPENDS", keys.join("\n"))));
    for (_, count, bytes) in storages {
        out.extend(count.to_le_bytes());
        out.extend(bytes);
    }
    out
}

/// A tensor of a torch tar: key, storage, shape, stride, offset.
pub type TarTensor<'a> = (i64, i64, &'a [i64], &'a [i64], i64);

/// A torch tar. A view is its key, the key of its root, first element and count.
pub fn tar(assembly: &str, storages: &[(i64, i64, Vec<u8>)], views: &[[i64; 4]], tensors: &[TarTensor<'_>]) -> Vec<u8> {
    let mut numbers = pickle(&int(storages.len() as i64));
    for (key, count, bytes) in storages {
        numbers.extend(pickle(&format!("{}\nBINUNICODE 'cpu'\nGLOBAL 'torch' 'FloatStorage'\nTUPLE3", int(*key))));
        numbers.extend(count.to_le_bytes());
        numbers.extend(bytes);
    }
    let views: Vec<String> = views.iter().map(|view| tuple(view)).collect();
    numbers.extend(pickle(&format!("EMPTY_LIST\nMARK\n{}\nAPPENDS", views.join("\n"))));
    let mut described = pickle(&int(tensors.len() as i64));
    for (key, storage, shape, stride, offset) in tensors {
        described.extend(pickle(&format!("{}\n{}\nGLOBAL 'torch' 'FloatTensor'\nTUPLE3", int(*key), int(*storage))));
        described.extend(i32::try_from(shape.len()).unwrap().to_le_bytes());
        described.extend([0; 4]);
        shape.iter().chain(*stride).chain([offset]).for_each(|number| described.extend(number.to_le_bytes()));
    }
    let members = [("sys_info", pickle("EMPTY_DICT")), ("pickle", pickle(assembly)), ("tensors", described)];
    let mut out = Vec::new();
    for (name, bytes) in members.into_iter().chain([("storages", numbers)]) {
        let mut header = vec![0u8; 512];
        let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
        put(0, name.as_bytes());
        put(100, b"0000644\x000000000\x000000000\0");
        put(124, format!("{:011o}\0", bytes.len()).as_bytes());
        put(136, b"00000000000\0        0");
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend(header);
        let padded = bytes.len().next_multiple_of(512);
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(512).max(padded), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// The default options with `--expand-tied`, so that every name is a tensor.
pub fn usual() -> LoadOptions {
    LoadOptions { plan: PlanOptions { expand_tied: true, ..PlanOptions::default() }, ..LoadOptions::default() }
}

pub fn lenient() -> LoadOptions {
    LoadOptions { allow_unproven: true, ..usual() }
}

/// Converts a file with these bytes. After a failure, its folder must hold no other file.
pub fn convert(bytes: &[u8], policy: &LoadOptions) -> Result<Tensors, Error> {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("hostile.pt");
    std::fs::write(&source, bytes).unwrap();
    let out = folder.path().join("out.safetensors");
    let options = ConvertOptions { write: WriteOptions::default(), verify: true, force: false };
    let done = plan(std::slice::from_ref(&source), &out, policy).and_then(|jobs| jobs.write(&options));
    let there: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    match done {
        Ok(_) => {
            assert_eq!(there.len(), 2, "beside the result stands {there:?}");
            Ok(tensors(&out))
        }
        Err(error) => {
            assert_eq!(there, ["hostile.pt"], "left behind after {error}");
            Err(error)
        }
    }
}

/// The tensors that the safetensors crate finds.
pub fn tensors(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap();
    let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let rows = read
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.dtype().to_string(), view.shape().to_vec(), view.data().to_vec())));
    rows.collect()
}

/// The error of the conversion, which must fail.
#[track_caller]
pub fn refusal(bytes: &[u8], policy: &LoadOptions) -> Error {
    match convert(bytes, policy) {
        Ok(tensors) => unreachable!("it was converted: {:?}", tensors.keys().collect::<Vec<_>>()),
        Err(error) => error,
    }
}

/// The conversion fails with a message that contains all of these texts.
#[track_caller]
pub fn refused(bytes: &[u8], policy: &LoadOptions, says: &[&str]) -> Error {
    let error = refusal(bytes, policy);
    let said = error.to_string();
    for part in says {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    error
}

/// The file is not cleared, and with `allow_unproven` the conversion fails with a message that contains all of these texts.
#[track_caller]
pub fn never(bytes: &[u8], says: &[&str]) {
    let strict = refusal(bytes, &usual());
    assert!(matches!(strict, Error::NotCleared(_)), "it was cleared: {strict}");
    refused(bytes, &lenient(), says);
}

/// Names and reasons of the tensors that are left out.
pub fn left_out(bytes: &[u8], policy: &LoadOptions) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("hostile.pt");
    std::fs::write(&source, bytes).unwrap();
    let loaded = loader::open(&source, policy).unwrap();
    let tensors = loaded.left_out.into_iter().filter(|left| left.tensor);
    tensors.map(|left| (left.name, left.why.to_string())).collect()
}
