//! The list of all formats. Adding one is a file beside this one and a line here.
//!
//! The order decides one thing: of several formats that are certain, the first one names the artifact in reports.

use super::Format;
pub use crate::observe::format_info::{Container, FormatInfo, Library, TensorStore};

/// All formats, special ones before general ones.
pub static FORMATS: &[&dyn Format] = &[
    &super::torch_distcp::TorchDistcp,
    &super::torch_zip::TorchZip,
    &super::sharded_index::ShardedIndex,
    &super::torch_legacy::TorchLegacy,
    &super::pickle::Pickle,
    &super::keras::KerasModel,
    &super::keras::KerasConfig,
    &super::keras::KerasWeights,
    &super::zip::Zip,
    &super::torch_tar::TorchTarPart,
    &super::torch_tar::TorchTar,
    &super::tar::Tar,
    &super::seven_zip::SevenZip,
    &super::numpy::Numpy,
    &super::safetensors::Safetensors,
    &super::lfs_pointer::LfsPointer,
    &super::executable::Executable,
    &super::compressed::Gzip,
    &super::compressed::Bzip2,
    &super::compressed::Xz,
    &super::compressed::Lzma,
    &super::compressed::Zlib,
    &super::compressed::Zstd,
    &super::compressed::Lz4,
    &super::compressed::JoblibZf,
];

/// The descriptions of all formats.
pub fn all() -> impl Iterator<Item = &'static FormatInfo> {
    FORMATS.iter().map(|format| format.info())
}

/// The description of the format with this id. `None` for the words that reports use where there is no format
/// (`unknown`, `empty`, `special-file`).
pub fn by_id(id: &str) -> Option<&'static FormatInfo> {
    all().find(|info| info.id == id)
}
