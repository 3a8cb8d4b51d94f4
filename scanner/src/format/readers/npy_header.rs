//! The header of a `.npy` file: a Python literal, read by a small grammar and never evaluated.
//!
//! numpy passes the text to Python's literal reader. This one knows strings, whole numbers, `True`, `False`, `None`,
//! tuples, lists and dicts, which is all that numpy writes. It keeps its own stack instead of recursing.

use crate::io::bounds::format::MAX_NPY_DEPTH;

/// A Python literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::format) enum PythonLiteral {
    Text(String),
    Number(u64),
    Bool(bool),
    None,
    /// Tuple or list: numpy means different things by them, but sizes are the same.
    Sequence(Vec<PythonLiteral>),
    Dict(Vec<(PythonLiteral, PythonLiteral)>),
}

/// A container that is not closed yet.
struct OpenContainer {
    closer: u8,
    items: Vec<PythonLiteral>,
    /// Whether a comma or colon came after the last item.
    ready: bool,
    /// Whether there was a comma: `(1)` is not a tuple.
    comma: bool,
}

/// Reads one literal that fills the text but for white space.
pub(in crate::format) fn parse(text: &[u8]) -> Option<PythonLiteral> {
    let mut rest = text;
    let mut stack: Vec<OpenContainer> = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        let (first, after) = rest.split_first()?;
        let mut value = match first {
            b'(' | b'[' | b'{' => {
                if stack.len() >= MAX_NPY_DEPTH || !stack.last().is_none_or(|open| open.ready) {
                    return None;
                }
                let closer = match first {
                    b'(' => b')',
                    b'[' => b']',
                    _ => b'}',
                };
                stack.push(OpenContainer { closer, items: Vec::new(), ready: true, comma: false });
                rest = after;
                continue;
            }
            b',' | b':' => {
                let open = stack.last_mut()?;
                // In a dict, colon and comma take turns.
                let colon = open.closer == b'}' && open.items.len() % 2 == 1;
                if open.ready || (*first == b':') != colon {
                    return None;
                }
                open.ready = true;
                open.comma |= !colon;
                rest = after;
                continue;
            }
            b')' | b']' | b'}' => {
                let open = stack.pop().filter(|open| open.closer == *first)?;
                rest = after;
                close(open)?
            }
            b'\'' | b'"' | b'0'..=b'9' => {
                let (literal, left) = scalar_literal(*first, rest)?;
                rest = left;
                literal
            }
            _ => {
                let (literal, left) = word_literal(rest)?;
                rest = left;
                literal
            }
        };
        match stack.last_mut() {
            Some(open) if open.ready => {
                open.items.push(std::mem::replace(&mut value, PythonLiteral::None));
                open.ready = false;
            }
            Some(_) => return None,
            None => return rest.trim_ascii().is_empty().then_some(value),
        }
    }
}

/// A text or a whole number at the start of `rest`, and what follows it.
fn scalar_literal(first: u8, rest: &[u8]) -> Option<(PythonLiteral, &[u8])> {
    if first.is_ascii_digit() {
        let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, left) = rest.split_at(end);
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        // Python 2 wrote long integers with an L.
        return Some((PythonLiteral::Number(number), left.strip_prefix(b"L").unwrap_or(left)));
    }
    let after = rest.get(1..)?;
    let end = after.iter().position(|byte| *byte == first)?;
    let (text, left) = after.split_at(end);
    // numpy escapes only quotes and backslashes, and only in field names.
    if text.contains(&b'\\') {
        return None;
    }
    Some((PythonLiteral::Text(String::from_utf8_lossy(text).into_owned()), left.get(1..)?))
}

/// `True`, `False` or `None` at the start of `rest`, and what follows it.
fn word_literal(rest: &[u8]) -> Option<(PythonLiteral, &[u8])> {
    let words = [
        (&b"True"[..], PythonLiteral::Bool(true)),
        (b"False", PythonLiteral::Bool(false)),
        (b"None", PythonLiteral::None),
    ];
    words.into_iter().find_map(|(word, literal)| Some((literal, rest.strip_prefix(word)?)))
}

fn close(open: OpenContainer) -> Option<PythonLiteral> {
    if open.closer != b'}' {
        let mut items = open.items;
        let single = open.closer == b')' && items.len() == 1 && !open.comma;
        return if single { items.pop() } else { Some(PythonLiteral::Sequence(items)) };
    }
    let mut pairs = Vec::new();
    let mut items = open.items.into_iter();
    while let Some(key) = items.next() {
        pairs.push((key, items.next()?));
    }
    Some(PythonLiteral::Dict(pairs))
}

/// What a `descr` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::format) struct DtypeDescr {
    /// Bytes of one item.
    pub(in crate::format) size: u64,
    /// Whether any part of it is an object.
    pub(in crate::format) object: bool,
    /// The name of the type in safetensors, or numpy's text.
    pub(in crate::format) dtype: String,
    /// The type in numpy's own words (`<f4`); `structured` for records.
    pub(in crate::format) text: String,
}

/// Adds up a `descr`, field by field. `None` where it is not understood.
pub(in crate::format) fn describe(descr: &PythonLiteral) -> Option<DtypeDescr> {
    let mut total = DtypeDescr::default();
    let mut pending = vec![(descr, 1_u64)];
    while let Some((part, times)) = pending.pop() {
        match part {
            PythonLiteral::Text(text) => {
                let (size, object) = scalar(text)?;
                total.size = total.size.checked_add(size.checked_mul(times)?)?;
                total.object |= object;
            }
            PythonLiteral::Sequence(items) => match items.as_slice() {
                // A type and a shape: a subarray.
                [
                    inner @ PythonLiteral::Text(text),
                    shape @ (PythonLiteral::Sequence(_) | PythonLiteral::Number(_)),
                ] if scalar(text).is_some() && dimensions(shape).is_some() => {
                    pending.push((inner, times.checked_mul(product(&dimensions(shape)?)?)?));
                }
                fields => {
                    for field in fields {
                        let PythonLiteral::Sequence(field) = field else { return None };
                        let (inner, count) = match field.as_slice() {
                            [_, inner] => (inner, 1),
                            [_, inner, shape] => (inner, product(&dimensions(shape)?)?),
                            _ => return None,
                        };
                        pending.push((inner, times.checked_mul(count)?));
                    }
                }
            },
            _ => return None,
        }
    }
    total.text = match descr {
        PythonLiteral::Text(text) => text.clone(),
        _ => "structured".to_owned(),
    };
    total.dtype = safetensors_name(&total.text).map_or_else(|| total.text.clone(), str::to_owned);
    Some(total)
}

/// Size of a scalar type, and whether it is an object.
fn scalar(text: &str) -> Option<(u64, bool)> {
    let text = text.trim_start_matches(['<', '>', '|', '=']);
    let mut chars = text.chars();
    let kind = chars.next()?;
    // Times carry their unit: `M8[ns]`.
    let rest = chars.as_str().split('[').next().unwrap_or_default();
    let size = if rest.is_empty() { 0 } else { rest.parse::<u64>().ok()? };
    match kind {
        'O' => Some((8, true)),
        '?' => Some((1, false)),
        'U' => Some((size.checked_mul(4)?, false)),
        'b' | 'i' | 'u' | 'f' | 'c' | 'S' | 'a' | 'V' | 'M' | 'm' => Some((size, false)),
        _ => None,
    }
}

fn safetensors_name(text: &str) -> Option<&'static str> {
    Some(match text.trim_start_matches(['<', '|', '=']) {
        "b1" | "?" => "BOOL",
        "u1" | ">u1" => "U8",
        "i1" | ">i1" => "I8",
        "i2" => "I16",
        "u2" => "U16",
        "f2" => "F16",
        "i4" => "I32",
        "u4" => "U32",
        "f4" => "F32",
        "i8" => "I64",
        "u8" => "U64",
        "f8" => "F64",
        "c8" => "C64",
        _ => return None,
    })
}

/// A shape: whole numbers.
pub(in crate::format) fn dimensions(shape: &PythonLiteral) -> Option<Vec<u64>> {
    match shape {
        PythonLiteral::Number(length) => Some(vec![*length]),
        PythonLiteral::Sequence(items) => items
            .iter()
            .map(|item| match item {
                PythonLiteral::Number(length) => Some(*length),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// How many items a shape has.
pub(in crate::format) fn product(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1_u64, |product, length| product.checked_mul(*length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_python_does() {
        let literal = parse(b"{'a': (3,), \"b\": [True, None], 'c': (4), 'd': (), 'e': 12L, } \n").expect("it is one");
        let text = |text: &str| PythonLiteral::Text(text.into());
        let row = PythonLiteral::Sequence;
        let expected = vec![
            (text("a"), row(vec![PythonLiteral::Number(3)])),
            (text("b"), row(vec![PythonLiteral::Bool(true), PythonLiteral::None])),
            (text("c"), PythonLiteral::Number(4)),
            (text("d"), row(vec![])),
            (text("e"), PythonLiteral::Number(12)),
        ];
        assert_eq!(literal, PythonLiteral::Dict(expected));
    }

    #[test]
    fn anything_else_is_not_read() {
        let deep = b"(".repeat(100_000);
        let samples: [&[u8]; 13] = [
            b"",
            b"{",
            b"{'a'}",
            b"{'a': }",
            b"{'a', 1}",
            b"(1 2)",
            b"(,)",
            b"(1,,)",
            b"(1]",
            b"f()",
            b"-1",
            b"1 1",
            &deep,
        ];
        for text in samples {
            assert_eq!(parse(text), None, "{:?}", String::from_utf8_lossy(text.get(..20).unwrap_or(text)));
        }
    }

    #[test]
    fn item_sizes_add_up() {
        let size = |text: &[u8]| describe(&parse(text).expect("a literal")).map(|descr| (descr.size, descr.object));
        assert_eq!(size(b"'<f4'"), Some((4, false)));
        assert_eq!(size(b"'<U3'"), Some((12, false)));
        assert_eq!(size(b"'<M8[ns]'"), Some((8, false)));
        assert_eq!(size(b"[('a', '<f4'), ('b', '|O'), ('c', '<i2', (2, 3))]"), Some((24, true)));
        assert_eq!(size(b"[('a', [('b', '<f8'), ('c', '|S5')], (2,))]"), Some((26, false)));
        assert_eq!(size(b"'<f99999999999999999999'"), None);
        assert_eq!(size(b"[('a', '<f8', (4294967296, 4294967296))]"), None);
    }
}
