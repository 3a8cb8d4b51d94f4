//! Checkpoints of several files.

pub(crate) mod distributed;
pub(crate) mod sharded;
