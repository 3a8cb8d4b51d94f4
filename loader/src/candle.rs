//! Tensors of candle. [`load`] replaces a call that unpickles.
//!
//! ```
//! use candle_core::Device;
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/clean/torch/torch215/state-dict.pt");
//! let tensors = loader::candle::load(path.as_ref(), &loader::LoadOptions::default(), &Device::Cpu)?;
//! // candle_nn::VarBuilder::from_tensors(tensors, candle_core::DType::F32, &Device::Cpu)
//! # assert!(!tensors.is_empty());
//! # Ok::<(), loader::candle::Error>(())
//! ```

use crate::open::{Checkpoint, LoadOptions, open};
use crate::plan::tensor_plan::PlannedTensor;
use candle_core::{DType, Device, Shape, Tensor, WithDType};
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// Why tensors are not checkpoint.
#[derive(Debug)]
pub enum Error {
    /// The file was not checkpoint.
    Load(crate::Error),
    /// A tensor could not be read.
    Read {
        /// The name of the tensor.
        name: String,
        /// The error of the read.
        error: io::Error,
    },
    /// candle does not have the element type of a tensor.
    NoType {
        /// The name of the tensor.
        name: String,
        /// The element type.
        dtype: &'static str,
    },
    /// An error of candle.
    Candle(candle_core::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Load(error) => write!(f, "{error}"),
            Self::Read { name, error } => write!(f, "{name}: {error}"),
            Self::NoType { name, dtype } => write!(f, "{name}: candle has no {dtype}"),
            Self::Candle(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Load(error) => Some(error),
            Self::Read { error, .. } => Some(error),
            Self::Candle(error) => Some(error),
            Self::NoType { .. } => None,
        }
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Self::Load(error)
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Candle(error)
    }
}

/// Opens a file as [`crate::open`] does, and reads all its tensors to a device. Tied tensors are there under each of their
/// names. Booleans become `u8`.
///
/// # Errors
/// When the file is not cleared, cannot be read, or has a tensor of a type that candle does not have.
pub fn load(path: &Path, options: &LoadOptions, device: &Device) -> Result<HashMap<String, Tensor>, Error> {
    tensors(&open(path, options)?, device)
}

/// Reads all tensors of a checkpoint to a device.
///
/// # Errors
/// When a tensor cannot be read, or has a type that candle does not have.
pub fn tensors(checkpoint: &Checkpoint, device: &Device) -> Result<HashMap<String, Tensor>, Error> {
    let mut tensors = HashMap::with_capacity(checkpoint.plan().tensors.len());
    for planned in &checkpoint.plan().tensors {
        tensors.insert(planned.name.clone(), tensor(checkpoint, planned, device)?);
    }
    for (alias, name) in &checkpoint.plan().aliases {
        if let Some(tensor) = tensors.get(name).cloned() {
            tensors.insert(alias.clone(), tensor);
        }
    }
    Ok(tensors)
}

/// Reads one tensor of a checkpoint to a device.
///
/// # Errors
/// As [`tensors`].
pub fn tensor(checkpoint: &Checkpoint, planned: &PlannedTensor, device: &Device) -> Result<Tensor, Error> {
    let shape: Option<Vec<usize>> = planned.shape.iter().map(|size| usize::try_from(*size).ok()).collect();
    let shape = Shape::from(shape.unwrap_or_default());
    match planned.dtype.name() {
        "F64" => filled::<f64>(checkpoint, planned, shape, device),
        "F32" => filled::<f32>(checkpoint, planned, shape, device),
        "F16" => filled::<half::f16>(checkpoint, planned, shape, device),
        "BF16" => filled::<half::bf16>(checkpoint, planned, shape, device),
        "I64" => filled::<i64>(checkpoint, planned, shape, device),
        "I32" => filled::<i32>(checkpoint, planned, shape, device),
        "I16" => filled::<i16>(checkpoint, planned, shape, device),
        "U32" => filled::<u32>(checkpoint, planned, shape, device),
        "U8" | "BOOL" => filled::<u8>(checkpoint, planned, shape, device),
        "F8_E4M3" => {
            let bytes = checkpoint.read(planned).map_err(|error| Error::Read { name: planned.name.clone(), error })?;
            Ok(Tensor::from_raw_buffer(&bytes, DType::F8E4M3, shape.dims(), device)?)
        }
        dtype => Err(Error::NoType { name: planned.name.clone(), dtype }),
    }
}

/// Reads into the memory that candle keeps: one copy.
fn filled<T: WithDType + bytemuck::Pod>(
    checkpoint: &Checkpoint,
    planned: &PlannedTensor,
    shape: Shape,
    device: &Device,
) -> Result<Tensor, Error> {
    let failed = |error| Error::Read { name: planned.name.clone(), error };
    let mut elements: Vec<T> = Vec::new();
    elements.try_reserve_exact(shape.elem_count()).map_err(|error| failed(io::Error::other(error)))?;
    elements.resize(shape.elem_count(), T::zeroed());
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut elements);
    checkpoint.read_into(planned, bytes).map_err(failed)?;
    // The bytes are little-endian.
    if cfg!(target_endian = "big") {
        let size = size_of::<T>();
        bytes.chunks_exact_mut(size.max(1)).for_each(<[u8]>::reverse);
    }
    Ok(Tensor::from_vec(elements, shape, device)?)
}
