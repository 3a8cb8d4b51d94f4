//! Only what the other files name, until the machine stands here.

/// What a pickle would do.
pub struct Trace;
