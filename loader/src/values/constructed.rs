//! What a constructor call in a pickle gives, as far as tensors are concerned.

use crate::values::tensor::{Component, TensorDescription};
use scanner::internal::pickle::value::Value;

/// What a call makes, as far as tensors go.
pub(crate) enum Constructed {
    /// A tensor.
    Tensor(TensorDescription),
    /// What its argument is.
    Argument(Value),
    /// Several tensors that stand for one of this kind.
    Composite {
        /// `sparse_coo`, `nested`.
        kind: &'static str,
        /// The tensors.
        components: Vec<(&'static str, Component)>,
    },
    /// What another function makes of these arguments.
    Call {
        /// The function.
        function: Value,
        /// Its arguments.
        args: Value,
    },
    /// Objects in a pickle of their own, between the opcodes.
    ObjectArray,
}
