//! A tensor as a pickle describes it: type, shape, and where its numbers are said to be. Nothing is checked yet: that is
//! the plan's part, which knows the bytes.

use crate::bytes::dtype::Dtype;
use scanner::internal::pickle::value::{NodeId, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// A tensor in the words of its pickle.
#[derive(Debug, Clone)]
pub(crate) struct TensorDescription {
    /// Its type in words: as listed.
    pub(crate) dtype_name: Cow<'static, str>,
    /// Its type, where there is a row for it.
    pub(crate) dtype: Option<Dtype>,
    /// Bytes of an element.
    pub(crate) element_size: u64,
    /// Its shape in elements of that type; `None` where it is none.
    pub(crate) shape: Option<Vec<u64>>,
    /// Its numbers.
    pub(crate) elements: TensorData,
    /// What belongs to it and is no number of its own: scale and zero point.
    pub(crate) components: Vec<(&'static str, Component)>,
}

/// Something that belongs to a tensor.
#[derive(Debug, Clone)]
pub(crate) enum Component {
    /// A value of the pickle: again a tensor.
    Value(Value),
    /// Numbers that the pickle names one by one.
    Tensor(TensorDescription),
}

/// Where the numbers of a tensor are said to be.
#[derive(Debug, Clone)]
pub(crate) enum TensorData {
    /// In a storage that a persistent id names.
    Storage(StorageView),
    /// In a tensor of torch's tar, which a persistent id names.
    TarKey(String),
    /// In a literal of the pickle: bytes, or a text that stands for bytes.
    Literal {
        /// The literal.
        data: Value,
        /// How they are laid out.
        order: MemoryOrder,
    },
    /// Between the opcodes of the pickle (joblib): what the machine skipped for that node.
    Inline {
        /// The node.
        node: NodeId,
        /// How they are laid out.
        order: MemoryOrder,
    },
    /// Here: little-endian, without gaps.
    Bytes(Arc<[u8]>),
    /// Nowhere: a tensor of the `meta` device.
    Meta,
    /// What the pickle says makes no sense.
    Invalid(&'static str),
}

/// A view of a storage, in elements.
#[derive(Debug, Clone)]
pub(crate) struct StorageView {
    /// What the persistent id gave.
    pub(crate) storage: Value,
    /// The first element.
    pub(crate) offset: u64,
    /// Elements from one index to the next, for each dimension.
    pub(crate) stride: Vec<u64>,
    /// The imaginary parts are to be negated.
    pub(crate) conj: bool,
    /// All of it is to be negated.
    pub(crate) neg: bool,
}

/// How an array without strides is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryOrder {
    /// The first index runs fastest.
    pub(crate) fortran: bool,
    /// The bytes of each number stand the other way round.
    pub(crate) big_endian: bool,
}

impl TensorDescription {
    /// Numbers that are given here.
    pub(crate) fn from_bytes(dtype: &str, shape: Vec<u64>, bytes: impl Into<Arc<[u8]>>) -> Option<Self> {
        Self::new(Dtype::from_name(dtype)?, Some(shape), TensorData::Bytes(bytes.into())).into()
    }

    /// A tensor with nothing beside it.
    pub(crate) fn new(dtype: Dtype, shape: Option<Vec<u64>>, numbers: TensorData) -> Self {
        let word = dtype.name().into();
        Self {
            dtype_name: word,
            dtype: Some(dtype),
            element_size: dtype.size(),
            shape,
            elements: numbers,
            components: Vec::new(),
        }
    }

    /// Its shape as safetensors counts: two numbers in a byte are two.
    pub(crate) fn safetensors_shape(&self) -> Option<Vec<u64>> {
        let mut shape = self.shape.clone()?;
        if self.dtype.is_some_and(Dtype::is_two_per_byte) {
            match shape.last_mut() {
                Some(last) => *last = last.checked_mul(2)?,
                None => shape.push(2),
            }
        }
        Some(shape)
    }
}
