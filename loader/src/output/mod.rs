//! Output of tensors: results are written, verified and hashed; blocks are shared; files are mapped into memory.

pub(crate) mod hash;
#[allow(unsafe_code, reason = "a mapping is valid only while its file does not change")]
pub(crate) mod map;
pub(crate) mod reflink;
pub(crate) mod verify;
pub(crate) mod write;
