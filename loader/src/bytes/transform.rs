//! Changes of elements while they are read, in place: byte-swapping from big endian, and the conj and neg bits of torch.

use crate::bytes::dtype::Dtype;

/// Changes of each element. None, for nearly all tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Transform {
    /// Bytes of a number to be byte-swapped; 0 or 1 for none.
    pub(crate) swap_size: usize,
    /// Numbers to be negated.
    pub(crate) negation: Option<Negation>,
}

/// How numbers are negated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Negation {
    /// The sign bits of floats are flipped. Numbers with even index are the real parts of complex elements.
    Float {
        /// Bytes of a number.
        component_size: usize,
        /// Whether numbers with even index are negated.
        even: bool,
        /// Whether numbers with odd index are negated.
        odd: bool,
    },
    /// Integers of this many bytes are negated in two's complement, with wrapping.
    Integer(usize),
}

/// The neg bit is set for a type whose numbers torch does not negate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegationError;

impl std::fmt::Display for NegationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("its numbers are to be negated, and no reader says how")
    }
}

impl Transform {
    /// The transform for a view of a big-endian storage, or of one whose conj or neg bit is set. torch applies these bits when
    /// the tensor is used: the bytes in the file are those before.
    ///
    /// # Errors
    /// When the negative of such a number is not defined.
    pub(crate) fn new(dtype: Dtype, big_endian: bool, conj: bool, neg: bool) -> Result<Self, NegationError> {
        let component_size = dtype.component_size();
        let swap_size = if big_endian && component_size > 1 { component_size } else { 0 };
        let negation = match (conj && dtype.is_complex(), neg) {
            (false, false) => None,
            (conj, neg) if dtype.is_complex() => Some(Negation::Float { component_size, even: neg, odd: neg != conj }),
            (_, _) if dtype.is_float() => Some(Negation::Float { component_size, even: true, odd: true }),
            (_, _) if matches!(dtype.name(), "I8" | "I16" | "I32" | "I64" | "U8") => {
                Some(Negation::Integer(component_size))
            }
            _ => return Err(NegationError),
        };
        let none = matches!(negation, Some(Negation::Float { even: false, odd: false, .. }));
        Ok(Self { swap_size, negation: negation.filter(|_| !none) })
    }

    /// Whether elements stay as they are.
    pub(crate) fn is_identity(self) -> bool {
        self.swap_size <= 1 && self.negation.is_none()
    }

    /// Changes whole elements in place. Afterwards they are little-endian.
    pub(crate) fn apply(self, bytes: &mut [u8]) {
        match self.swap_size {
            2 => swap_bytes::<2>(bytes),
            4 => swap_bytes::<4>(bytes),
            8 => swap_bytes::<8>(bytes),
            _ => {}
        }
        match self.negation {
            None => {}
            Some(Negation::Float { component_size, even, odd }) => {
                for pair in bytes.chunks_mut(component_size.max(1) * 2) {
                    let last = component_size.saturating_sub(1);
                    flip_sign(pair, last, even);
                    flip_sign(pair, last + component_size, odd);
                }
            }
            Some(Negation::Integer(size)) => bytes.chunks_exact_mut(size.max(1)).for_each(negate_integer),
        }
    }
}

fn swap_bytes<const N: usize>(bytes: &mut [u8]) {
    let (numbers, _) = bytes.as_chunks_mut::<N>();
    numbers.iter_mut().for_each(|number| number.reverse());
}

fn flip_sign(bytes: &mut [u8], at: usize, negate: bool) {
    if negate && let Some(byte) = bytes.get_mut(at) {
        *byte ^= 0x80;
    }
}

fn negate_integer(number: &mut [u8]) {
    let mut carry = true;
    for byte in number {
        let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
        *byte = sum;
        carry = over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transform(dtype: &str, big_endian: bool, conj: bool, neg: bool) -> Transform {
        Transform::new(Dtype::from_name(dtype).expect("a type"), big_endian, conj, neg).expect("it can be done")
    }

    #[test]
    fn each_number_is_byte_swapped() {
        let mut bytes: Vec<u8> = (0..16).collect();
        transform("C64", true, false, false).apply(&mut bytes);
        assert_eq!(bytes, [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]);
        assert!(transform("U8", true, false, false).is_identity());
    }

    #[test]
    fn conjugates_and_negatives() {
        let numbers = |re: f32, im: f32| [re.to_le_bytes(), im.to_le_bytes()].concat();
        for (conj, neg, re, im) in [(true, false, 1., -2.), (false, true, -1., -2.), (true, true, -1., 2.)] {
            let mut bytes = numbers(1., 2.);
            transform("C64", false, conj, neg).apply(&mut bytes);
            assert_eq!(bytes, numbers(re, im));
        }
        let mut bytes = [1.5f64.to_le_bytes(), 0f64.to_le_bytes(), (-2f64).to_le_bytes()].concat();
        transform("F64", false, true, true).apply(&mut bytes);
        assert_eq!(bytes, [(-1.5f64).to_le_bytes(), (-0f64).to_le_bytes(), 2f64.to_le_bytes()].concat());
        let mut bytes = [5i16.to_be_bytes(), i16::MIN.to_be_bytes()].concat();
        transform("I16", true, false, true).apply(&mut bytes);
        assert_eq!(bytes, [(-5i16).to_le_bytes(), i16::MIN.to_le_bytes()].concat());
        assert!(Transform::new(Dtype::from_name("BOOL").expect("a type"), false, false, true).is_err());
        assert!(transform("F32", false, true, false).is_identity(), "the conjugate of a real number is itself");
    }
}
