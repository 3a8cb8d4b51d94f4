//! The walk over a zip and the unpacking of each entry: what it hands on lies in the input and within the bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelscan_fuzz::{budget, limits, source};
use scanner::internal::archive::ArchiveEntry;
use scanner::internal::archive::zip::ZipArchive;
use scanner::source::read_vec;

fuzz_target!(|bytes: &[u8]| {
    let (source, budget, limits) = (source(bytes), budget(), limits());
    let archive = ZipArchive::read(&source, &budget);
    assert!(archive.entries.len() <= limits.entries);
    for region in &archive.regions {
        assert!(region.source.len() <= bytes.len() as u64);
    }
    for entry in archive.entries.iter().take(64) {
        if let Some((at, len)) = entry.stored_range() {
            assert!(at.checked_add(len).is_some());
        }
        let opened = entry.open(&budget);
        if let Some(content) = opened.source {
            assert!(content.len() <= limits.member_bytes, "{} bytes of one member", content.len());
            let _ = read_vec(&*content, content.len() / 2, 4096);
        }
    }
});
