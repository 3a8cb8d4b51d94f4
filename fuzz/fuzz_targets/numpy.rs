//! The header of a numpy file, in each of its versions: the input is the text of the header and what follows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelscan_fuzz::artifact;
use scanner::internal::format::Format;
use scanner::internal::format::numpy::Numpy;
use scanner::internal::judge::decide::pickle_calls::CallDecider;
use scanner::internal::observe::observations::{MemberContent, Observations, Retain};

fuzz_target!(|bytes: &[u8]| {
    let look = |bytes: &[u8]| {
        let mut observations = Observations::new(CallDecider::listen, |_| false, Retain::default());
        Numpy.examine(&artifact(bytes, "input.npy"), &mut observations);
        assert!(observations.tensors.len() <= 1);
        for member in &observations.members {
            assert!(matches!(&member.content, MemberContent::Source(source) if source.len() <= bytes.len() as u64));
        }
    };
    look(bytes);
    // As a whole file hardly any mutation gets past the magic number and the length, so the input is a header's text too.
    let text = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    look(&[b"\x93NUMPY\x01\x00".as_slice(), &length.to_le_bytes(), bytes].concat());
    look(&[b"\x93NUMPY\x03\x00".as_slice(), &u32::from(length).to_le_bytes(), bytes].concat());
});
