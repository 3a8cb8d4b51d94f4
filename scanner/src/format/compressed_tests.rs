//! One small content in every wrapping, as Python's libraries and the usual tools write it.

use super::*;
use crate::fact::Unread;
use crate::io::budget::ScanBudget;
use crate::io::limits::Limits;
use crate::io::member_path::MemberPath;
use crate::io::source::Memory;
use crate::observe::observations::MemberContent;

const CONTENT: &[u8] = b"content content content\n";
const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03K\xce\xcf+I\xcd+QHF\xa5\xb9\x00P\xb2\x84\xfa\x18\x00\x00\x00";
const ZLIB: &[u8] = b"x\xdaK\xce\xcf+I\xcd+QHF\xa5\xb9\x00w'\x09<";
const BZIP2: &[u8] = b"BZh91AY&SYSQS\xfd\x00\x00\x02\xd1\x80\x00\x10@\x00\x0a\x01\x84\x00 \x00!\xb54d!\x80\xa3M\x9cR\x15\x1e.\xe4\x8ap\xa1 \xa6\xa2\xa7\xfa";
const XZ: &[u8] = b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F\x02\x00!\x01\x16\x00\x00\x00t/\xe5\xa3\xe0\x00\x17\x00\x0f]\x001\x9b\xca\x19\xda\xed\xa4\xf2\xec)\x9d\xb3\xf8\x00\x00\x00\x00(\xa0\x1a\xdf\xeb\x18\x0f\x22\x00\x01+\x18\x14\xd0\x9aE\x1f\xb6\xf3}\x01\x00\x00\x00\x00\x04YZ";
const LZMA: &[u8] = b"]\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x001\x9b\xca\x19\xda\xed\xa4\xf2\xec)\x9e#\x95\xa3\xff\xff\xc6\xab@\x00";
const ZSTD: &[u8] = b"(\xb5/\xfd$\x18}\x00\x00Hcontent \x0a\x01\x00\xeb\x0a\x179i\x84\x01";
const LZ4: &[u8] =
    b"\x04\x22M\x18h@\x18\x00\x00\x00\x00\x00\x00\x00O\x11\x00\x00\x00\x87content \x08\x00Ptent\x0a\x00\x00\x00\x00";
const LZ4_LEGACY: &[u8] = b"\x02!L\x18\x11\x00\x00\x00\x87content \x08\x00Ptent\x0a";
const ZF: &[u8] = b"ZF0x18               x\x9cK\xce\xcf+I\xcd+QHF\xa5\xb9\x00w'\x09<";
const FORMATS: [(&dyn Format, &[u8]); 9] = [
    (&Gzip, GZIP),
    (&Zlib, ZLIB),
    (&Bzip2, BZIP2),
    (&Xz, XZ),
    (&Lzma, LZMA),
    (&Zstd, ZSTD),
    (&Lz4, LZ4),
    (&Lz4, LZ4_LEGACY),
    (&JoblibZf, ZF),
];

fn artifact(bytes: &[u8]) -> Artifact {
    let budget = ScanBudget::start(Arc::new(Limits::default()));
    let (member_path, source) = (MemberPath::root(), Arc::new(Memory::new(bytes)));
    Artifact { member_path, name: "x".into(), source, depth: 0, role: Role::Unknown, budget }
}

fn examine(format: &dyn Format, bytes: &[u8]) -> Observations {
    let mut observations = Observations::default();
    format.examine(&artifact(bytes), &mut observations);
    observations
}

fn content(observations: &Observations, index: usize) -> Vec<u8> {
    match observations.members.get(index).map(|member| &member.content) {
        Some(MemberContent::Source(source)) => read_vec(&**source, 0, 4096).expect("memory reads"),
        _ => Vec::new(),
    }
}

fn recognized(format: &dyn Format, bytes: &[u8]) -> Recognition {
    format.recognize(&Head { start: bytes, artifact: &artifact(bytes) })
}

#[test]
fn each_stream_is_recognized_by_its_own_format_and_unwrapped() {
    for (format, bytes) in FORMATS {
        assert_eq!(recognized(format, bytes), Recognition::Certain, "{}", format.info().id);
        for (other, _) in FORMATS {
            let alone = other.info().id == format.info().id || recognized(other, bytes) == Recognition::No;
            assert!(alone, "{} is taken for {}", format.info().id, other.info().id);
        }
        let observations = examine(format, bytes);
        assert!(
            observations.facts.is_empty() && observations.unread.is_empty(),
            "{}: {:?} {:?}",
            format.info().id,
            observations.facts,
            observations.unread
        );
        assert_eq!(content(&observations, 0), CONTENT, "{}", format.info().id);
        assert_eq!(observations.members.len(), 1);
    }
}

#[test]
fn bytes_behind_a_stream_are_stated_and_handed_on() {
    for (format, bytes) in FORMATS {
        let observations = examine(format, &[bytes, b"\x80\x02N."].concat());
        // A legacy lz4 frame has no end mark: what stands behind it is a broken block of it.
        if bytes == LZ4_LEGACY {
            assert!(!observations.unread.is_empty());
            continue;
        }
        let stated = matches!(observations.facts.as_slice(), [(Some(_), Fact::TrailingData { length: 4, .. })]);
        assert!(stated, "{}: {:?} {:?}", format.info().id, observations.facts, observations.unread);
        assert_eq!(content(&observations, 1), b"\x80\x02N.", "{}", format.info().id);
    }
}

#[test]
fn streams_in_a_row_are_one_content() {
    let twice = [CONTENT, CONTENT].concat();
    for (format, bytes) in FORMATS {
        if matches!(format.info().id, "gzip" | "bzip2" | "xz" | "zstd") || bytes == LZ4 {
            let observations = examine(format, &[bytes, bytes].concat());
            assert_eq!(content(&observations, 0), twice, "{}", format.info().id);
            assert!(observations.facts.is_empty() && observations.unread.is_empty(), "{}", format.info().id);
        }
    }
    let skipped = [b"\x50\x2a\x4d\x18\x03\0\0\0xyz".as_slice(), ZSTD].concat();
    assert_eq!(recognized(&Zstd, &skipped), Recognition::Certain);
    assert_eq!(content(&examine(&Zstd, &skipped), 0), CONTENT);
    let padded = [GZIP, &[0; 10], GZIP, &[0; 6]].concat();
    let observations = examine(&Gzip, &padded);
    assert_eq!((content(&observations, 0), observations.facts.len()), (twice, 0));
}

#[test]
fn a_cut_stream_is_not_read_to_its_end_and_says_so() {
    for (format, bytes) in FORMATS {
        for cut in 8..bytes.len() {
            let observations = examine(format, &bytes[..cut]);
            let complete = content(&observations, 0) == CONTENT;
            let stated = observations.unread.iter().any(|(_, why)| matches!(why, Unread::Broken(_)));
            // The old header is only known when it is there; a legacy frame may end behind any block.
            assert!(
                stated || complete || bytes == ZF || bytes == LZ4_LEGACY,
                "{} cut at {cut}: {:?}",
                format.info().id,
                observations.unread
            );
        }
    }
}

#[test]
fn no_changed_byte_makes_it_fail() {
    for (format, bytes) in FORMATS {
        for at in 0..bytes.len() {
            for value in [0, 0x7f, 0xff] {
                let mut bytes = bytes.to_vec();
                bytes[at] = value;
                let observations = examine(format, &bytes);
                assert!(observations.members.len() <= 2);
            }
        }
    }
}

#[test]
fn decoders_that_want_too_much_memory_are_refused() {
    // A dictionary of 1 GiB.
    let mut bytes = LZMA.to_vec();
    bytes[1..5].copy_from_slice(&(1_u32 << 30).to_le_bytes());
    let observations = examine(&Lzma, &bytes);
    assert!(matches!(observations.unread.as_slice(), [(_, Unread::Limit(_))]), "{:?}", observations.unread);
    // A frame without a single segment, and the largest window there is.
    let observations = examine(&Zstd, b"\x28\xb5\x2f\xfd\x00\xff\x01\0\0");
    assert!(matches!(observations.unread.as_slice(), [(_, Unread::Limit(_))]), "{:?}", observations.unread);
}

#[test]
fn numbers_are_no_streams() {
    let samples: [&[u8]; 4] = [&[0; 64], b"\x78\x9cthis is not deflated", b"]\0\0\x80\0 and so on", &[0xff; 64]];
    for bytes in samples {
        for (format, _) in FORMATS {
            assert_eq!(recognized(format, bytes), Recognition::No, "{} {bytes:?}", format.info().id);
        }
    }
}
