//! Types of numbers: how wide they are, and what safetensors calls them, if it has them at all.
//!
//! One table. torch, numpy and safetensors name its rows in their own words; everything else here looks rows up.

use safetensors::Dtype as Held;

/// A type of number.
#[derive(Debug, Clone, Copy)]
pub struct Dtype(&'static Row);

#[derive(Debug)]
struct Row {
    /// The word of safetensors, or torch's where safetensors has none.
    word: &'static str,
    /// Bytes of an element.
    size: u8,
    /// Bytes of one number in it, whose order tells big from little endian: half an element of complex types.
    unit: u8,
    /// torch's name.
    torch: &'static str,
    /// safetensors' type.
    held: Option<Held>,
}

const fn row(word: &'static str, size: u8, unit: u8, torch: &'static str, held: Option<Held>) -> Row {
    Row { word, size, unit, torch, held }
}

static ROWS: &[Row] = &[
    row("F64", 8, 8, "float64", Some(Held::F64)),
    row("F32", 4, 4, "float32", Some(Held::F32)),
    row("F16", 2, 2, "float16", Some(Held::F16)),
    row("BF16", 2, 2, "bfloat16", Some(Held::BF16)),
    row("I64", 8, 8, "int64", Some(Held::I64)),
    row("I32", 4, 4, "int32", Some(Held::I32)),
    row("I16", 2, 2, "int16", Some(Held::I16)),
    row("I8", 1, 1, "int8", Some(Held::I8)),
    row("U64", 8, 8, "uint64", Some(Held::U64)),
    row("U32", 4, 4, "uint32", Some(Held::U32)),
    row("U16", 2, 2, "uint16", Some(Held::U16)),
    row("U8", 1, 1, "uint8", Some(Held::U8)),
    row("BOOL", 1, 1, "bool", Some(Held::BOOL)),
    row("C64", 8, 4, "complex64", Some(Held::C64)),
    row("F8_E4M3", 1, 1, "float8_e4m3fn", Some(Held::F8_E4M3)),
    row("F8_E5M2", 1, 1, "float8_e5m2", Some(Held::F8_E5M2)),
    row("F8_E4M3FNUZ", 1, 1, "float8_e4m3fnuz", Some(Held::F8_E4M3FNUZ)),
    row("F8_E5M2FNUZ", 1, 1, "float8_e5m2fnuz", Some(Held::F8_E5M2FNUZ)),
    row("F8_E8M0", 1, 1, "float8_e8m0fnu", Some(Held::F8_E8M0)),
    // torch counts the byte, safetensors the two numbers in it.
    row("F4", 1, 1, "float4_e2m1fn_x2", Some(Held::F4)),
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
        self.0.word == other.0.word
    }
}

impl Eq for Dtype {}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.word)
    }
}

impl Dtype {
    /// By its name in safetensors, or torch's where safetensors has none.
    pub fn named(word: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.word == word).map(Self)
    }

    /// By torch's name (`float32`).
    pub fn of_torch(name: &str) -> Option<Self> {
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
        ROWS.iter().find(|row| row.torch == name).map(Self)
    }

    /// By the name of torch's storage class (`FloatStorage`); an untyped one holds bytes.
    pub fn of_storage(class: &str) -> Option<Self> {
        Self::of_torch(match class {
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

    /// By numpy's word (`<f4`), with whether its bytes stand the other way round. `None` for what is no number or has no
    /// row.
    pub fn of_numpy(descr: &str) -> Option<(Self, bool)> {
        let word = match descr.trim_start_matches(['<', '>', '|', '=']) {
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
        let dtype = Self::named(word)?;
        Some((dtype, descr.starts_with('>') && dtype.unit() > 1))
    }

    /// Bytes of an element. Of [`Self::two_in_a_byte`], of two.
    pub fn size(self) -> u64 {
        self.0.size.into()
    }

    /// Bytes of one number in an element: what is turned round to go from big to little endian.
    pub fn unit(self) -> usize {
        self.0.unit.into()
    }

    /// safetensors' type.
    pub fn held(self) -> Option<Held> {
        self.0.held
    }

    /// Its word in reports.
    pub fn word(self) -> &'static str {
        self.0.word
    }

    /// Whether safetensors counts two numbers where torch counts one.
    pub fn two_in_a_byte(self) -> bool {
        self.0.held == Some(Held::F4)
    }

    /// How many quantized numbers share a byte, where they do.
    pub fn packed(self) -> Option<u64> {
        match self.0.word {
            "quint4x2" => Some(2),
            "quint2x4" => Some(4),
            _ => None,
        }
    }

    /// Whether an element is a pair of real and imaginary part.
    pub fn is_complex(self) -> bool {
        self.0.unit < self.0.size
    }

    /// Whether it is a signed float whose sign is its topmost bit.
    pub fn is_float(self) -> bool {
        matches!(self.0.held, Some(Held::F64 | Held::F32 | Held::F16 | Held::BF16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_one_name_and_a_size_that_safetensors_agrees_with() {
        for row in ROWS {
            assert_eq!(ROWS.iter().filter(|other| other.word == row.word || other.torch == row.torch).count(), 1);
            assert!(row.size % row.unit == 0);
            if let Some(held) = row.held {
                let times = if held == Held::F4 { 2 } else { 1 };
                assert_eq!(held.bitsize() * times, usize::from(row.size) * 8, "{}", row.word);
            }
        }
    }

    #[test]
    fn numpy_says_the_order_of_its_bytes() {
        assert_eq!(Dtype::of_numpy(">f4").map(|(dtype, big)| (dtype.word(), big)), Some(("F32", true)));
        assert_eq!(Dtype::of_numpy(">u1").map(|(dtype, big)| (dtype.word(), big)), Some(("U8", false)));
        assert_eq!(Dtype::of_numpy("<c16").map(|(dtype, _)| dtype.word()), Some("complex128"));
        assert!(Dtype::of_numpy("<U3").is_none() && Dtype::of_numpy("<M8[ns]").is_none());
    }

    #[test]
    fn an_unknown_storage_has_no_type() {
        assert!(Dtype::of_storage("TypedStorage").is_none());
        assert_eq!(Dtype::of_storage("ComplexDoubleStorage").map(Dtype::word), Some("complex128"));
    }
}
