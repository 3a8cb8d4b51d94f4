//! `.npy` files: one array, numbers or objects.
//!
//! An array of objects is a pickle after a header, whatever its name; `numpy.load(allow_pickle=True)` runs it. An array
//! of numbers is exactly as long as its header says; bytes after it are for another reader.

use super::readers::npy_header::{DtypeDescr, PythonLiteral, describe, dimensions, parse, product};
use super::{Format, Head, Recognition};
use crate::fact::{Deviation, Fact, Unread};
use crate::io::artifact::{Artifact, Role};
use crate::io::bounds::format::MAX_NPY_HEADER_BYTES;
use crate::io::source::{Window, read_vec};
use crate::observe::format_info::{FormatInfo, Library, TensorStore};
use crate::observe::layout::{ByteRange, Layout, NpyArray};
use crate::observe::observations::{Observations, Tensor};
use std::sync::Arc;

/// `.npy` files.
pub struct Numpy;

const MAGIC: &[u8] = b"\x93NUMPY";

/// `.npy` files.
pub static INFO: FormatInfo = FormatInfo {
    id: "numpy",
    name: "numpy array (.npy)",
    extensions: &["npy"],
    promised_as: Some("npy"),
    library: Library::Numpy,
    tensors: Some(TensorStore::Npy),
    doc_read: "the header; of arrays of objects all",
    doc_judged: "header and length; the pickle of an array of objects",
    doc_converted: "yes",
    ..FormatInfo::DATA
};

impl Format for Numpy {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        if head.start.starts_with(MAGIC) { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let Some((text_at, length)) = header_range(artifact) else {
            return observations.unread(0, Unread::Broken("the header is cut or of an unknown version".into()));
        };
        let data = text_at.saturating_add(length);
        if length > MAX_NPY_HEADER_BYTES.min(artifact.budget.limits.header_bytes) {
            return observations.unread(text_at, Unread::Limit(format!("a header of {length} bytes")));
        }
        let text = read_vec(&*artifact.source, text_at, usize::try_from(length).unwrap_or(0)).unwrap_or_default();
        if (text.len() as u64) < length {
            return observations.unread(text_at, Unread::Broken("the header is cut".into()));
        }
        let Some((descr, shape, fortran)) = header(&text, text_at, observations) else {
            observations.unread(text_at, Unread::Broken("the header is not understood".into()));
            // The data after it may be anything.
            return add_rest(artifact, "(data)", data, observations);
        };
        if descr.object {
            observations.fact(text_at, Fact::ObjectArray);
            return add_rest(artifact, "(objects)", data, observations);
        }
        compare_length(artifact, data, &descr, &shape, observations);
        let len = artifact.source.len().saturating_sub(data);
        observations.layout(|| {
            let (source, range) = (artifact.source.clone(), ByteRange { at: data, len });
            Layout::Npy(NpyArray { source, descr: descr.text.clone(), shape: shape.clone(), fortran, range })
        });
        let name = artifact.name.rsplit('/').next().unwrap_or_default();
        let name = name.strip_suffix(".npy").unwrap_or(name).to_owned();
        observations.tensors.push(Tensor { name, dtype: descr.dtype, shape });
    }
}

/// Offset and length of the header's text.
fn header_range(artifact: &Artifact) -> Option<(u64, u64)> {
    let start = read_vec(&*artifact.source, 0, 12).ok()?;
    match start.get(6..)? {
        [1, _, low, high, ..] => Some((10, u16::from_le_bytes([*low, *high]).into())),
        [2 | 3, _, a, b, c, d, ..] => Some((12, u32::from_le_bytes([*a, *b, *c, *d]).into())),
        _ => None,
    }
}

/// Type, shape, and whether the first index runs fastest; states what numpy would refuse.
fn header(text: &[u8], at: u64, observations: &mut Observations) -> Option<(DtypeDescr, Vec<u64>, bool)> {
    let PythonLiteral::Dict(pairs) = parse(text)? else { return None };
    let mut violation =
        |what: &str, deviation| observations.fact(at, Fact::StructureViolation { what: what.to_owned(), deviation });
    // Of a key given twice, the last one counts in Python.
    let of = |key: &str| {
        let named = |pair: &&(PythonLiteral, PythonLiteral)| pair.0 == PythonLiteral::Text(key.into());
        pairs.iter().rev().find(named).map(|(_, value)| value)
    };
    let (descr, shape, order) = (of("descr")?, of("shape")?, of("fortran_order")?);
    if pairs.len() > 3 {
        let known = ["descr", "shape", "fortran_order"].map(|key| PythonLiteral::Text(key.into()));
        let foreign = pairs.iter().any(|(key, _)| !known.contains(key));
        let deviation = if foreign { Deviation::Wrong } else { Deviation::Misleading };
        violation("the header has other keys than the three, or one of them twice", deviation);
    }
    if !matches!(order, PythonLiteral::Bool(_)) || !matches!(shape, PythonLiteral::Sequence(_)) {
        violation("order or shape is of another type", Deviation::Wrong);
    }
    Some((describe(descr)?, dimensions(shape)?, *order == PythonLiteral::Bool(true)))
}

fn compare_length(artifact: &Artifact, data: u64, descr: &DtypeDescr, shape: &[u64], observations: &mut Observations) {
    let there = artifact.source.len().saturating_sub(data);
    match product(shape).and_then(|items| items.checked_mul(descr.size)) {
        Some(length) if length == there => {}
        Some(length) if length < there => {
            let end = data + length;
            let what = "bytes behind the array".to_owned();
            observations.fact(end, Fact::TrailingData { length: there - length, what });
            add_rest(artifact, "(trailing)", end, observations);
        }
        found => {
            let length = found.map_or_else(|| "more than 2^64".to_owned(), |length| length.to_string());
            observations.unread(data, Unread::Broken(format!("the array has {length} bytes and {there} are there")));
            add_rest(artifact, "(data)", data, observations);
        }
    }
}

fn add_rest(artifact: &Artifact, name: &str, at: u64, observations: &mut Observations) {
    let length = artifact.source.len().saturating_sub(at);
    if length > 0 {
        observations.member(name, Arc::new(Window::new(artifact.source.clone(), at, length)), Role::Unknown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::budget::ScanBudget;
    use crate::io::limits::Limits;
    use crate::io::member_path::MemberPath;
    use crate::io::source::Memory;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(header.len()).expect("short").to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    fn examine(bytes: &[u8]) -> Observations {
        let budget = ScanBudget::start(Arc::new(Limits::default()));
        let (member_path, source) = (MemberPath::root(), Arc::new(Memory::new(bytes)));
        let artifact = Artifact { member_path, name: "d/W.npy".into(), source, depth: 0, role: Role::Unknown, budget };
        let mut observations = Observations::default();
        Numpy.examine(&artifact, &mut observations);
        observations
    }

    const FLOATS: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }   \n";

    #[test]
    fn an_array_of_numbers_is_a_tensor() {
        let observations = examine(&npy(FLOATS, &[0; 8]));
        assert!(observations.facts.is_empty() && observations.unread.is_empty() && observations.members.is_empty());
        assert_eq!(observations.tensors, [Tensor { name: "W".into(), dtype: "F32".into(), shape: vec![2, 1] }]);
    }

    #[test]
    fn an_array_of_objects_hands_its_pickle_on() {
        for descr in ["'|O'", "[('a', '<f4'), ('b', '|O')]"] {
            let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,)}}\n");
            let observations = examine(&npy(&header, b"\x80\x02N."));
            assert_eq!(observations.facts.iter().map(|(_, fact)| fact).collect::<Vec<_>>(), [&Fact::ObjectArray]);
            assert_eq!(observations.members.first().map(|member| member.name.as_str()), Some("(objects)"));
        }
    }

    #[test]
    fn the_length_is_exact() {
        let observations = examine(&npy(FLOATS, &[0; 12]));
        assert!(matches!(observations.facts.as_slice(), [(_, Fact::TrailingData { length: 4, .. })]));
        assert_eq!(observations.members.len(), 1);
        assert!(matches!(examine(&npy(FLOATS, &[0; 7])).unread.as_slice(), [(_, Unread::Broken(_))]));
        let huge = "{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999, 9999999999)}";
        assert_eq!(examine(&npy(huge, &[0; 7])).unread.len(), 1);
    }

    #[test]
    fn a_key_given_twice_misleads() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'descr': '|O'}";
        let observations = examine(&npy(header, b"N..."));
        let misleads = |fact: &Fact| matches!(fact, Fact::StructureViolation { deviation: Deviation::Misleading, .. });
        assert!(observations.facts.iter().any(|(_, fact)| misleads(fact)));
        assert!(observations.facts.iter().any(|(_, fact)| *fact == Fact::ObjectArray));
    }

    #[test]
    fn no_cut_and_no_changed_byte_makes_it_fail() {
        let complete = npy(FLOATS, &[0; 8]);
        for cut in 6..complete.len() {
            assert!(!examine(&complete[..cut]).unread.is_empty(), "cut at {cut}");
        }
        for at in 0..complete.len() {
            for value in [0, b'(', b'9', 0xff] {
                let mut bytes = complete.clone();
                bytes[at] = value;
                let _ = examine(&bytes);
            }
        }
    }
}
