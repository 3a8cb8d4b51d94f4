//! The list of all formats. Adding one is a file beside this one and a line here.

use super::Format;

/// All formats, the more special ones first.
pub static FORMATS: &[&dyn Format] = &[
    &super::torch_zip::TorchZip,
    &super::torch_legacy::TorchLegacy,
    &super::pickle::Pickle,
];
