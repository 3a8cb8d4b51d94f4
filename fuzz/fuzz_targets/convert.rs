//! Any file: what the loader opens was cleared under the same bounds, every tensor of its plan is there, and the official
//! reader takes the result. The property is the one of `loader/tests/any_bytes.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tempfile::TempDir;

#[path = "../../loader/tests/any_bytes/property.rs"]
mod property;

/// The loader opens files, not bytes: the same one is written anew for every input.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("there is room for a temporary file"));

fuzz_target!(|bytes: &[u8]| {
    property::check(&FOLDER.path().join("input.pt"), bytes);
});
