//! Bytes of tensors: element types, the records that hold them, views into records, and readers that return elements in
//! order, as safetensors stores them.

pub(crate) mod cast;
pub(crate) mod chunks;
pub(crate) mod dtype;
pub(crate) mod latin1_text;
pub(crate) mod record;
pub(crate) mod strided;
pub(crate) mod tensor_source;
pub(crate) mod transform;
pub(crate) mod zip_record;
