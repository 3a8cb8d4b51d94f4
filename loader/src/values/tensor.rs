//! A tensor as a pickle describes it: type, shape, and where its elements are. Nothing is checked against the bytes yet:
//! `plan::storage` does that.

use crate::bytes::dtype::Dtype;
use scanner::internal::pickle::value::{NodeId, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// A tensor as its pickle describes it.
#[derive(Debug, Clone)]
pub(crate) struct TensorDescription {
    /// Name of the element type, as listings and reports show it.
    pub(crate) dtype_name: Cow<'static, str>,
    /// The element type; `None` for text, dates, records and tensors of a torch tar.
    pub(crate) dtype: Option<Dtype>,
    /// Bytes of an element.
    pub(crate) element_size: u64,
    /// The length of each dimension in elements; `None` where the pickle has no valid shape.
    pub(crate) shape: Option<Vec<u64>>,
    /// Where the elements are.
    pub(crate) elements: TensorData,
    /// Further tensors that belong to it, such as scale and zero point.
    pub(crate) components: Vec<(&'static str, Component)>,
}

/// A tensor that is a part of another one.
#[derive(Debug, Clone)]
pub(crate) enum Component {
    /// A value of the pickle, which is a tensor again.
    Value(Value),
    /// A tensor whose elements are arguments in the pickle.
    Tensor(TensorDescription),
}

/// Where the elements of a tensor are.
#[derive(Debug, Clone)]
pub(crate) enum TensorData {
    /// In a storage, which a persistent id names.
    Storage(StorageView),
    /// In the member `tensors` of a torch tar, under this key.
    TarKey(String),
    /// In a literal of the pickle: bytes, or a text that stands for bytes.
    Literal {
        /// The literal.
        data: Value,
        /// The layout in memory.
        order: MemoryOrder,
    },
    /// Between the opcodes of the pickle (joblib).
    Inline {
        /// The wrapper that the array follows.
        node: NodeId,
        /// The layout in memory.
        order: MemoryOrder,
    },
    /// Given here: little-endian, without gaps.
    Bytes(Arc<[u8]>),
    /// Nowhere: the tensor is on the `meta` device.
    Meta,
    /// The description is not valid.
    Invalid(InvalidTensor),
}

/// Why the description of a tensor in a pickle is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidTensor {
    /// The metadata has more than the bits `conj` and `neg`.
    Metadata,
    /// Offset or strides are not integers.
    OffsetOrStrides,
    /// A subclass that wraps another tensor.
    Wrapper,
    /// A storage without a tensor.
    BareStorage,
    /// The constructor has other arguments than libraries give it.
    Arguments,
}

impl std::fmt::Display for InvalidTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Metadata => "its metadata is more than the bits conj and neg",
            Self::OffsetOrStrides => "its offset or strides are no whole numbers",
            Self::Wrapper => "a subclass that wraps another tensor, whose numbers it does not hold itself",
            Self::BareStorage => "it is a storage",
            Self::Arguments => "its constructor is given what no library gives it",
        })
    }
}

/// A view of a storage, in elements.
#[derive(Debug, Clone)]
pub(crate) struct StorageView {
    /// The persistent id.
    pub(crate) storage: Value,
    /// Index of the first element.
    pub(crate) offset: u64,
    /// Distance in elements from one index to the next, for each dimension.
    pub(crate) stride: Vec<u64>,
    /// The conj bit: imaginary parts are negated.
    pub(crate) conj: bool,
    /// The neg bit: all numbers are negated.
    pub(crate) neg: bool,
}

/// The layout of an array without strides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryOrder {
    /// The first index runs fastest.
    pub(crate) fortran: bool,
    /// Numbers are big-endian.
    pub(crate) big_endian: bool,
}

impl TensorDescription {
    /// A tensor with these elements: little-endian, without gaps. `None` for an unknown `dtype`.
    pub(crate) fn from_bytes(dtype: &str, shape: Vec<u64>, bytes: impl Into<Arc<[u8]>>) -> Option<Self> {
        Self::new(Dtype::from_name(dtype)?, Some(shape), TensorData::Bytes(bytes.into())).into()
    }

    /// A tensor without components.
    pub(crate) fn new(dtype: Dtype, shape: Option<Vec<u64>>, elements: TensorData) -> Self {
        let (dtype_name, element_size) = (dtype.name().into(), dtype.size());
        Self { dtype_name, dtype: Some(dtype), element_size, shape, elements, components: Vec::new() }
    }

    /// A tensor of which the pickle gives neither type nor shape.
    pub(crate) fn untyped(dtype_name: String, elements: TensorData) -> Self {
        let dtype_name = dtype_name.into();
        Self { dtype_name, dtype: None, element_size: 0, shape: None, elements, components: Vec::new() }
    }

    /// The shape as safetensors counts it: a byte with two numbers is two elements.
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
