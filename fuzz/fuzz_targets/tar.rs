//! The walk over a tar: entries are parts of the input, sparse ones as long as the bounds allow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelscan_fuzz::{budget, limits, source};
use scanner::internal::archive::tar::{TarArchive, recognize};
use scanner::source::read_vec;

fuzz_target!(|bytes: &[u8]| {
    let _ = recognize(bytes);
    let archive = TarArchive::read(&source(bytes), &budget());
    assert!(archive.entries.len() <= limits().entries);
    for entry in archive.entries.iter().take(64) {
        assert!(entry.header < bytes.len() as u64);
        for at in [0, entry.source.len() / 2, entry.source.len().saturating_sub(1)] {
            let _ = read_vec(&*entry.source, at, 4096);
        }
    }
});
