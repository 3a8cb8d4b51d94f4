//! The plan of a conversion: which tensor goes where, and the header of the result.

pub(crate) mod contents;
pub(crate) mod draft;
pub(crate) mod header;
pub(crate) mod lossless_parts;
pub(crate) mod storage;
pub(crate) mod tensor_plan;
