//! Stands in for `seen.rs` on this branch, where the pickle machine is not there yet. Dropped on merge.

/// A tensor as a header names it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tensor {
    /// Its name, or the path of keys to it.
    pub name: String,
    /// Its type in the words of safetensors.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
}
