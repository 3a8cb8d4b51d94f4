//! Bytes of tensors: types, records of containers, views, and the readers that turn them into what the result holds.

pub(crate) mod cast;
pub(crate) mod chunks;
pub(crate) mod dtype;
pub(crate) mod latin1_text;
pub(crate) mod record;
pub(crate) mod strided;
pub(crate) mod tensor_source;
pub(crate) mod transform;
pub(crate) mod zip_record;
