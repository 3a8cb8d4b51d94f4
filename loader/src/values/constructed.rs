//! What a constructor call in a pickle gives, as far as tensors are concerned.

use crate::values::tensor::{Beside, Tensor};
use scanner::internal::pickle::value::Value;

/// What a call makes, as far as tensors go.
pub(crate) enum Meaning {
    /// A tensor.
    Tensor(Tensor),
    /// What its argument is.
    Same(Value),
    /// Several tensors that stand for one of this kind.
    Parts {
        /// `sparse_coo`, `nested`.
        kind: &'static str,
        /// The tensors.
        parts: Vec<(&'static str, Beside)>,
    },
    /// What another function makes of these arguments.
    Calls {
        /// The function.
        function: Value,
        /// Its arguments.
        args: Value,
    },
    /// Objects in a pickle of their own, between the opcodes.
    Objects,
}
