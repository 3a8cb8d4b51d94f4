//! The list of all formats. Adding one is a file beside this one and a line here.

use super::Format;

/// All formats, the more special ones first.
pub static FORMATS: &[&dyn Format] = &[
    &super::torch_distcp::TorchDistcp,
    &super::torch_zip::TorchZip,
    &super::sharded_index::ShardedIndex,
    &super::torch_legacy::TorchLegacy,
    &super::pickle::Pickle,
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
