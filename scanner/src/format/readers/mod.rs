//! Readers that several formats share, or that are too long for the file of their format.

pub mod joblib_array;
pub(in crate::format) mod json_tokens;
pub(in crate::format) mod npy_header;
pub(in crate::format) mod safetensors_header;
