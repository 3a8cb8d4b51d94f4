//! Headers built by hand, each next to what the reference says of it.

use super::*;
use crate::io::budget::ScanBudget;
use crate::io::limits::Limits;
use crate::io::member_path::MemberPath;
use crate::io::source::Memory;

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn artifact(bytes: &[u8]) -> Artifact {
    let budget = ScanBudget::start(Arc::new(Limits::default()));
    let (member_path, source) = (MemberPath::root(), Arc::new(Memory::new(bytes)));
    Artifact { member_path, name: "x".into(), source, depth: 0, role: Role::Unknown, budget }
}

fn examine(bytes: &[u8]) -> Observations {
    let mut observations = Observations::default();
    Safetensors.examine(&artifact(bytes), &mut observations);
    observations
}

fn sound(observations: &Observations) -> bool {
    observations.facts.is_empty() && observations.unread.is_empty() && observations.members.is_empty()
}

#[track_caller]
fn says(header: &str, data: &[u8], part: &str) -> Observations {
    let bytes = file(header, data);
    let observations = examine(&bytes);
    let stated = format!("{:?} {:?}", observations.facts, observations.unread);
    assert!(stated.contains(part), "{stated}");
    observations
}

const TWO: &str = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]},
    "a":{"dtype":"BF16","shape":[1,1],"data_offsets":[0,2]},"e":{"dtype":"U8","shape":[0],"data_offsets":[6,6]}}  "#;

#[test]
fn a_sound_file_raises_nothing_and_lists_its_tensors() {
    let bytes = file(TWO, &[0; 6]);
    let observations = examine(&bytes);
    assert!(sound(&observations), "{:?} {:?}", observations.facts, observations.unread);
    let names: Vec<_> = observations.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["b", "a", "e"]);
    assert!(::safetensors::SafeTensors::deserialize(&bytes).is_ok());
    assert_eq!(Safetensors.recognize(&Head { start: &bytes, artifact: &artifact(&bytes) }), Recognition::Certain);
    assert!(sound(&examine(&file("{}", b""))));
}

#[test]
fn keys_given_twice_mislead_at_every_level() {
    let tensor = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    says(&format!(r#"{{"a":{tensor},"a":{tensor}}}"#), b"x", "given twice");
    says(r#"{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#, b"x", "given twice");
    says(&format!(r#"{{"__metadata__":{{"k":"1","k":"2"}},"a":{tensor}}}"#), b"x", "given twice");
    says(&format!(r#"{{"__metadata__":{{}},"__metadata__":{{}},"a":{tensor}}}"#), b"x", "given twice");
    says(r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}"#, b"x", "no key of the format");
}

#[test]
fn what_the_reference_refuses_is_stated() {
    let one = |rest: &str| format!(r#"{{"a":{{{rest}}}}}"#);
    let refused = [
        (one(r#""dtype":"U8","shape":[2],"data_offsets":[0,1]"#), "does not give"),
        (one(r#""dtype":"U8","shape":[1],"data_offsets":[1,0]"#), "ends before"),
        (one(r#""dtype":"U9","shape":[1],"data_offsets":[0,1]"#), "unknown"),
        (one(r#""dtype":"U8","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,1]"#), "2^64"),
        (one(r#""dtype":"U8","shape":[1.0],"data_offsets":[0,1]"#), "Broken"),
        (one(r#""dtype":"U8","shape":[-1],"data_offsets":[0,1]"#), "Broken"),
        (one(r#""dtype":"U8","shape":[1]"#), "no data_offsets"),
        (one(r#""dtype":"U8","shape":[0],"data_offsets":[0,0]"#), "TrailingData"),
        (one(r#""dtype":"U8","shape":[2],"data_offsets":[0,2]"#), "Broken"),
        (r#"{"__metadata__":{"a":1}}"#.to_owned(), "Broken"),
        ("{} x".to_owned(), "Broken"),
        ("[".repeat(100_000), "Broken"),
    ];
    for (header, part) in refused {
        says(&header, b"x", part);
        assert!(::safetensors::SafeTensors::deserialize(&file(&header, b"x")).is_err(), "{header}");
    }
    let overlap =
        r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#;
    says(overlap, b"xyz", "overlaps");
}

#[test]
fn bytes_of_no_tensor_are_handed_on() {
    let hole =
        r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}"#;
    let observations = says(hole, b"xNN.y..", "belong to no tensor");
    let lengths: Vec<_> = observations
        .members
        .iter()
        .map(|member| match &member.content {
            crate::observe::observations::MemberContent::Source(source) => source.len(),
            crate::observe::observations::MemberContent::Entry(_) => 0,
        })
        .collect();
    assert_eq!(lengths, [2, 3]);
}

#[test]
fn no_cut_and_no_changed_byte_makes_it_fail() {
    let complete = file(TWO, &[0; 6]);
    for cut in 0..complete.len() {
        assert!(!sound(&examine(&complete[..cut])), "cut at {cut}");
    }
    for at in 0..complete.len() {
        for value in [0, b'"', b'9', b'{', 0xff] {
            let mut bytes = complete.clone();
            bytes[at] = value;
            // Never stricter in silence, never laxer than the reference.
            if sound(&examine(&bytes)) {
                assert!(::safetensors::SafeTensors::deserialize(&bytes).is_ok(), "byte {at} is {value}");
            }
        }
    }
}

#[test]
fn what_would_fill_memory_is_refused() {
    let text = "x".repeat(9 << 20);
    says(&format!(r#"{{"__metadata__":{{"a":"\\{text}"}}}}"#), b"", "a text of more than");
    says(&format!(r#"{{"a":{{"shape":[{}1]}}}}"#, "1,".repeat(2000)), b"", "dimensions");
}

#[test]
fn other_bytes_are_not_taken_for_it() {
    for bytes in [b"\x02\0\0\0\0\0\0\0xx".as_slice(), b"\x80\x02}q\0.", b"{\"a\": 1}", &[0xff; 20], b""] {
        assert_eq!(Safetensors.recognize(&Head { start: bytes, artifact: &artifact(bytes) }), Recognition::No);
    }
}
