//! The plan of a conversion: which tensors are written, with which bytes and at which offsets, and the header of the result.

pub(crate) mod contents;
pub(crate) mod draft;
pub(crate) mod file_error;
pub(crate) mod header;
pub(crate) mod left_out;
pub(crate) mod lossless_parts;
pub(crate) mod reason;
pub(crate) mod storage;
pub(crate) mod storage_error;
pub(crate) mod storage_keys;
pub(crate) mod tensor_plan;
