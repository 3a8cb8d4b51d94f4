//! Types of numbers in the words of safetensors, and in the format's own word where safetensors has none.

/// The type of torch's storage class (`FloatStorage`), in torch's own word.
pub fn of_storage(class: &str) -> Option<&'static str> {
    Some(match class {
        "DoubleStorage" => "float64",
        "FloatStorage" => "float32",
        "HalfStorage" => "float16",
        "BFloat16Storage" => "bfloat16",
        "LongStorage" => "int64",
        "IntStorage" => "int32",
        "ShortStorage" => "int16",
        "CharStorage" => "int8",
        "ByteStorage" | "UntypedStorage" => "uint8",
        "BoolStorage" => "bool",
        "ComplexFloatStorage" => "complex64",
        "ComplexDoubleStorage" => "complex128",
        "QInt8Storage" => "qint8",
        "QUInt8Storage" => "quint8",
        "QInt32Storage" => "qint32",
        "QUInt4x2Storage" => "quint4x2",
        "QUInt2x4Storage" => "quint2x4",
        _ => return None,
    })
}

/// A type of torch (`float32`) in the words of safetensors; as it stands where there is none.
pub fn of_torch(name: &str) -> &str {
    match name {
        "float64" | "double" => "F64",
        "float32" | "float" => "F32",
        "float16" | "half" => "F16",
        "bfloat16" => "BF16",
        "int64" | "long" => "I64",
        "int32" | "int" => "I32",
        "int16" | "short" => "I16",
        "int8" => "I8",
        "uint64" => "U64",
        "uint32" => "U32",
        "uint16" => "U16",
        "uint8" => "U8",
        "bool" => "BOOL",
        "complex64" | "cfloat" => "C64",
        "float8_e4m3fn" => "F8_E4M3",
        "float8_e5m2" => "F8_E5M2",
        "float8_e4m3fnuz" => "F8_E4M3FNUZ",
        "float8_e5m2fnuz" => "F8_E5M2FNUZ",
        "float8_e8m0fnu" => "F8_E8M0",
        "float4_e2m1fn_x2" => "F4",
        other => other,
    }
}

/// A type of numpy (`<f4`) in the words of safetensors. Big-endian numbers of several bytes have none: they stand as
/// they are until somebody turns them round.
pub fn of_numpy(descr: &str) -> &str {
    let big = descr.starts_with('>');
    match descr.trim_start_matches(['<', '>', '|', '=']) {
        "b1" | "?" => "BOOL",
        "u1" => "U8",
        "i1" => "I8",
        _ if big => descr,
        "f8" => "F64",
        "f4" => "F32",
        "f2" => "F16",
        "i8" => "I64",
        "i4" => "I32",
        "i2" => "I16",
        "u8" => "U64",
        "u4" => "U32",
        "u2" => "U16",
        "c8" => "C64",
        _ => descr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_safetensors_cannot_say_keeps_its_own_word() {
        assert_eq!(of_torch("complex128"), "complex128");
        assert_eq!(of_numpy(">f4"), ">f4");
        assert_eq!(of_numpy(">u1"), "U8");
        assert_eq!(of_numpy("<U3"), "<U3");
        assert_eq!(of_storage("TypedStorage"), None);
    }
}
