//! Tensors for servers that are built on candle: one call in the place of the one that unpickles.
//!
//! ```no_run
//! # fn main() -> Result<(), loader::candle::Error> {
//! use candle_core::Device;
//! let tensors = loader::candle::load("model.pt".as_ref(), &loader::Policy::default(), &Device::Cpu)?;
//! // candle_nn::VarBuilder::from_tensors(tensors, candle_core::DType::F32, &Device::Cpu)
//! # Ok(())
//! # }
//! ```

use crate::open::{Checkpoint, LoadOptions, open};
use crate::plan::tensor_plan::PlannedTensor;
use candle_core::{DType, Device, Shape, Tensor, WithDType};
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// Why there are no tensors.
#[derive(Debug)]
pub enum Error {
    /// The file was not loaded.
    Load(crate::Error),
    /// A tensor could not be read.
    Read {
        /// Its name.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// candle has no such type.
    NoType {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: &'static str,
    },
    /// candle refuses.
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

/// Has a file cleared and gives all its tensors on a device, tied ones under each of their names. A truth value is a `u8`,
/// as candle has it.
///
/// # Errors
/// When the file is not cleared, cannot be read, or has a tensor of a type that candle lacks.
pub fn load(path: &Path, policy: &LoadOptions, device: &Device) -> Result<HashMap<String, Tensor>, Error> {
    tensors(&open(path, policy)?, device)
}

/// All tensors of a file that was cleared.
///
/// # Errors
/// When one cannot be read, or is of a type that candle lacks.
pub fn tensors(loaded: &Checkpoint, device: &Device) -> Result<HashMap<String, Tensor>, Error> {
    let mut tensors = HashMap::with_capacity(loaded.plan().tensors.len());
    for planned in &loaded.plan().tensors {
        tensors.insert(planned.name.clone(), tensor(loaded, planned, device)?);
    }
    for (alias, name) in &loaded.plan().aliases {
        if let Some(tensor) = tensors.get(name).cloned() {
            tensors.insert(alias.clone(), tensor);
        }
    }
    Ok(tensors)
}

/// One tensor.
///
/// # Errors
/// As [`tensors`].
pub fn tensor(loaded: &Checkpoint, planned: &PlannedTensor, device: &Device) -> Result<Tensor, Error> {
    let shape: Option<Vec<usize>> = planned.shape.iter().map(|size| usize::try_from(*size).ok()).collect();
    let shape = Shape::from(shape.unwrap_or_default());
    match planned.dtype.name() {
        "F64" => filled::<f64>(loaded, planned, shape, device),
        "F32" => filled::<f32>(loaded, planned, shape, device),
        "F16" => filled::<half::f16>(loaded, planned, shape, device),
        "BF16" => filled::<half::bf16>(loaded, planned, shape, device),
        "I64" => filled::<i64>(loaded, planned, shape, device),
        "I32" => filled::<i32>(loaded, planned, shape, device),
        "I16" => filled::<i16>(loaded, planned, shape, device),
        "U32" => filled::<u32>(loaded, planned, shape, device),
        "U8" | "BOOL" => filled::<u8>(loaded, planned, shape, device),
        "F8_E4M3" => {
            let bytes = loaded.read(planned).map_err(|error| Error::Read { name: planned.name.clone(), error })?;
            Ok(Tensor::from_raw_buffer(&bytes, DType::F8E4M3, shape.dims(), device)?)
        }
        dtype => Err(Error::NoType { name: planned.name.clone(), dtype }),
    }
}

/// Reads straight into the numbers that candle keeps: one copy.
fn filled<T: WithDType + bytemuck::Pod>(
    loaded: &Checkpoint,
    planned: &PlannedTensor,
    shape: Shape,
    device: &Device,
) -> Result<Tensor, Error> {
    let failed = |error| Error::Read { name: planned.name.clone(), error };
    let mut numbers: Vec<T> = Vec::new();
    numbers.try_reserve_exact(shape.elem_count()).map_err(|error| failed(io::Error::other(error)))?;
    numbers.resize(shape.elem_count(), T::zeroed());
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut numbers);
    loaded.read_into(planned, bytes).map_err(failed)?;
    // What stands in files is little-endian.
    if cfg!(target_endian = "big") {
        let size = size_of::<T>();
        bytes.chunks_exact_mut(size.max(1)).for_each(<[u8]>::reverse);
    }
    Ok(Tensor::from_vec(numbers, shape, device)?)
}
