//! Loads tensors from model files without unpickling: torch, numpy, joblib and safetensors.
//!
//! [`open`] has the scanner examine a file and plans its tensors. Only cleared files are loaded. The loader has no parser of
//! its own: it uses the traces of pickles and the layouts of containers that the scanner judged, and reads through the same
//! open file.
//!
//! ```
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/clean/torch/torch215/state-dict.pt");
//! let checkpoint = loader::open(path.as_ref(), &loader::LoadOptions::default())?;
//! for tensor in &checkpoint.plan().tensors {
//!     // Little-endian, the last index fastest.
//!     let bytes = checkpoint.read(tensor)?;
//!     println!("{} {} {:?}: {} bytes", tensor.name, tensor.dtype, tensor.shape, bytes.len());
//! }
//! # assert!(!checkpoint.plan().tensors.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | read tensors of a file | [`open`], [`open_file`], [`Checkpoint::read`] |
//! | read tensors without a copy | [`Checkpoint::map`] |
//! | have tensors of candle | `candle::load` (feature `candle`) |
//! | convert files and folders to safetensors | [`convert::plan`], [`convert::Conversion::write`], [`report::ConvertReport`] |
//! | list tensors without clearance | [`list()`] |
//! | find out why nothing was loaded | [`Error`], [`reason`] |
//!
//! Folders of the source, from the bottom up: `bytes` (types, records, views, readers), `values` (the walk over a pickle),
//! `plan` (which tensors, with which bytes, at which offsets), `output` (write, verify, share, map), `checkpoint` (folders).
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
pub use error::{Error, IndexError, MetadataError, UsageError, VerifyError};
pub use list::{TensorListing, list};
pub use open::{Checkpoint, LoadOptions, open, open_file, with_loader_limits};
pub use output::map::MappedFile;
pub use output::write::{PendingFile, Progress, WriteOptions};
pub use plan::draft::Refused;
pub use plan::left_out::LeftOut;
pub use plan::tensor_plan::{PlanOptions, PlannedTensor, TensorPlan};
pub use values::names::SINGLE_TENSOR_NAME;

/// Why a tensor, or all tensors of a file, cannot be converted ([`Reason`](reason::Reason)), and why a value is left out
/// ([`LeftOutReason`](reason::LeftOutReason)). The text of a reason is its `Display`.
pub mod reason {
    pub use crate::bytes::chunks::ChunkError;
    pub use crate::bytes::latin1_text::TextError;
    pub use crate::bytes::strided::ViewError;
    pub use crate::bytes::transform::NegationError;
    pub use crate::bytes::zip_record::RecordError;
    pub use crate::plan::file_error::{FileError, HeaderError, PartError};
    pub use crate::plan::left_out::LeftOutReason;
    pub use crate::plan::reason::Reason;
    pub use crate::plan::storage_error::{LiteralError, StorageError};
    pub use crate::values::incomplete::IncompleteReason;
    pub use crate::values::tensor::InvalidTensor;
    pub use crate::values::value_kind::ValueKind;
}
