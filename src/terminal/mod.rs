//! Standard error and colors: messages, progress bars, and whether the report is colored.

pub(crate) mod color;
pub(crate) mod log;
pub(crate) mod progress;
