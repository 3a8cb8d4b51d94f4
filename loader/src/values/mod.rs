//! Values of a pickle: walked from the root, named, and read as tensors.

pub(crate) mod constructed;
pub(crate) mod keys;
pub(crate) mod names;
pub(crate) mod numpy;
pub(crate) mod object;
pub(crate) mod tensor;
pub(crate) mod torch;
pub(crate) mod trace_ext;
pub(crate) mod walk;
