//! Shared extents: on a file system that can (XFS, btrfs) the result is a new header in front of the very blocks of the
//! source. Nothing is copied, whatever its size.
//!
//! What stands between the tensors there (the headers of a zip) comes along. safetensors allows no byte that belongs to no
//! tensor, so each gap is a tensor of bytes, under a name of ours. That is why somebody has to ask for it.

use crate::bytes::dtype::Dtype;
use crate::bytes::record::Record;
use crate::bytes::strided::View;
use crate::bytes::tensor_source::TensorSource;
use crate::bytes::transform::Transform;
use crate::open::Checkpoint;
use crate::plan::header;
use crate::plan::tensor_plan::{FILLER_PREFIX, METADATA_SOURCE_SHA256, PlannedTensor};
use rustix::fs::{copy_file_range, ftruncate, ioctl_ficlone};
use scanner::source::SharedSource;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// Blocks are at least this large.
const MIN_BLOCK_BYTES: u64 = 4096;

/// Why blocks cannot be shared.
pub(crate) enum ShareError {
    /// The result would not be the same.
    Unsuitable(&'static str),
    /// The file system does not do it.
    Unsupported(io::Error),
    /// It began and failed.
    Failed(io::Error),
}

impl Checkpoint {
    /// Writes the result into an empty file by sharing the blocks of the source; gives its length, and all tensors of it.
    ///
    /// # Errors
    /// Why that cannot be done. The file is empty then, unless it failed half way.
    pub(crate) fn share_blocks(
        &self,
        file: &File,
        hash: Option<String>,
    ) -> Result<(u64, Vec<PlannedTensor>), ShareError> {
        let [examined] = self.examined.as_slice() else {
            return Err(ShareError::Unsuitable("the tensors are in several files"));
        };
        let source = examined.file().file();
        let length = examined.report().size;
        let tensors = self.tensors_with_fillers(&examined.source(), length).map_err(ShareError::Unsuitable)?;
        // Cloning the whole file is the plainest way to learn whether these two files can share.
        ioctl_ficlone(file, source).map_err(|error| ShareError::Unsupported(error.into()))?;
        ftruncate(file, 0).map_err(|error| ShareError::Failed(error.into()))?;
        let block = file.metadata().map_err(ShareError::Failed)?.blksize().max(MIN_BLOCK_BYTES).next_power_of_two();
        let mut metadata = self.plan.metadata.clone();
        metadata.extend(hash.map(|hash| (METADATA_SOURCE_SHA256.to_owned(), hash)));
        let text =
            header::write(&tensors, &metadata, block).map_err(|why| ShareError::Failed(io::Error::other(why)))?;
        let mut out = file;
        out.write_all(&text).map_err(ShareError::Failed)?;
        let (mut from, mut to) = (0, text.len() as u64);
        while from < length {
            // The kernel shares what is aligned, and copies the end of the last block.
            let part = usize::try_from(length - from).unwrap_or(usize::MAX).min(1 << 30);
            match copy_file_range(source, Some(&mut from), file, Some(&mut to), part) {
                Ok(0) => return Err(ShareError::Failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(ShareError::Failed(error.into())),
            }
        }
        Ok((to, tensors))
    }

    /// The tensors as they stand in the source, and what fills the gaps.
    fn tensors_with_fillers(&self, source: &SharedSource, length: u64) -> Result<Vec<PlannedTensor>, &'static str> {
        let byte = Dtype::from_name("U8").ok_or("no type")?;
        let mut placed: Vec<(u64, u64, &PlannedTensor)> = Vec::with_capacity(self.plan.tensors.len());
        for tensor in &self.plan.tensors {
            let apart = "not all tensors stand in the source as they are";
            let (at, len) = if tensor.is_empty() { (0, 0) } else { tensor.source.file_range().ok_or(apart)? };
            placed.push((at, len, tensor));
        }
        placed.sort_by_key(|(at, len, _)| (*at, *len));
        let (mut all, mut end) = (Vec::with_capacity(placed.len() * 2), 0);
        let fill = |all: &mut Vec<PlannedTensor>, from: u64, to: u64| {
            let record = Record::new(source.clone(), from, to - from).ok_or("a gap lies outside of the source")?;
            let view = View::dense(1, &[to - from], false, to - from).map_err(|_| "a gap is too large")?;
            let data = TensorSource::from_view(Arc::new(record), view, Transform::default());
            let name = format!("{FILLER_PREFIX}{}", all.len());
            all.push(PlannedTensor { name, dtype: byte, shape: vec![to - from], data_offset: from, source: data });
            Ok::<(), &'static str>(())
        };
        for (at, len, tensor) in placed {
            if len > 0 && at < end {
                return Err("two tensors are views of the same numbers");
            }
            if len > 0 && at > end {
                fill(&mut all, end, at)?;
            }
            let at = if len == 0 { end } else { at };
            all.push(PlannedTensor { data_offset: at, ..tensor.clone() });
            end = at + len;
        }
        if end < length {
            fill(&mut all, end, length)?;
        }
        Ok(all)
    }
}
