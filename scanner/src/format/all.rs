//! The list of all formats. Adding one is a file beside this one and a line here.

use super::Format;

/// All formats, the more special ones first.
pub static FORMATS: &[&dyn Format] = &[
    &super::torch_distcp::TorchDistcp,
    &super::torch_zip::TorchZip,
    &super::zip::Zip,
    &super::torch_legacy::TorchLegacy,
    &super::pickle::Pickle,
];
