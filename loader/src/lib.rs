//! Weights out of model files, by reading and never by unpickling.
//!
//! The loader parses no pickle of its own: it walks the [`scanner::pickle::Trace`] that the scanner's machine wrote. What
//! a callable means for tensors is known here, in a closed set: [`torch`] for torch's constructors, [`numpy`] for arrays.
//! The story in order: [`list`] opens a file and finds the pickle that counts, [`walk`] follows its values from the root
//! and names them, and [`dtype`] says each type in the words of safetensors.
#![forbid(unsafe_code)]

pub mod dtype;
pub mod list;
mod numpy;
mod reading;
mod torch;
pub mod walk;

pub use list::list;
pub use walk::{Listing, walk};

use scanner::pickle::Trace;
use scanner::seen::Tensor;

/// The tensors that the value of a pickle holds, in the order in which it names them.
pub fn tensors(trace: &Trace) -> Vec<Tensor> {
    walk(trace).tensors
}
