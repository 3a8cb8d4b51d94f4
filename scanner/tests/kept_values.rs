//! How much is kept of the values of pickles: of a scan nothing, for the loader what it may ask for, and all of it within
//! one bound for a file.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use scanner::Limits;
use scanner::internal::examine::{Examination, examine};
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::observe::observations::Retain;
use scanner::internal::pickle::{self, Options};
use scanner::source::{Memory, SharedSource};
use std::io::Write;
use std::sync::Arc;

/// A zip of many pickles, each of very many empty lists in a list: some bytes of zip, megabytes of values.
fn many(names: impl Iterator<Item = String>) -> Vec<u8> {
    let lists = [&b"\x80\x02]("[..], &b"]".repeat(300_000), b"e."].concat();
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in names {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&lists).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn examined(bytes: Vec<u8>, layout: bool, heap_bytes: usize) -> Examination {
    let limits = Limits { heap_bytes, items: 1_000_000, ..Limits::default() };
    let budget = ScanBudget::start(Arc::new(limits));
    examine(Arc::new(Memory::new(bytes)), "a.zip", &budget, Retain { events: false, layout })
}

fn kept(examination: &Examination) -> usize {
    let stream = examination.artifacts.iter().flat_map(|examined| &examined.pickles);
    stream.map(|stream| stream.trace.heap.bytes()).sum()
}

#[test]
fn a_scan_keeps_no_values() {
    let examination = examined(many((0..12).map(|index| format!("{index}/data.pkl"))), false, 128 << 20);
    assert_eq!(examination.artifacts.iter().flat_map(|examined| &examined.pickles).count(), 12);
    assert_eq!(kept(&examination), 0);
}

#[test]
fn the_loader_gets_the_values_of_a_file_within_one_bound() {
    let limit = 64 << 20;
    let examination = examined(many((0..12).map(|index| format!("{index}/data.pkl"))), true, limit);
    let bytes = kept(&examination);
    assert!(bytes > 0 && bytes <= limit, "{bytes} bytes");
    let forgotten = examination.artifacts.iter().flat_map(|examined| &examined.pickles);
    assert!(forgotten.filter(|stream| stream.trace.heap.overflowed()).count() >= 8, "what was forgotten says so");
    let others = examined(many((0..4).map(|index| format!("{index}/other.pkl"))), true, limit);
    assert_eq!(kept(&others), 0);
}

#[test]
fn of_pickles_in_a_row_the_first_and_the_last_are_kept() {
    let one = [&b"\x80\x02]("[..], &b"]".repeat(1000), b"e."].concat();
    let examination = examined(one.repeat(20), true, 64 << 20);
    let pickles = &examination.artifacts.first().unwrap().pickles;
    let kept: Vec<bool> = pickles.iter().map(|stream| stream.trace.heap.bytes() > 0).collect();
    assert_eq!(kept.len(), 20);
    assert!(kept[0] && kept[19] && !kept[5], "{kept:?}");
}

#[test]
fn a_list_whose_items_are_set_is_not_known() {
    let bytes = b"\x80\x02](K\x01K\x02eK\x00K\x09s.".to_vec();
    let source: SharedSource = Arc::new(Memory::new(bytes));
    let budget = ScanBudget::start(Arc::new(Limits::default()));
    let options = Options::PLAIN;
    let trace = pickle::read(&source, 0, &options, &budget, &mut |_, _| true);
    let (_, items) = trace.container(trace.root.unwrap()).unwrap();
    assert!(!items.complete(), "Python has [9, 2] there: {:?}", items.kept);
}
