//! Tar files built block by block, honest and otherwise.

use super::*;
use crate::io::limits::Limits;
use crate::io::source::Memory;

fn header(name: &str, size: &str, kind: u8, link: &str) -> Vec<u8> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(124, size.as_bytes());
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    sum(&mut block);
    block
}

fn sum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let total: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{total:06o}\0 ").as_bytes());
}

fn of(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, &format!("{:011o}", data.len()), kind, "");
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    bytes
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let body = format!(" {key}={value}\n");
    let length = (body.len()..).find(|length| length.to_string().len() + body.len() == *length).expect("there is one");
    of("pax", b'x', format!("{length}{body}").as_bytes())
}

fn tar(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1024]].concat()
}

fn read(bytes: &[u8]) -> TarArchive {
    let source: SharedSource = Arc::new(Memory::new(bytes));
    TarArchive::read(&source, &ScanBudget::start(Arc::new(Limits::default())))
}

fn listed(archive: &TarArchive) -> Vec<(String, Vec<u8>)> {
    let content = |entry: &TarEntry| read_vec(&*entry.source, 0, 4096).expect("memory reads");
    archive.entries.iter().map(|entry| (entry.name.clone(), content(entry))).collect()
}

fn names(archive: &TarArchive) -> Vec<&str> {
    archive.entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[track_caller]
fn misleads(archive: &TarArchive, part: &str) {
    let stated = archive.facts.iter().any(
        |(_, fact)| matches!(fact, Fact::ArchiveMismatch { what, deviation: Deviation::Misleading } if what.contains(part)),
    );
    assert!(stated, "{:?}", archive.facts);
}

#[test]
fn honest_tars_raise_nothing() {
    let long = "l/".repeat(90);
    let gnu_name = of("././@LongLink", b'L', format!("{long}\0").as_bytes());
    let bytes = tar(&[
        of("a", b'0', b"one"),
        of("dir/", b'5', b""),
        pax("path", "pax/name"),
        of("cut", b'0', b"two"),
        gnu_name,
        of("l", b'0', b"three"),
        header("dir/link", "0", b'2', "../a"),
    ]);
    let archive = read(&bytes);
    assert_eq!((archive.facts.as_slice(), archive.unread.as_slice()), (&[][..], &[][..]));
    let expected = [("a".into(), b"one".to_vec()), ("pax/name".into(), b"two".to_vec()), (long, b"three".to_vec())];
    assert_eq!(listed(&archive), expected);
    assert_eq!(recognize(&bytes), Some(true));
    assert_eq!(recognize(&[0; 512]), None);
}

#[test]
fn both_sizes_are_followed_where_they_disagree() {
    // By its header the first entry is empty-handed of the second; by its extended size it swallows it.
    let hidden = of("hidden.pkl", b'0', b"payload");
    let mut outer = header("outer", "00000000001", b'0', "");
    outer.extend_from_slice(&[b'x'; BLOCK_BYTES]);
    let size = (BLOCK_BYTES + hidden.len()).to_string();
    let archive = read(&tar(&[pax("size", &size), outer, hidden, of("last", b'0', b"z")]));
    misleads(&archive, "by its extended size");
    assert_eq!(names(&archive), ["outer", "last", "hidden.pkl"]);
}

#[test]
fn links_and_devices_are_stated() {
    let parts =
        [header("l", "0", b'2', "/etc/passwd"), header("d/m", "0", b'2', "../../x"), header("h", "0", b'1', "../y")];
    let archive = read(&tar(&parts));
    let escapes = archive.facts.iter().filter(|(_, fact)| matches!(fact, Fact::PathEscapes { .. })).count();
    assert_eq!(escapes, 3);
    let archive = read(&tar(&[header("dev", "0", b'3', ""), header("../up", "0", b'6', "")]));
    assert!(archive.facts.iter().any(|(_, fact)| *fact == Fact::SpecialFile { kind: "character device" }));
    assert!(archive.facts.iter().any(|(_, fact)| matches!(fact, Fact::PathEscapes { .. })));
    // A link with data: some readers skip it, others take it for headers.
    let mut link = of("in", b'0', b"data");
    link = [header("link", &format!("{:011o}", link.len()), b'2', "in"), link].concat();
    let archive = read(&tar(&[link]));
    misleads(&archive, "readers differ");
    assert_eq!(names(&archive), ["link", "in"]);
}

#[test]
fn entries_behind_the_end_or_a_broken_header_come_to_light() {
    let bytes = [tar(&[of("a", b'0', b"1")]), tar(&[of("b", b'0', b"2")])].concat();
    let archive = read(&bytes);
    misleads(&archive, "behind the end");
    assert_eq!(names(&archive), ["a", "b"]);

    let mut broken = of("x", b'0', b"1");
    broken[0] = b'y';
    let archive = read(&tar(&[of("a", b'0', b"1"), broken, of("b", b'0', b"2")]));
    assert!(matches!(archive.unread.as_slice(), [(Some(1024), Unread::Broken(_))]));
    assert_eq!(names(&archive), ["a", "b"]);

    let archive = read(&[tar(&[of("a", b'0', b"1")]), b"\x80\x02N.".to_vec()].concat());
    assert!(matches!(archive.facts.as_slice(), [(_, Fact::TrailingData { length: 4, .. })]));
    assert_eq!(archive.trailing.map(|rest| rest.len()), Some(4));
}

#[test]
fn a_binary_size_is_read_and_a_negative_one_refused() {
    let mut block = header("a", "", b'0', "");
    block[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\x03");
    sum(&mut block);
    block.extend_from_slice(b"abc");
    block.resize(1024, 0);
    assert_eq!(listed(&read(&tar(&[block.clone()]))), [("a".into(), b"abc".to_vec())]);
    block[124..136].fill(0xff);
    sum(&mut block[..BLOCK_BYTES]);
    let archive = read(&tar(&[block]));
    assert!(matches!(archive.unread.as_slice(), [(Some(0), Unread::Broken(_))]));
}

#[test]
fn sparse_files_are_filled_up() {
    let mut old = header("s", "00000000003", b'S', "");
    old[257..265].copy_from_slice(b"ustar  \0");
    old[386..410].copy_from_slice(b"00000000002\x0000000000003\0");
    old[483..495].copy_from_slice(b"00000000006\0");
    sum(&mut old);
    old.extend_from_slice(b"abc");
    old.resize(1024, 0);
    assert_eq!(listed(&read(&tar(&[old]))), [("s".into(), b"\0\0abc\0".to_vec())]);

    let mut records = String::new();
    for (key, value) in [("major", "1"), ("minor", "0"), ("name", "real"), ("realsize", "5")] {
        let body = format!(" GNU.sparse.{key}={value}\n");
        let length = (body.len()..).find(|len| len.to_string().len() + body.len() == *len).expect("there is one");
        records += &format!("{length}{body}");
    }
    let mut data = b"1\n3\n2\n".to_vec();
    data.resize(BLOCK_BYTES, 0);
    data.extend_from_slice(b"xy");
    let archive = read(&tar(&[of("pax", b'x', records.as_bytes()), of("fake", b'0', &data)]));
    assert_eq!(listed(&archive), [("real".into(), b"\0\0\0xy".to_vec())]);
}

#[test]
fn no_cut_and_no_changed_byte_makes_it_fail() {
    let complete = tar(&[pax("path", "p"), of("a", b'0', b"one"), of("g", b'g', b"9 size=3\n"), of("b", b'0', b"two")]);
    for cut in 0..complete.len() {
        let archive = read(&complete[..cut]);
        assert!(archive.entries.len() <= 2);
    }
    for at in 0..complete.len() {
        let mut bytes = complete.clone();
        bytes[at] ^= 0x81;
        let _ = listed(&read(&bytes));
        let start = at / BLOCK_BYTES * BLOCK_BYTES;
        sum(&mut bytes[start..start + BLOCK_BYTES]);
        let _ = listed(&read(&bytes));
    }
}
