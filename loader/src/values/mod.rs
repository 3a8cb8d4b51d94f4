//! Values of a pickle: visited from the root on, described as tensors, and named. Nothing here reads the bytes of tensors.

pub(crate) mod constructed;
pub(crate) mod incomplete;
pub(crate) mod keys;
pub(crate) mod names;
pub(crate) mod numpy;
pub(crate) mod object;
pub(crate) mod tensor;
pub(crate) mod torch;
pub(crate) mod trace_ext;
pub(crate) mod value_kind;
pub(crate) mod walk;
