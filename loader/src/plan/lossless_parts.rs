//! Tensors that safetensors does not have, written as other tensors (`--lossless-parts`). The table is in `docs/convert.md`.

use crate::bytes::dtype::Dtype;

/// What is written instead of a tensor: the same bytes with another type and shape.
pub(crate) struct StandIn {
    /// Appended to the name of the tensor.
    pub(crate) suffix: &'static str,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
}

/// The stand-in for a tensor with elements of this type, of `element_size` bytes each.
pub(crate) fn stand_in(dtype_name: &str, element_size: u64, mut shape: Vec<u64>) -> Option<StandIn> {
    let (suffix, dtype, last_dimension) = match dtype_name {
        "complex128" => ("real_imag", "F64", Some(2)),
        "complex32" => ("real_imag", "F16", Some(2)),
        "bcomplex32" => ("real_imag", "BF16", Some(2)),
        "qint8" => ("int_repr", "I8", None),
        "quint8" => ("int_repr", "U8", None),
        "qint32" => ("int_repr", "I32", None),
        "quint4x2" | "quint2x4" => ("packed", "U8", None),
        "bits8" | "bits1x8" | "bits2x4" | "bits4x2" => ("bits", "U8", None),
        "bits16" => ("bits", "U16", None),
        // Text, dates and records of numpy: the bytes of each element.
        _ => ("bytes", "U8", Some(element_size)),
    };
    shape.extend(last_dimension);
    Some(StandIn { suffix, dtype: Dtype::from_name(dtype)?, shape })
}

/// The parts that are written for a type (`complex128`) or layout (`sparse_coo`), as a phrase of a message.
pub(crate) fn parts_of(kind: &str) -> &'static str {
    match kind {
        "complex128" | "complex32" | "bcomplex32" => "its real and imaginary parts as NAME.real_imag",
        "qint8" | "quint8" | "qint32" => "its whole numbers as NAME.int_repr, with scale and zero point",
        "quint4x2" | "quint2x4" => "its packed bytes as NAME.packed, with scales and zero points",
        "nested" => "NAME.buffer, NAME.sizes, NAME.strides and NAME.offsets",
        "masked" => "NAME.data and NAME.mask",
        "meta" => "its type and shape in the metadata, for it has no numbers",
        kind if kind.starts_with("sparse") => "its indices and values, NAME.indices and so on",
        kind if kind.starts_with("bits") => "its bits as NAME.bits",
        _ => "the bytes of its items as NAME.bytes",
    }
}
