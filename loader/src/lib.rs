//! Weights out of model files, by reading and never by unpickling.
//!
//! The loader parses no pickle of its own: it walks the [`scanner::internal::pickle::Trace`] that the scanner judged, over the very
//! bytes that were judged. What a callable means for tensors is known here, in a closed set: `torch` for torch's
//! constructors, `numpy` for arrays. The story in order: [`open`] has a file cleared, `source` finds its pickle and its
//! numbers, `walk` follows the values from the root and `names` names them, `storage` binds each tensor to its bytes,
//! `plan` gives each its place, and [`convert`] copies.
#![deny(unsafe_code)]

mod bounds;
mod bytes;
#[cfg(feature = "candle")]
pub mod candle;
mod checkpoint;
pub mod convert;
mod error;
pub mod list;
mod open;
mod output;
mod plan;
pub mod report;
mod values;

pub use bytes::dtype::Dtype;
pub use error::Error;
pub use list::{Listing, list};
pub use open::{Checkpoint, LoadOptions, open, open_file};
pub use output::map::MappedFile;
pub use output::write::{PendingFile, Progress, WriteOptions};
pub use plan::draft::{LeftOut, Refused};
pub use plan::tensor_plan::{PlanOptions, PlannedTensor, TensorPlan};
pub use values::names::SINGLE_TENSOR_NAME;
