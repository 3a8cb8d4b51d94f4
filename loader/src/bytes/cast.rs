//! Casts between floats of 16, 32 and 64 bits by candle, rounding to nearest even.

use crate::bytes::dtype::Dtype;
use std::io;

/// A cast of each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cast {
    from: Dtype,
    to: Dtype,
}

impl Cast {
    /// The cast between two types. `None` where they are equal, or one of them is not a float.
    pub(crate) fn new(from: Dtype, to: Dtype) -> Option<Self> {
        (from != to && from.is_float() && to.is_float()).then_some(Self { from, to })
    }

    /// Bytes of an element after the cast.
    pub(crate) fn target_size(self) -> u64 {
        self.to.size()
    }

    /// Casts whole elements into the start of `out`. Returns the number of bytes written.
    ///
    /// # Errors
    /// When candle fails, `out` is too short, or this build lacks the feature `candle`.
    #[cfg(feature = "candle")]
    pub(crate) fn apply(self, bytes: &[u8], out: &mut [u8]) -> io::Result<usize> {
        use candle_core::{DType, Device, Tensor};
        let candle = |dtype: Dtype| match dtype.name() {
            "F64" => Ok(DType::F64),
            "F32" => Ok(DType::F32),
            "F16" => Ok(DType::F16),
            "BF16" => Ok(DType::BF16),
            other => Err(io::Error::other(format!("no cast from or to {other}"))),
        };
        let count = bytes.len() / usize::try_from(self.from.size()).unwrap_or(1).max(1);
        let cast = || {
            let tensor = Tensor::from_raw_buffer(bytes, candle(self.from)?, &[count], &Device::Cpu)?;
            tensor.to_dtype(candle(self.to)?)
        };
        let tensor = cast().map_err(io::Error::other)?;
        let written = match self.to.name() {
            "F64" => fill(&tensor, out, f64::to_le_bytes),
            "F32" => fill(&tensor, out, f32::to_le_bytes),
            "F16" => fill(&tensor, out, half::f16::to_le_bytes),
            _ => fill(&tensor, out, half::bf16::to_le_bytes),
        };
        written.map_err(io::Error::other)
    }

    /// Fails: casts need the feature `candle`.
    #[cfg(not(feature = "candle"))]
    pub(crate) fn apply(self, _bytes: &[u8], _out: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("this build has no casts: the feature `candle` of the loader was left out"))
    }
}

#[cfg(feature = "candle")]
fn fill<T: candle_core::WithDType, const N: usize>(
    tensor: &candle_core::Tensor,
    out: &mut [u8],
    bytes: impl Fn(T) -> [u8; N],
) -> candle_core::Result<usize> {
    let values = tensor.to_vec1::<T>()?;
    let (slots, _) = out.as_chunks_mut::<N>();
    if slots.len() < values.len() {
        candle_core::bail!("{} elements do not fit into {}", values.len(), slots.len());
    }
    let count = values.len();
    slots.iter_mut().zip(values).for_each(|(slot, value)| *slot = bytes(value));
    Ok(count * N)
}

#[cfg(all(test, feature = "candle"))]
mod tests {
    use super::*;

    fn cast(from: &str, to: &str, bytes: &[u8]) -> Vec<u8> {
        let named = |name| Dtype::from_name(name).expect("a type");
        let cast = Cast::new(named(from), named(to)).expect("a cast");
        let mut out = vec![0; 64];
        let count = cast.apply(bytes, &mut out).expect("candle casts");
        out.truncate(count);
        out
    }

    #[test]
    fn floats_are_rounded_to_the_nearest() {
        let numbers = [1.0f32, -2.5, 1.000_976_6, 65_520.0, f32::INFINITY];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let expected: Vec<u8> = numbers.iter().flat_map(|number| half::f16::from_f32(*number).to_le_bytes()).collect();
        assert_eq!(cast("F32", "F16", &bytes), expected);
        let expected: Vec<u8> = numbers.iter().flat_map(|number| half::bf16::from_f32(*number).to_le_bytes()).collect();
        assert_eq!(cast("F32", "BF16", &bytes), expected);
        assert_eq!(cast("F64", "F32", &0.1f64.to_le_bytes()), 0.1f32.to_le_bytes());
    }

    #[test]
    fn only_floats_are_cast() {
        let named = |name| Dtype::from_name(name).expect("a type");
        assert!(Cast::new(named("I64"), named("F32")).is_none());
        assert!(Cast::new(named("F8_E4M3"), named("F16")).is_none());
        assert!(Cast::new(named("F16"), named("F16")).is_none());
    }
}
