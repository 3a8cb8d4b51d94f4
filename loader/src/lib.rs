//! Weights out of model files, by reading and never by unpickling.
//!
//! The loader parses no pickle of its own: it walks the [`scanner::internal::pickle::Trace`] that the scanner judged, over the very
//! bytes that were judged. What a callable means for tensors is known here, in a closed set: `torch` for torch's
//! constructors, `numpy` for arrays. The story in order: [`open`] has a file cleared, `source` finds its pickle and its
//! numbers, `walk` follows the values from the root and `names` names them, `storage` binds each tensor to its bytes,
//! [`plan`] gives each its place, and [`convert`] copies.
#![deny(unsafe_code)]

#[cfg(feature = "candle")]
pub mod candle;
mod cast;
mod chunks;
mod constructed;
pub mod convert;
mod data;
mod distributed;
mod draft;
pub mod dtype;
mod error;
mod hash;
mod header;
mod keys;
pub mod list;
#[allow(unsafe_code, reason = "a mapping is what its file is")]
mod map;
mod names;
mod numpy;
mod object;
mod open;
pub mod plan;
mod reading;
mod recode;
mod record;
mod reflink;
pub mod report;
mod sharded;
mod side;
mod source;
mod storage;
mod strided;
mod tensor;
mod torch;
mod transform;
mod verify;
mod walk;
mod write;
mod zip_record;

pub use draft::{LeftOut, Refused};
pub use dtype::Dtype;
pub use error::Error;
pub use list::{Listing, list};
pub use map::Mapped;
pub use names::BARE;
pub use open::{Loaded, Policy, open, open_file};
pub use plan::{PlanOptions, Planned, TensorPlan};
pub use write::{Progress, WriteOptions, Written};
