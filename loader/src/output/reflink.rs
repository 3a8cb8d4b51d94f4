//! Shared blocks (reflinks): on XFS and btrfs, the result is a new header in front of the blocks of the source. No tensor is
//! copied.
//!
//! The bytes between the tensors (the headers of a zip) are part of the result. safetensors allows no gaps, so each gap becomes
//! a tensor of bytes (`modelscan.filler.N`). Because of these names, sharing is off unless `WriteOptions::reflink` is set.

use crate::bytes::dtype::Dtype;
use crate::bytes::record::ByteRecord;
use crate::bytes::strided::StridedView;
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

/// The smallest block size of file systems that share blocks, in bytes.
const MIN_BLOCK_BYTES: u64 = 4096;

/// Why blocks cannot be shared.
pub(crate) enum ShareError {
    /// The tensors are not ranges of one file.
    Unsuitable(Unsuitable),
    /// The file system does not share blocks between these files.
    Unsupported(io::Error),
    /// Writing failed half way.
    Failed(io::Error),
}

/// Why the tensors are not ranges of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsuitable {
    /// The tensors are in several files.
    SeveralFiles,
    /// A tensor is changed on reading: unpacked, gathered, byte-swapped or cast.
    Changed,
    /// Two tensors share bytes.
    Overlap,
    /// A gap between tensors is too large for a tensor.
    Gap,
}

impl std::fmt::Display for Unsuitable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SeveralFiles => "the tensors are in several files",
            Self::Changed => "not all tensors stand in the source as they are",
            Self::Overlap => "two tensors are views of the same numbers",
            Self::Gap => "a gap is too large",
        })
    }
}

impl Checkpoint {
    /// Writes the result into an empty file by sharing the blocks of the source. Returns its length in bytes and its tensors.
    ///
    /// # Errors
    /// When blocks cannot be shared. The file is empty then, except after [`ShareError::Failed`].
    pub(crate) fn share_blocks(
        &self,
        file: &File,
        hash: Option<String>,
    ) -> Result<(u64, Vec<PlannedTensor>), ShareError> {
        let [examined] = self.examined.as_slice() else {
            return Err(ShareError::Unsuitable(Unsuitable::SeveralFiles));
        };
        let source = examined.file().file();
        let length = examined.report().size;
        let tensors = self.tensors_with_fillers(&examined.source(), length).map_err(ShareError::Unsuitable)?;
        // Cloning the whole file tells whether these two files can share blocks.
        ioctl_ficlone(file, source).map_err(|error| ShareError::Unsupported(error.into()))?;
        ftruncate(file, 0).map_err(|error| ShareError::Failed(error.into()))?;
        let block = file.metadata().map_err(ShareError::Failed)?.blksize().max(MIN_BLOCK_BYTES).next_power_of_two();
        let mut metadata = self.plan.metadata.clone();
        metadata.extend(hash.map(|hash| (METADATA_SOURCE_SHA256.to_owned(), hash)));
        let text = header::write(&tensors, &metadata, block)
            .map_err(|error| ShareError::Failed(io::Error::other(error.to_string())))?;
        let mut out = file;
        out.write_all(&text).map_err(ShareError::Failed)?;
        let (mut from, mut to) = (0, text.len() as u64);
        while from < length {
            // The kernel shares aligned blocks and copies the rest of the last one.
            let part = usize::try_from(length - from).unwrap_or(usize::MAX).min(1 << 30);
            match copy_file_range(source, Some(&mut from), file, Some(&mut to), part) {
                Ok(0) => return Err(ShareError::Failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(ShareError::Failed(error.into())),
            }
        }
        Ok((to, tensors))
    }

    /// The tensors in the order of the source, with fillers for the gaps between them.
    fn tensors_with_fillers(&self, source: &SharedSource, length: u64) -> Result<Vec<PlannedTensor>, Unsuitable> {
        let mut placed: Vec<(u64, u64, &PlannedTensor)> = Vec::with_capacity(self.plan.tensors.len());
        for tensor in &self.plan.tensors {
            let (at, len) =
                if tensor.is_empty() { (0, 0) } else { tensor.source.file_range().ok_or(Unsuitable::Changed)? };
            placed.push((at, len, tensor));
        }
        placed.sort_by_key(|(at, len, _)| (*at, *len));
        let (mut all, mut end) = (Vec::with_capacity(placed.len() * 2), 0);
        let fill = |all: &mut Vec<PlannedTensor>, from: u64, to: u64| {
            let record = ByteRecord::new(source.clone(), from, to - from).ok_or(Unsuitable::Gap)?;
            let view = StridedView::dense(1, &[to - from], false, to - from).map_err(|_| Unsuitable::Gap)?;
            let data = TensorSource::from_view(Arc::new(record), view, Transform::default());
            let name = format!("{FILLER_PREFIX}{}", all.len());
            all.push(PlannedTensor {
                name,
                dtype: Dtype::byte(),
                shape: vec![to - from],
                data_offset: from,
                source: data,
            });
            Ok::<(), Unsuitable>(())
        };
        for (at, len, tensor) in placed {
            if len > 0 && at < end {
                return Err(Unsuitable::Overlap);
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
