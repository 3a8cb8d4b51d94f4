//! What stands for a tensor that safetensors cannot hold, with `--lossless-parts`: other tensors, under its name and one
//! more word, from which it can be made again. `docs/convert.md` has the table.

use crate::bytes::dtype::Dtype;

/// The word, type and shape of what stands for a tensor of that type: the same bytes.
pub(crate) fn stand_in(word: &str, item: u64, mut shape: Vec<u64>) -> Option<(&'static str, Dtype, Vec<u64>)> {
    let (part, dtype, more) = match word {
        "complex128" => ("real_imag", "F64", Some(2)),
        "complex32" => ("real_imag", "F16", Some(2)),
        "bcomplex32" => ("real_imag", "BF16", Some(2)),
        "qint8" => ("int_repr", "I8", None),
        "quint8" => ("int_repr", "U8", None),
        "qint32" => ("int_repr", "I32", None),
        "quint4x2" | "quint2x4" => ("packed", "U8", None),
        "bits8" | "bits1x8" | "bits2x4" | "bits4x2" => ("bits", "U8", None),
        "bits16" => ("bits", "U16", None),
        // Texts, dates, records of numpy: the bytes of each item.
        _ => ("bytes", "U8", Some(item)),
    };
    shape.extend(more);
    Some((part, Dtype::from_name(dtype)?, shape))
}

/// Why such a tensor is refused, and how to have it all the same.
pub(crate) fn refusal(kind: &str) -> String {
    let parts = match kind {
        "complex128" | "complex32" | "bcomplex32" => "its real and imaginary parts as NAME.real_imag",
        "qint8" | "quint8" | "qint32" => "its whole numbers as NAME.int_repr, with scale and zero point",
        "quint4x2" | "quint2x4" => "its packed bytes as NAME.packed, with scales and zero points",
        "nested" => "NAME.buffer, NAME.sizes, NAME.strides and NAME.offsets",
        "masked" => "NAME.data and NAME.mask",
        "meta" => "its type and shape in the metadata, for it has no numbers",
        kind if kind.starts_with("sparse") => "its indices and values, NAME.indices and so on",
        kind if kind.starts_with("bits") => "its bits as NAME.bits",
        _ => "the bytes of its items as NAME.bytes",
    };
    format!("{kind} has no place in safetensors; --lossless-parts writes {parts}")
}
