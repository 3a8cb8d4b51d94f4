//! Zip files built byte by byte, honest and otherwise.

use super::entry::ZipArchive;
use crate::archive::ArchiveEntry;
use crate::fact::{Deviation, Fact, Unread};
use crate::io::budget::ScanBudget;
use crate::io::limits::Limits;
use crate::io::source::{Memory, SharedSource, read_vec};
use std::io::Write;
use std::sync::Arc;

/// One entry with what its two headers say.
#[derive(Clone)]
struct Item {
    name: Vec<u8>,
    local_name: Vec<u8>,
    data: Vec<u8>,
    unpacked: u32,
    crc32: u32,
    method: u16,
    local_method: u16,
    flags: u16,
    external: u32,
    torch: bool,
    listed: bool,
}

fn item(name: &str, data: &[u8]) -> Item {
    Item {
        name: name.into(),
        local_name: name.into(),
        data: data.into(),
        unpacked: u32::try_from(data.len()).expect("small"),
        crc32: crc32fast::hash(data),
        method: 0,
        local_method: 0,
        flags: 0,
        external: 0,
        torch: false,
        listed: true,
    }
}

fn deflated(name: &str, data: &[u8]) -> Item {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).expect("memory takes it");
    let packed = encoder.finish().expect("memory takes it");
    Item { data: packed, method: 8, local_method: 8, ..item(name, data) }
}

fn torch(name: &str, data: &[u8]) -> Item {
    Item { torch: true, flags: 0x0808, ..item(name, data) }
}

fn u16s(to: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| to.extend_from_slice(&value.to_le_bytes()));
}

fn u32s(to: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| to.extend_from_slice(&value.to_le_bytes()));
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("small")
}

fn short(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).expect("small")
}

fn local(out: &mut Vec<u8>, item: &Item) {
    let extra = if item.torch {
        let here = out.len() + 30 + item.local_name.len() + 4;
        let padding = (64 - here % 64) % 64;
        let mut extra = b"FB".to_vec();
        u16s(&mut extra, &[u16::try_from(padding).expect("small")]);
        extra.resize(4 + padding, b'Z');
        extra
    } else {
        Vec::new()
    };
    out.extend_from_slice(b"PK\x03\x04");
    u16s(out, &[20, item.flags, item.local_method, 0, 0]);
    let stated = if item.torch { [0; 3] } else { [item.crc32, len(&item.data), item.unpacked] };
    u32s(out, &stated);
    u16s(out, &[short(&item.local_name), short(&extra)]);
    out.extend_from_slice(&item.local_name);
    out.extend_from_slice(&extra);
    out.extend_from_slice(&item.data);
    if item.torch && !item.data.is_empty() {
        out.extend_from_slice(b"PK\x07\x08");
        u32s(out, &[item.crc32, len(&item.data), item.unpacked]);
    }
}

fn central(out: &mut Vec<u8>, item: &Item, at: u32) {
    out.extend_from_slice(b"PK\x01\x02");
    u16s(out, &[0x0314, 20, item.flags, item.method, 0, 0]);
    u32s(out, &[item.crc32, len(&item.data), item.unpacked]);
    u16s(out, &[short(&item.name), 0, 0, 0, 0]);
    u32s(out, &[item.external, at]);
    out.extend_from_slice(&item.name);
}

fn end(out: &mut Vec<u8>, count: u16, size: u32, at: u32, comment: &[u8]) {
    out.extend_from_slice(b"PK\x05\x06");
    u16s(out, &[0, 0, count, count]);
    u32s(out, &[size, at]);
    u16s(out, &[short(comment)]);
    out.extend_from_slice(comment);
}

fn zip(items: &[Item]) -> Vec<u8> {
    zip_with(items, false, b"")
}

fn zip_with(items: &[Item], zip64: bool, comment: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut places = Vec::new();
    for item in items {
        places.push(len(&out));
        local(&mut out, item);
    }
    let start = len(&out);
    let listed: Vec<_> = items.iter().zip(places).filter(|(item, _)| item.listed).collect();
    for (item, at) in &listed {
        central(&mut out, item, *at);
    }
    let size = len(&out) - start;
    let count = u16::try_from(listed.len()).expect("small");
    if zip64 {
        let at = out.len() as u64;
        out.extend_from_slice(b"PK\x06\x06");
        out.extend_from_slice(&44_u64.to_le_bytes());
        u16s(&mut out, &[45, 45]);
        u32s(&mut out, &[0, 0]);
        for value in [u64::from(count), u64::from(count), u64::from(size), u64::from(start)] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(b"PK\x06\x07");
        u32s(&mut out, &[0]);
        out.extend_from_slice(&at.to_le_bytes());
        u32s(&mut out, &[1]);
        end(&mut out, 0xffff, u32::MAX, u32::MAX, comment);
    } else {
        end(&mut out, count, size, start, comment);
    }
    out
}

fn budget() -> ScanBudget {
    ScanBudget::start(Arc::new(Limits::default()))
}

fn read(bytes: Vec<u8>) -> ZipArchive {
    let source: SharedSource = Arc::new(Memory::new(bytes));
    ZipArchive::read(&source, &budget())
}

fn content(archive: &ZipArchive, index: usize) -> Vec<u8> {
    let opened = archive.entries[index].open(&budget());
    opened.source.map(|source| read_vec(&*source, 0, 1 << 20).expect("memory reads")).unwrap_or_default()
}

fn misleading(archive: &ZipArchive) -> Vec<&str> {
    let stated = archive.facts.iter().filter_map(|(_, fact)| match fact {
        Fact::ArchiveMismatch { what, deviation: Deviation::Misleading } => Some(what.as_str()),
        _ => None,
    });
    stated.collect()
}

#[track_caller]
fn says(archive: &ZipArchive, part: &str) {
    assert!(misleading(archive).iter().any(|what| what.contains(part)), "{:?}", archive.facts);
}

#[track_caller]
fn honest(archive: &ZipArchive) {
    assert_eq!((archive.facts.as_slice(), archive.unread.as_slice()), (&[][..], &[][..]));
    assert!(archive.regions.is_empty());
}

fn torch_zip() -> Vec<Item> {
    let unsummed = Item { crc32: 0, ..torch("a/data/1", b"9876") };
    vec![torch("a/data.pkl", b"\x80\x02N."), torch("a/data/0", &[7; 300]), unsummed, torch("a/empty", b"")]
}

#[test]
fn honest_writers_raise_nothing() {
    for zip64 in [false, true] {
        let archive = read(zip_with(&torch_zip(), zip64, b""));
        honest(&archive);
        assert_eq!(content(&archive, 1), [7; 300]);
        assert_eq!(archive.entries[1].data.expect("it has a header") % 64, 0);
        let mixed = [item("W.npy", b"abc"), deflated("x/", b""), deflated("b.npy", &[5; 5000])];
        let archive = read(zip_with(&mixed, zip64, b""));
        honest(&archive);
        assert_eq!(content(&archive, 2), [5; 5000]);
        assert!(archive.entries[2].open(&budget()).facts.is_empty());
    }
    honest(&read(zip(&[])));
}

#[test]
fn a_zip_stored_inside_is_no_second_view() {
    let inner = zip(&[item("inner", b"1")]);
    honest(&read(zip(&[item("a", b"2"), item("inner.zip", &inner)])));
}

#[test]
fn headers_that_disagree_are_stated() {
    let renamed = Item { local_name: b"evil.pkl".to_vec(), ..item("data.pkl", b"1") };
    let archive = read(zip(&[renamed]));
    says(&archive, "is named evil.pkl");
    assert_eq!(archive.entries[0].local_name.as_deref(), Some("evil.pkl"));
    says(&read(zip(&[Item { local_method: 8, ..item("a", b"1") }])), "has method 0");
    says(&read(zip(&[Item { unpacked: 9, ..item("a", b"1") }])), "two lengths");
    says(&read(zip(&[Item { flags: 0x20, ..item("a", b"1") }])), "flags");
    let mut bytes = zip(&[torch("a", b"data")]);
    let descriptor = bytes.windows(4).position(|window| window == b"PK\x07\x08").expect("it is there");
    bytes[descriptor + 8] ^= 1;
    says(&read(bytes), "behind its data");
}

#[test]
fn one_name_to_some_reader_is_stated() {
    says(&read(zip(&[item("a", b"1"), item("a", b"2")])), "two entries are named a");
    says(&read(zip(&[item("r/a", b"1"), item("r\\a.", b"2")])), "one name");
    says(&read(zip(&[item("r/data.pkl", b"1"), item("r/DATA.pkl", b"2")])), "case only");
    says(&read(zip(&[item("a\0b", b"1")])), "NUL");
    honest(&read(zip(&[item("W.npy", b"1"), item("w.npy", b"2")])));
}

#[test]
fn hidden_bytes_come_to_light() {
    let hidden = Item { listed: false, ..item("hidden.pkl", b"payload") };
    let archive = read(zip(&[item("a", b"1"), hidden.clone(), item("b", b"2")]));
    says(&archive, "in no central directory");
    let index = archive.entries.iter().position(|entry| entry.only_local).expect("it is found");
    assert_eq!(content(&archive, index), b"payload");
    assert_eq!(archive.regions.len(), 1);

    let mut prefixed = b"\x80\x04N.".to_vec();
    prefixed.extend(zip(&[item("a", b"1")]));
    let archive = read(prefixed);
    says(&archive, "before the first entry");
    assert_eq!((archive.regions[0].name.as_str(), content(&archive, 0)), ("(prefix)", b"1".to_vec()));

    let mut suffixed = zip(&[item("a", b"1")]);
    suffixed.extend_from_slice(b"more");
    let archive = read(suffixed);
    assert_eq!((archive.regions[0].name.as_str(), archive.entries.len()), ("(suffix)", 1));
}

#[test]
fn a_second_archive_behind_the_first_is_read_too() {
    // Of equal lengths, the second directory is at the place of the first by its offset.
    for (good, place) in [("good", "another place"), ("good_too", "another end record")] {
        let first = zip(&[item(good, b"1")]);
        let mut both = first.clone();
        let offset = len(&both);
        both.extend(zip(&[item("evil", b"2")]));
        let archive = read(both);
        says(&archive, place);
        assert!(archive.entries.iter().any(|entry| entry.name == "evil" && entry.header == u64::from(offset)));
        assert!(archive.entries.iter().any(|entry| entry.name == good));
    }
    let first = zip(&[item("good", b"1")]);
    says(&read(zip_with(&[item("a", b"1")], false, &first)), "another end record");
}

#[test]
fn an_encryption_flag_on_plain_data_does_not_hide_it() {
    let flagged = Item { flags: 1, ..deflated("a", b"content content") };
    let archive = read(zip(&[flagged, Item { flags: 1, ..item("b", b"plain") }]));
    for index in [0, 1] {
        let opened = archive.entries[index].open(&budget());
        assert_eq!(opened.unread, None);
        assert!(matches!(opened.facts.as_slice(), [Fact::ArchiveMismatch { deviation: Deviation::Misleading, .. }]));
    }
    assert_eq!(content(&archive, 0), b"content content");
    let sealed = Item { flags: 1, crc32: 77, ..item("c", b"\x01\x02\x03") };
    assert_eq!(read(zip(&[sealed])).entries[0].open(&budget()).unread, Some(Unread::Encrypted));
}

#[test]
fn checksums_are_compared_on_opening() {
    let opened = read(zip(&[Item { crc32: 5, ..item("a", b"1") }])).entries[0].open(&budget());
    assert!(matches!(opened.facts.as_slice(), [Fact::ArchiveMismatch { .. }]));
    let opened = read(zip(&[Item { crc32: 5, ..deflated("a", b"1") }])).entries[0].open(&budget());
    assert!(matches!(opened.facts.as_slice(), [Fact::ArchiveMismatch { .. }]));
}

#[test]
fn links_and_overlaps_are_stated() {
    let link = Item { external: 0xa1ff_0000, ..item("link", b"/etc/passwd") };
    assert!(matches!(read(zip(&[link])).facts.as_slice(), [(_, Fact::PathEscapes { .. })]));
    let mut out = Vec::new();
    let one = item("a", b"1");
    local(&mut out, &one);
    let start = len(&out);
    central(&mut out, &one, 0);
    central(&mut out, &Item { name: b"b".to_vec(), ..one }, 0);
    let size = len(&out) - start;
    end(&mut out, 2, size, start, b"");
    let archive = read(out);
    says(&archive, "overlaps");
    says(&archive, "b is named a");
}

#[test]
fn the_first_bytes_of_a_cut_archive_are_read_from_local_headers() {
    let complete = zip(&torch_zip());
    for cut in 0..complete.len() {
        let archive = read(complete[..cut].to_vec());
        assert!(!archive.unread.is_empty(), "cut at {cut}");
        for index in 0..archive.entries.len() {
            let _ = content(&archive, index);
        }
    }
    let archive = read(complete[..complete.len() - 30].to_vec());
    assert_eq!(archive.entries[0].name, "a/data.pkl");
    assert!(content(&archive, 0).starts_with(b"\x80\x02N."));
}

#[test]
fn no_changed_byte_makes_it_fail() {
    let complete = zip_with(&[torch("a/data.pkl", b"N."), deflated("b", b"bbbb")], true, b"c");
    for at in 0..complete.len() {
        for value in [0, 0x7f, 0xff] {
            let mut bytes = complete.clone();
            bytes[at] = value;
            let archive = read(bytes);
            for index in 0..archive.entries.len() {
                let _ = content(&archive, index);
            }
        }
    }
}
