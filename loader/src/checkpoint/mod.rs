//! Checkpoints of several files: sharded ones with a JSON index, and distributed ones with a pickled `.metadata`.

pub(crate) mod distributed;
pub(crate) mod metadata;
pub(crate) mod sharded;
