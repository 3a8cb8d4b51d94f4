//! The header of a safetensors file. It is written entry by entry, so that equal plans give equal bytes. Then the safetensors
//! crate reads it and must find the tensors of the plan.

use crate::bounds::MAX_HEADER_BYTES;
use crate::plan::file_error::HeaderError;
use crate::plan::tensor_plan::{ALIGNMENT_BYTES, PlannedTensor, TensorPlan};
use safetensors::tensor::Metadata;
use serde_json::json;
use std::collections::BTreeMap;

impl TensorPlan {
    /// The header of a file of these tensors: 8 bytes of length, JSON, and spaces up to a multiple of 64 bytes.
    ///
    /// # Errors
    /// When it has more bytes than readers accept.
    pub fn header(&self) -> Result<Vec<u8>, HeaderError> {
        write(&self.tensors, &self.metadata, ALIGNMENT_BYTES)
    }
}

/// A header: 8 bytes of length, JSON, and spaces up to a multiple of `alignment` bytes.
///
/// # Errors
/// When it has more bytes than readers accept, or the safetensors crate finds other tensors in it.
pub(crate) fn write(
    tensors: &[PlannedTensor],
    metadata: &BTreeMap<String, String>,
    alignment: u64,
) -> Result<Vec<u8>, HeaderError> {
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
    let json_error = |error: serde_json::Error| HeaderError::Json(error.to_string());
    entry("__metadata__", json!(metadata)).map_err(json_error)?;
    for tensor in tensors {
        let (start, end) = (tensor.data_offset, tensor.data_offset + tensor.len());
        let value = json!({"dtype": tensor.dtype.name(), "shape": tensor.shape, "data_offsets": [start, end]});
        entry(&tensor.name, value).map_err(json_error)?;
    }
    text.push(b'}');
    let padded = (text.len() as u64).next_multiple_of(alignment);
    text.resize(usize::try_from(padded).unwrap_or(text.len()), b' ');
    let len = padded - 8;
    if len > MAX_HEADER_BYTES {
        return Err(HeaderError::TooLong { len });
    }
    text.splice(..8, len.to_le_bytes());
    check(text.get(8..).unwrap_or_default(), tensors)?;
    Ok(text)
}

/// Checks that the safetensors crate finds each tensor with its type, shape and offset.
fn check(text: &[u8], tensors: &[PlannedTensor]) -> Result<(), HeaderError> {
    let found: Metadata = serde_json::from_slice(text).map_err(|error| HeaderError::Invalid(error.to_string()))?;
    let len = tensors.last().map_or(0, |last| last.data_offset + last.len());
    let is_complete = found.tensors().len() == tensors.len() && found.data_len() as u64 == len;
    let is_found = |tensor: &PlannedTensor| {
        found.info(&tensor.name).is_some_and(|info| {
            Some(info.dtype) == tensor.dtype.safetensors()
                && info.shape.iter().map(|size| *size as u64).eq(tensor.shape.iter().copied())
                && info.data_offsets.0 as u64 == tensor.data_offset
        })
    };
    match tensors.iter().find(|tensor| !is_found(tensor)) {
        None if is_complete => Ok(()),
        None => Err(HeaderError::TensorCount),
        Some(tensor) => Err(HeaderError::Tensor { name: tensor.name.clone() }),
    }
}
