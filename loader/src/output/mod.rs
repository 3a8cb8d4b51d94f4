//! The result: written, verified, shared or mapped.

pub(crate) mod hash;
#[allow(unsafe_code, reason = "a mapping is what its file is")]
pub(crate) mod map;
pub(crate) mod reflink;
pub(crate) mod verify;
pub(crate) mod write;
