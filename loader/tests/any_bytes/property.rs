//! The property that holds for any bytes, for the fuzzer and the test of the same name: files that the loader opens were
//! cleared, and every tensor of the plan can be read.

use loader::{Error, LoadOptions, WriteOptions};
use scanner::Limits;
use scanner::Verdict;
use scanner::clearance::{Clearance, clear};
use std::path::Path;
use std::time::Duration;

/// Low limits, which inputs of some kilobytes reach, and no time limit.
fn limits() -> Limits {
    Limits {
        opcodes: 1_000_000,
        streams: 100,
        depth: 4,
        entries: 2_000,
        members: 2_000,
        member_bytes: 4 << 20,
        unpacked_bytes: 16 << 20,
        ratio_floor: 1 << 20,
        header_bytes: 1 << 20,
        time: Duration::from_secs(1_000_000),
        ..Limits::default()
    }
}

/// Checks the property with and without `--allow-unproven`. Returns whether the loader opened the file.
pub fn check(path: &Path, bytes: &[u8]) -> bool {
    std::fs::write(path, bytes).expect("a temporary file can be written");
    let strict = LoadOptions { limits: limits(), ..LoadOptions::default() };
    let lenient = LoadOptions { allow_unproven: true, lossless_parts: true, ..strict.clone() };
    let opened = check_with(path, bytes.len() as u64, &strict);
    let whatever = check_with(path, bytes.len() as u64, &lenient);
    assert!(!opened || whatever, "it is opened where it must be proven, and not where it need not be");
    opened
}

fn check_with(path: &Path, len: u64, policy: &LoadOptions) -> bool {
    let loaded = match loader::open(path, policy) {
        Ok(loaded) => loaded,
        Err(error) => {
            assert!(!error.to_string().is_empty(), "a refusal without a reason");
            return false;
        }
    };
    // The limits of the loader.
    let loader_limits = Limits { items: 1_000_000, heap_bytes: 256 << 20, events: 4_000_000, ..policy.limits.clone() };
    match clear(path, &loader_limits).expect("the file can be read") {
        Clearance::Cleared(_) => {}
        Clearance::Unproven(_) => assert!(policy.allow_unproven, "it was opened and not cleared"),
        Clearance::Refused(report) => unreachable!("it was opened and is {}", report.verdict.as_str()),
    }
    for report in loaded.reports() {
        assert!(report.verdict == Verdict::Clean || policy.allow_unproven && report.verdict == Verdict::Unproven);
    }
    let plan = loaded.plan();
    assert!(plan.len <= (len * policy.limits.ratio).max(policy.limits.ratio_floor), "{} bytes of {len}", plan.len);
    let mut data = Vec::new();
    for tensor in &plan.tensors {
        assert_eq!(tensor.data_offset, data.len() as u64, "{} has another place", tensor.name);
        if tensor.member().is_none() && !tensor.is_empty() {
            assert!(tensor.member_offset() <= len, "{} starts behind the file", tensor.name);
        }
        let numbers = match loaded.read(tensor) {
            Ok(numbers) => numbers,
            // The file is unproven because a record does not unpack.
            Err(_) if policy.allow_unproven => return true,
            Err(error) => unreachable!("{}: {error}", tensor.name),
        };
        assert_eq!(numbers.len() as u64, tensor.len(), "{} has another length", tensor.name);
        data.extend(numbers);
    }
    assert_eq!(data.len() as u64, plan.len);
    let out = path.with_extension("safetensors");
    match loaded.write(&out, &WriteOptions::default()).and_then(|written| written.persist(&out, true)) {
        Ok(()) => {}
        Err(Error::Damaged { .. }) => return true,
        Err(error) => unreachable!("it is planned and cannot be written: {error}"),
    }
    let file = std::fs::read(&out).expect("the result can be read");
    assert!(file.ends_with(&data) && (file.len() - data.len()).is_multiple_of(64));
    let read = safetensors::SafeTensors::deserialize(&file).expect("the official reader takes the result");
    assert_eq!(read.len(), plan.tensors.len());
    for (alias, name) in &plan.aliases {
        assert!(read.tensor(name).is_ok() && read.tensor(alias).is_err(), "{alias} stands for {name}");
    }
    true
}
