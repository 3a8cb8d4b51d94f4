//! What is done to numbers on their way: their bytes turned round, their signs flipped. In place, element by element.

use crate::bytes::dtype::Dtype;

/// What is to be done. Nothing, for nearly all tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Transform {
    /// Bytes of a number that is to be turned round; 0 or 1 for none.
    pub(crate) swap_size: usize,
    /// Signs to flip.
    pub(crate) negation: Option<Negation>,
}

/// Whose signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Negation {
    /// The sign bits of floats of that many bytes: of every number, or of real and imaginary parts apart.
    Float {
        /// Bytes of a number.
        component_size: usize,
        /// Whether the first, third, ... number is negated.
        even: bool,
        /// Whether the others are.
        odd: bool,
    },
    /// Whole numbers of that many bytes are negated, as two's complement wraps.
    Integer(usize),
}

impl Transform {
    /// For a view of a storage whose bytes are swapped or whose conj and neg bits are set. torch keeps these bits lazily:
    /// the bytes in the file are those of before.
    ///
    /// # Errors
    /// Where nobody has said what the negative of such a number is.
    pub(crate) fn new(dtype: Dtype, big: bool, conj: bool, neg: bool) -> Result<Self, &'static str> {
        let swap = if big && dtype.component_size() > 1 { dtype.component_size() } else { 0 };
        let unit = dtype.component_size();
        let signs = match (conj && dtype.is_complex(), neg) {
            (false, false) => None,
            (conj, neg) if dtype.is_complex() => {
                Some(Negation::Float { component_size: unit, even: neg, odd: neg != conj })
            }
            (_, _) if dtype.is_float() => Some(Negation::Float { component_size: unit, even: true, odd: true }),
            (_, _) if matches!(dtype.name(), "I8" | "I16" | "I32" | "I64" | "U8") => Some(Negation::Integer(unit)),
            _ => return Err("its numbers are to be negated, and no reader says how"),
        };
        let nothing = matches!(signs, Some(Negation::Float { even: false, odd: false, .. }));
        Ok(Self { swap_size: swap, negation: signs.filter(|_| !nothing) })
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_identity(self) -> bool {
        self.swap_size <= 1 && self.negation.is_none()
    }

    /// Does it to whole elements, in little-endian order from then on.
    pub(crate) fn apply(self, bytes: &mut [u8]) {
        match self.swap_size {
            2 => swap_bytes::<2>(bytes),
            4 => swap_bytes::<4>(bytes),
            8 => swap_bytes::<8>(bytes),
            _ => {}
        }
        match self.negation {
            None => {}
            Some(Negation::Float { component_size: unit, even, odd }) => {
                for pair in bytes.chunks_mut(unit.max(1) * 2) {
                    let last = unit.saturating_sub(1);
                    flip_sign(pair, last, even);
                    flip_sign(pair, last + unit, odd);
                }
            }
            Some(Negation::Integer(unit)) => bytes.chunks_exact_mut(unit.max(1)).for_each(negate_integer),
        }
    }
}

fn swap_bytes<const N: usize>(bytes: &mut [u8]) {
    let (numbers, _) = bytes.as_chunks_mut::<N>();
    numbers.iter_mut().for_each(|number| number.reverse());
}

fn flip_sign(bytes: &mut [u8], at: usize, wanted: bool) {
    if wanted && let Some(byte) = bytes.get_mut(at) {
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

    fn transform(dtype: &str, big: bool, conj: bool, neg: bool) -> Transform {
        Transform::new(Dtype::from_name(dtype).expect("a type"), big, conj, neg).expect("it can be done")
    }

    #[test]
    fn numbers_are_turned_round_one_by_one() {
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
