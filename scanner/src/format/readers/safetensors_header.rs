//! The JSON header of a safetensors file, read entry by entry from a stream.
//!
//! Readers disagree on a duplicate key: some keep the first, most the last. A JSON library that builds a map hides it,
//! so the visitors here check each key as it comes.

use crate::io::bounds::format::{
    MAX_SAFETENSORS_ANOMALIES, MAX_SAFETENSORS_DIMENSIONS, MAX_SAFETENSORS_KEY_BYTES, MAX_SAFETENSORS_METADATA_BYTES,
    MAX_SAFETENSORS_TEXT_BYTES,
};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, BufRead, Read};

/// One tensor as the header has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::format) struct HeaderEntry {
    pub(in crate::format) name: String,
    pub(in crate::format) dtype: String,
    pub(in crate::format) shape: Vec<u64>,
    pub(in crate::format) start: u64,
    pub(in crate::format) end: u64,
}

/// What the header says, as far as it could be read.
#[derive(Debug, Default)]
pub(in crate::format) struct SafetensorsHeader {
    pub(in crate::format) entries: Vec<HeaderEntry>,
    /// The content of `__metadata__`; `None` where it exceeds the limit.
    pub(in crate::format) metadata: Option<BTreeMap<String, String>>,
    /// Keys given twice.
    pub(in crate::format) duplicates: Vec<String>,
    /// Keys that no reader of the reference knows.
    pub(in crate::format) unknown: Vec<String>,
    /// The limit exceeded.
    pub(in crate::format) limit_hit: Option<String>,
    keys: HashSet<String>,
    key_bytes: usize,
    metadata_bytes: usize,
    max_entries: usize,
}

/// Reads the header from a stream that ends with it; `Err` says where and why it is not JSON of the right form.
pub(in crate::format) fn read(stream: impl BufRead, max_entries: usize) -> (SafetensorsHeader, serde_json::Result<()>) {
    let mut header = SafetensorsHeader { max_entries, metadata: Some(BTreeMap::new()), ..SafetensorsHeader::default() };
    let mut json = serde_json::Deserializer::from_reader(TextLimiter::of(stream));
    let outcome = HeaderVisitor(&mut header).deserialize(&mut json).and_then(|()| json.end());
    (header, outcome)
}

impl SafetensorsHeader {
    fn note(list: &mut Vec<String>, what: String) {
        if list.len() < MAX_SAFETENSORS_ANOMALIES {
            list.push(what);
        }
    }

    /// Keeps an entry of the metadata, where there is room; the last one of a name, as most readers do.
    fn keep(&mut self, key: &str, value: String) {
        self.metadata_bytes = self.metadata_bytes.saturating_add(key.len()).saturating_add(value.len());
        if self.metadata_bytes > MAX_SAFETENSORS_METADATA_BYTES {
            self.metadata = None;
        }
        if let Some(metadata) = &mut self.metadata {
            metadata.insert(key.to_owned(), value);
        }
    }

    /// Keeps a top-level key.
    fn add_key(&mut self, key: &str) -> Result<(), TooManyKeys> {
        if self.keys.contains(key) {
            Self::note(&mut self.duplicates, format!("the key {key:?}"));
            return Ok(());
        }
        self.key_bytes = self.key_bytes.saturating_add(key.len());
        if self.keys.len() >= self.max_entries || self.key_bytes > MAX_SAFETENSORS_KEY_BYTES {
            let limit = TooManyKeys { max_entries: self.max_entries };
            self.limit_hit = Some(limit.to_string());
            return Err(limit);
        }
        self.keys.insert(key.to_owned());
        Ok(())
    }
}

/// More keys than the limit, or longer ones.
struct TooManyKeys {
    max_entries: usize,
}

impl fmt::Display for TooManyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} tensors, or names that are too long", self.max_entries)
    }
}

/// Visits the header.
struct HeaderVisitor<'a>(&'a mut SafetensorsHeader);

impl<'de> DeserializeSeed<'de> for HeaderVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.0.add_key(&key).map_err(A::Error::custom)?;
            if key == "__metadata__" {
                map.next_value_seed(Metadata(self.0))?;
            } else {
                map.next_value_seed(Tensor { header: self.0, name: key })?;
            }
        }
        Ok(())
    }
}

/// The map of strings to strings.
struct Metadata<'a>(&'a mut SafetensorsHeader);

impl<'de> DeserializeSeed<'de> for Metadata<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        let mut bytes: usize = 0;
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            self.0.keep(&key, value);
            bytes = bytes.saturating_add(key.len());
            if bytes > MAX_SAFETENSORS_KEY_BYTES {
                self.0.limit_hit = Some("metadata keys that are too long".into());
                return Err(A::Error::custom("too much metadata"));
            }
            if let Some(key) = keys.replace(key) {
                SafetensorsHeader::note(&mut self.0.duplicates, format!("the metadata key {key:?}"));
            }
        }
        Ok(())
    }
}

/// One tensor.
struct Tensor<'a> {
    header: &'a mut SafetensorsHeader,
    name: String,
}

impl<'de> DeserializeSeed<'de> for Tensor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Tensor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        let (header, name) = (self.header, self.name);
        while let Some(key) = map.next_key::<String>()? {
            let twice = match key.as_str() {
                "dtype" => dtype.replace(map.next_value::<String>()?).is_some(),
                "shape" => shape.replace(map.next_value_seed(Shape)?).is_some(),
                "data_offsets" => offsets.replace(map.next_value::<(u64, u64)>()?).is_some(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    SafetensorsHeader::note(&mut header.unknown, format!("{key:?} of {name:?}"));
                    false
                }
            };
            if twice {
                SafetensorsHeader::note(&mut header.duplicates, format!("the key {key:?} of {name:?}"));
            }
        }
        let lacks = |what| A::Error::custom(format!("{name:?} has no {what}"));
        let (start, end) = offsets.ok_or_else(|| lacks("data_offsets"))?;
        let dtype = dtype.ok_or_else(|| lacks("dtype"))?;
        let shape = shape.ok_or_else(|| lacks("shape"))?;
        header.entries.push(HeaderEntry { name, dtype, shape, start, end });
        Ok(())
    }
}

/// A shape.
struct Shape;

impl<'de> DeserializeSeed<'de> for Shape {
    type Value = Vec<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u64>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = Vec<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of lengths")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<u64>, A::Error> {
        let mut shape = Vec::new();
        while let Some(length) = items.next_element()? {
            if shape.len() >= MAX_SAFETENSORS_DIMENSIONS {
                return Err(A::Error::custom(format!("more than {MAX_SAFETENSORS_DIMENSIONS} dimensions")));
            }
            shape.push(length);
        }
        Ok(shape)
    }
}

/// Passes JSON on unless a text in it is too long: the JSON library keeps one text in memory at a time.
struct TextLimiter<R> {
    stream: io::Bytes<R>,
    inside: bool,
    escaped: bool,
    length: usize,
}

impl<R: BufRead> TextLimiter<R> {
    fn of(stream: R) -> Self {
        Self { stream: stream.bytes(), inside: false, escaped: false, length: 0 }
    }
}

impl<R: BufRead> Read for TextLimiter<R> {
    /// Byte by byte, as the JSON library reads.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(to) = buf.first_mut() else { return Ok(0) };
        let Some(byte) = self.stream.next().transpose()? else { return Ok(0) };
        self.length = if self.inside { self.length + 1 } else { 0 };
        match byte {
            b'"' if !self.escaped => self.inside = !self.inside,
            _ => {}
        }
        self.escaped = self.inside && byte == b'\\' && !self.escaped;
        if self.length > MAX_SAFETENSORS_TEXT_BYTES {
            return Err(io::Error::other(format!("a text of more than {MAX_SAFETENSORS_TEXT_BYTES} bytes")));
        }
        *to = byte;
        Ok(1)
    }
}
