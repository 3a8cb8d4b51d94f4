//! Element types: their sizes, and their names in safetensors, torch and numpy. All are rows of one table.

use safetensors::Dtype as SafetensorsDtype;

/// The type of the elements of a tensor.
///
/// ```
/// let dtype = loader::Dtype::from_torch("bfloat16").expect("torch has this type");
/// assert_eq!((dtype.name(), dtype.size()), ("BF16", 2));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Dtype(&'static DtypeRow);

#[derive(Debug)]
struct DtypeRow {
    /// Name in safetensors; torch's name where safetensors does not have the type.
    name: &'static str,
    /// Bytes of an element.
    size: u8,
    /// Bytes of a number, which are reversed for big endian: half an element of complex types.
    component_size: u8,
    /// Name in torch, without `torch.`.
    torch_name: &'static str,
    /// Type in safetensors, where it has the type.
    safetensors: Option<SafetensorsDtype>,
}

const fn row(
    name: &'static str,
    size: u8,
    component_size: u8,
    torch_name: &'static str,
    safetensors: Option<SafetensorsDtype>,
) -> DtypeRow {
    DtypeRow { name, size, component_size, torch_name, safetensors }
}

const BYTE: DtypeRow = row("U8", 1, 1, "uint8", Some(SafetensorsDtype::U8));

static ROWS: &[DtypeRow] = &[
    row("F64", 8, 8, "float64", Some(SafetensorsDtype::F64)),
    row("F32", 4, 4, "float32", Some(SafetensorsDtype::F32)),
    row("F16", 2, 2, "float16", Some(SafetensorsDtype::F16)),
    row("BF16", 2, 2, "bfloat16", Some(SafetensorsDtype::BF16)),
    row("I64", 8, 8, "int64", Some(SafetensorsDtype::I64)),
    row("I32", 4, 4, "int32", Some(SafetensorsDtype::I32)),
    row("I16", 2, 2, "int16", Some(SafetensorsDtype::I16)),
    row("I8", 1, 1, "int8", Some(SafetensorsDtype::I8)),
    row("U64", 8, 8, "uint64", Some(SafetensorsDtype::U64)),
    row("U32", 4, 4, "uint32", Some(SafetensorsDtype::U32)),
    row("U16", 2, 2, "uint16", Some(SafetensorsDtype::U16)),
    BYTE,
    row("BOOL", 1, 1, "bool", Some(SafetensorsDtype::BOOL)),
    row("C64", 8, 4, "complex64", Some(SafetensorsDtype::C64)),
    row("F8_E4M3", 1, 1, "float8_e4m3fn", Some(SafetensorsDtype::F8_E4M3)),
    row("F8_E5M2", 1, 1, "float8_e5m2", Some(SafetensorsDtype::F8_E5M2)),
    row("F8_E4M3FNUZ", 1, 1, "float8_e4m3fnuz", Some(SafetensorsDtype::F8_E4M3FNUZ)),
    row("F8_E5M2FNUZ", 1, 1, "float8_e5m2fnuz", Some(SafetensorsDtype::F8_E5M2FNUZ)),
    row("F8_E8M0", 1, 1, "float8_e8m0fnu", Some(SafetensorsDtype::F8_E8M0)),
    // torch counts bytes as elements, safetensors the two numbers in each byte.
    row("F4", 1, 1, "float4_e2m1fn_x2", Some(SafetensorsDtype::F4)),
    row("complex128", 16, 8, "complex128", None),
    row("complex32", 4, 2, "complex32", None),
    row("bcomplex32", 4, 2, "bcomplex32", None),
    row("qint8", 1, 1, "qint8", None),
    row("quint8", 1, 1, "quint8", None),
    row("qint32", 4, 4, "qint32", None),
    row("quint4x2", 1, 1, "quint4x2", None),
    row("quint2x4", 1, 1, "quint2x4", None),
    row("bits8", 1, 1, "bits8", None),
    row("bits16", 2, 2, "bits16", None),
    row("bits1x8", 1, 1, "bits1x8", None),
    row("bits2x4", 1, 1, "bits2x4", None),
    row("bits4x2", 1, 1, "bits4x2", None),
];

impl PartialEq for Dtype {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Dtype {}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Dtype {
    /// The type of this name in safetensors (`F32`), or in torch for types that safetensors does not have.
    pub fn from_name(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).map(Self)
    }

    /// The type of this name in torch (`float32`), without `torch.`.
    pub fn from_torch(name: &str) -> Option<Self> {
        let name = match name {
            "double" => "float64",
            "float" => "float32",
            "half" => "float16",
            "long" => "int64",
            "int" => "int32",
            "short" => "int16",
            "cfloat" => "complex64",
            "cdouble" => "complex128",
            "chalf" => "complex32",
            other => other,
        };
        ROWS.iter().find(|row| row.torch_name == name).map(Self)
    }

    /// The type of the elements of a storage class of torch (`FloatStorage`). An untyped storage holds bytes.
    pub fn from_storage_class(class: &str) -> Option<Self> {
        Self::from_torch(match class {
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

    /// The type of a numpy descriptor (`<f4`), and whether its numbers are big-endian. `None` for descriptors of text, dates,
    /// records and objects.
    pub fn from_numpy(descr: &str) -> Option<(Self, bool)> {
        let name = match descr.trim_start_matches(['<', '>', '|', '=']) {
            "b1" | "?" => "BOOL",
            "u1" => "U8",
            "i1" => "I8",
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
            "c16" => "complex128",
            _ => return None,
        };
        let dtype = Self::from_name(name)?;
        Some((dtype, descr.starts_with('>') && dtype.component_size() > 1))
    }

    /// The type of plain bytes.
    pub(crate) fn byte() -> Self {
        static ROW: DtypeRow = BYTE;
        Self(&ROW)
    }

    /// Bytes of an element; of two elements where [`Self::is_two_per_byte`].
    pub fn size(self) -> u64 {
        self.0.size.into()
    }

    /// Bytes of a number in an element: complex elements have two. Byte-swapping reverses these bytes.
    pub fn component_size(self) -> usize {
        self.0.component_size.into()
    }

    /// The type in safetensors, where it has the type.
    pub fn safetensors(self) -> Option<SafetensorsDtype> {
        self.0.safetensors
    }

    /// The name in reports: that of safetensors, or of torch where safetensors does not have the type.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Whether a byte holds two numbers: one element for torch, two for safetensors.
    pub fn is_two_per_byte(self) -> bool {
        self.0.safetensors == Some(SafetensorsDtype::F4)
    }

    /// Quantized numbers in a byte, for types with several.
    pub fn quantized_per_byte(self) -> Option<u64> {
        match self.0.name {
            "quint4x2" => Some(2),
            "quint2x4" => Some(4),
            _ => None,
        }
    }

    /// Whether an element has a real and an imaginary part.
    pub fn is_complex(self) -> bool {
        self.0.component_size < self.0.size
    }

    /// Whether the elements are floats of 16, 32 or 64 bits with the sign in the highest bit.
    pub fn is_float(self) -> bool {
        matches!(
            self.0.safetensors,
            Some(SafetensorsDtype::F64 | SafetensorsDtype::F32 | SafetensorsDtype::F16 | SafetensorsDtype::BF16)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sizes_are_those_of_safetensors() {
        for row in ROWS {
            assert_eq!(
                ROWS.iter().filter(|other| other.name == row.name || other.torch_name == row.torch_name).count(),
                1
            );
            assert!(row.size % row.component_size == 0);
            if let Some(held) = row.safetensors {
                let times = if held == SafetensorsDtype::F4 { 2 } else { 1 };
                assert_eq!(held.bitsize() * times, usize::from(row.size) * 8, "{}", row.name);
            }
        }
    }

    #[test]
    fn numpy_descriptors_give_the_byte_order() {
        assert_eq!(Dtype::from_numpy(">f4").map(|(dtype, big_endian)| (dtype.name(), big_endian)), Some(("F32", true)));
        assert_eq!(Dtype::from_numpy(">u1").map(|(dtype, big_endian)| (dtype.name(), big_endian)), Some(("U8", false)));
        assert_eq!(Dtype::from_numpy("<c16").map(|(dtype, _)| dtype.name()), Some("complex128"));
        assert!(Dtype::from_numpy("<U3").is_none() && Dtype::from_numpy("<M8[ns]").is_none());
    }

    #[test]
    fn an_unknown_storage_has_no_type() {
        assert!(Dtype::from_storage_class("TypedStorage").is_none());
        assert_eq!(Dtype::from_storage_class("ComplexDoubleStorage").map(Dtype::name), Some("complex128"));
    }
}
