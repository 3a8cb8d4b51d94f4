//! The header of a safetensors file. Written entry by entry, so that it is the same for the same tensors, and then read by
//! the official crate, which must find what was meant.

use crate::bounds::MAX_HEADER_BYTES;
use crate::plan::tensor_plan::{ALIGNMENT_BYTES, PlannedTensor, TensorPlan};
use safetensors::tensor::Metadata;
use serde_json::json;
use std::collections::BTreeMap;

impl TensorPlan {
    /// The header of a file of these tensors: length, JSON, padding.
    ///
    /// # Errors
    /// When it is longer than readers take.
    pub fn header(&self) -> Result<Vec<u8>, String> {
        write(&self.tensors, &self.metadata, ALIGNMENT_BYTES)
    }
}

/// Length, JSON and padding up to a multiple of `alignment`.
///
/// # Errors
/// When it is longer than readers take, or the official reader refuses it.
pub(crate) fn write(
    tensors: &[PlannedTensor],
    metadata: &BTreeMap<String, String>,
    alignment: u64,
) -> Result<Vec<u8>, String> {
    let mut text = Vec::with_capacity(tensors.len() * 128 + 256);
    text.extend_from_slice(&[0; 8]);
    text.push(b'{');
    let mut entry = |name: &str, value: serde_json::Value| -> Result<(), serde_json::Error> {
        if text.len() > 9 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, name)?;
        text.push(b':');
        serde_json::to_writer(&mut text, &value)
    };
    entry("__metadata__", json!(metadata)).map_err(|error| error.to_string())?;
    for tensor in tensors {
        let end = tensor.data_offset + tensor.len();
        let value =
            json!({"dtype": tensor.dtype.name(), "shape": tensor.shape, "data_offsets": [tensor.data_offset, end]});
        entry(&tensor.name, value).map_err(|error| error.to_string())?;
    }
    text.push(b'}');
    let padded = (text.len() as u64).next_multiple_of(alignment);
    text.resize(usize::try_from(padded).unwrap_or(text.len()), b' ');
    let length = padded - 8;
    if length > MAX_HEADER_BYTES {
        return Err(format!("the header would have {length} bytes, readers take {MAX_HEADER_BYTES}"));
    }
    text.splice(..8, length.to_le_bytes());
    check(text.get(8..).unwrap_or_default(), tensors)?;
    Ok(text)
}

/// The official reader finds each tensor where it is meant to be.
fn check(text: &[u8], tensors: &[PlannedTensor]) -> Result<(), String> {
    let found: Metadata = serde_json::from_slice(text).map_err(|error| format!("the header is not valid: {error}"))?;
    let len = tensors.last().map_or(0, |last| last.data_offset + last.len());
    let same = found.tensors().len() == tensors.len() && found.data_len() as u64 == len;
    let there = |tensor: &PlannedTensor| {
        found.info(&tensor.name).is_some_and(|info| {
            Some(info.dtype) == tensor.dtype.safetensors()
                && info.shape.iter().map(|size| *size as u64).eq(tensor.shape.iter().copied())
                && info.data_offsets.0 as u64 == tensor.data_offset
        })
    };
    match tensors.iter().find(|tensor| !there(tensor)) {
        None if same => Ok(()),
        None => Err("the header is not valid: it has other tensors than were meant".to_owned()),
        Some(tensor) => Err(format!("the header is not valid: {:?} is not what was meant", tensor.name)),
    }
}
