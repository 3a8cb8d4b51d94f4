//! The pickle machine and the listing over one stream, in all readings of frames: what it reports lies in the input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelscan_fuzz::{budget, source};
use scanner::internal::pickle::{FrameReading, Options, listing, read};

fuzz_target!(|bytes: &[u8]| {
    let source = source(bytes);
    for reading in [FrameReading::Transparent, FrameReading::Lossy] {
        let trace = read(&source, 0, &Options { reading, ..Options::PLAIN }, &budget(), &mut |_, _| true);
        let end = bytes.len() as u64;
        assert!(trace.length <= end, "{} bytes read of {end}", trace.length);
        assert!(trace.events.iter().all(|event| event.at < end));
        assert!(trace.literals.iter().all(|one| one.at.checked_add(one.len).is_some_and(|to| to <= end)));
        assert!(trace.arrays.iter().all(|array| array.start <= array.end && array.end <= end));
    }
    listing::list(&source, 0, &|_| None, &mut std::io::sink()).expect("memory reads and a sink takes all");
});
