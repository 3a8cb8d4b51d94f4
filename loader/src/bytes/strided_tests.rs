//! Every view is held against the plainest way to say what it is: index by index.

use super::*;
use std::sync::Arc;

/// Element by element, by the definition.
fn by_index(bytes: &[u8], element_size: usize, offset: u64, shape: &[u64], stride: &[u64]) -> Vec<u8> {
    let count: u64 = shape.iter().product();
    let mut out = Vec::new();
    for mut index in 0..count {
        let mut at = offset;
        for (size, stride) in shape.iter().zip(stride).rev() {
            at += index % size * stride;
            index /= size;
        }
        let at = usize::try_from(at).expect("small") * element_size;
        out.extend_from_slice(&bytes[at..at + element_size]);
    }
    out
}

fn gathered(record: &ByteRecord, view: &StridedView, step: usize) -> Vec<u8> {
    let mut gather = ViewReader::new(record, view);
    let mut out = Vec::new();
    loop {
        let mut buf = vec![0; step * usize::try_from(view.element_size()).expect("small")];
        let count = gather.fill(&mut buf).expect("memory reads");
        if count == 0 {
            return out;
        }
        out.extend_from_slice(&buf[..count]);
    }
}

fn check(bytes: &Arc<[u8]>, element_size: u64, offset: u64, shape: &[u64], stride: &[u64]) {
    let record = ByteRecord::from_bytes(bytes.clone());
    let view = StridedView::new(element_size, offset, shape, stride, record.len()).expect("it lies inside");
    let expected = by_index(bytes, usize::try_from(element_size).expect("small"), offset, shape, stride);
    assert_eq!(view.len(), expected.len() as u64);
    for step in [1, 3, 1000] {
        let found = gathered(&record, &view, step);
        assert!(found == expected, "{element_size} {offset} {shape:?} {stride:?} by {step}");
    }
}

fn noise(len: usize) -> Arc<[u8]> {
    let mut state: u32 = 7;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

#[test]
fn every_small_view_is_what_its_indices_say() {
    let bytes = noise(4096);
    for element_size in [1, 2, 4, 8, 16] {
        let cases: &[(u64, &[u64], &[u64])] = &[
            (0, &[], &[]),
            (3, &[5], &[1]),
            (0, &[5], &[0]),
            (2, &[4, 6], &[6, 1]),
            (2, &[4, 6], &[1, 4]),
            (0, &[3, 4, 5], &[20, 5, 1]),
            (0, &[5, 4, 3], &[1, 5, 20]),
            (1, &[4, 3, 5], &[5, 20, 1]),
            (0, &[2, 3], &[12, 2]),
            (0, &[6, 3], &[1, 1]),
            (0, &[3, 4], &[0, 1]),
            (7, &[1, 1, 4, 1], &[99, 0, 2, 1000]),
            (0, &[0, 4], &[4, 1]),
            (9, &[2, 2, 2, 2], &[1, 2, 4, 8]),
            (9, &[2, 2, 2, 2], &[8, 2, 1, 4]),
        ];
        for (offset, shape, stride) in cases {
            check(&bytes, element_size, *offset, shape, stride);
        }
    }
}

#[test]
fn large_transposed_and_stepped_views_are_gathered_in_blocks() {
    let bytes = noise(600 * 700 * 4);
    check(&bytes, 4, 0, &[600, 700], &[1, 600]);
    check(&bytes, 4, 5, &[599, 350], &[1, 1200]);
    check(&bytes, 2, 0, &[3, 400, 700], &[1, 3, 1200]);
    check(&bytes, 4, 1, &[700], &[600]);
    check(&bytes, 4, 0, &[2, 210_000], &[1, 2]);
    // More than one block of rows.
    let tall = noise(9_000 * 300 * 8);
    check(&tall, 8, 0, &[9_000, 300], &[1, 9_000]);
}

#[test]
fn what_does_not_lie_inside_is_no_view() {
    assert_eq!(StridedView::new(4, 0, &[3], &[1], 11), Err(ViewError::OutOfBounds));
    assert_eq!(StridedView::new(4, 1, &[2], &[1], 8), Err(ViewError::OutOfBounds));
    assert_eq!(StridedView::new(4, u64::MAX, &[2], &[1], 8), Err(ViewError::TooLarge));
    assert_eq!(StridedView::new(4, 0, &[1 << 40, 1 << 40], &[0, 0], 8), Err(ViewError::TooLarge));
    assert_eq!(StridedView::new(4, 0, &[3], &[u64::MAX], 8), Err(ViewError::TooLarge));
    assert_eq!(StridedView::new(4, 0, &[3], &[], 8), Err(ViewError::StrideCount));
    assert!(StridedView::new(4, 1000, &[0], &[1], 8).is_ok_and(|view| view.len() == 0));
}

#[test]
fn arrays_of_either_order_are_views() {
    let bytes = noise(24);
    let record = ByteRecord::from_bytes(bytes.clone());
    let rows = StridedView::dense(4, &[2, 3], false, 24).expect("it lies inside");
    assert!(rows.is_contiguous() && gathered(&record, &rows, 10) == *bytes);
    let columns = StridedView::dense(4, &[2, 3], true, 24).expect("it lies inside");
    assert_eq!(gathered(&record, &columns, 10), by_index(&bytes, 4, 0, &[2, 3], &[1, 2]));
}
