//! The result of a constructor call in a pickle, as far as tensors are concerned. `torch` and `numpy` give it, `walk` uses it.

use crate::values::tensor::{Component, TensorDescription};
use scanner::internal::pickle::value::Value;

/// The result of a constructor call.
pub(crate) enum Constructed {
    /// A tensor.
    Tensor(TensorDescription),
    /// The same as this argument.
    Argument(Value),
    /// Several tensors that make up one.
    Composite {
        /// The layout of that tensor: `sparse_coo`, `nested`.
        kind: &'static str,
        /// The tensors and their names.
        components: Vec<(&'static str, Component)>,
    },
    /// The result of another call.
    Call {
        /// The function.
        function: Value,
        /// Its arguments.
        args: Value,
    },
    /// An array of Python objects, in a pickle between the opcodes.
    ObjectArray,
}
