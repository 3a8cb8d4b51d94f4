//! Reading back: the official reader must take the header, and every byte must be the one that the source has.

use crate::bounds::MAX_HEADER_BYTES;
use crate::error::Error;
use crate::open::Checkpoint;
use crate::output::write::{COPY_BUFFER_BYTES, PendingFile, WriteOptions};
use safetensors::tensor::Metadata;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

impl Checkpoint {
    /// Compares a result with the source, byte by byte.
    ///
    /// # Errors
    /// What differs.
    pub fn verify(&self, written: &PendingFile, out: &Path, options: &WriteOptions<'_>) -> Result<(), Error> {
        let wrong = |why: String| Error::Verify { path: out.to_owned(), why };
        let file = written.temporary.reopen().map_err(Error::io(out))?;
        let (metadata, data) = read_header(&file).map_err(Error::io(out))?.map_err(wrong)?;
        let mut lengths = 0;
        let item = |size: u64| usize::try_from(size).unwrap_or(1).max(1);
        let (mut ours, mut theirs) = (vec![0; COPY_BUFFER_BYTES], vec![0; COPY_BUFFER_BYTES]);
        let tensors = written.tensors.as_ref().unwrap_or(&self.plan.tensors);
        for tensor in tensors {
            let name = &tensor.name;
            let info = metadata.info(name).ok_or_else(|| wrong(format!("{name} is not in it")))?;
            let (start, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
            let shape = info.shape.iter().map(|size| *size as u64);
            if Some(info.dtype) != tensor.dtype.safetensors()
                || !shape.eq(tensor.shape.iter().copied())
                || end - start != tensor.len()
            {
                return Err(wrong(format!("{name} has another type or shape")));
            }
            lengths += end - start;
            let mut flow = tensor.source.reader();
            let mut at = 0;
            let whole = COPY_BUFFER_BYTES / item(tensor.source.element_size()) * item(tensor.source.element_size());
            while at < tensor.len() {
                options.check_stop()?;
                let count = flow.fill(ours.get_mut(..whole).unwrap_or_default()).map_err(Error::io(self.path()))?;
                let back = theirs.get_mut(..count).unwrap_or_default();
                file.read_exact_at(back, data + start + at).map_err(Error::io(out))?;
                if count == 0 || ours.get(..count) != theirs.get(..count) {
                    return Err(wrong(format!("{name} differs from its source behind byte {at}")));
                }
                at += count as u64;
            }
        }
        let len = file.metadata().map_err(Error::io(out))?.len();
        if metadata.tensors().len() != tensors.len() || data + lengths != len {
            return Err(wrong("it holds more than was planned".to_owned()));
        }
        self.check_sources()
    }
}

/// The header as the official crate reads it, and where the data starts.
fn read_header(file: &File) -> io::Result<Result<(Metadata, u64), String>> {
    let mut length = [0; 8];
    file.read_exact_at(&mut length, 0)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Ok(Err(format!("its header is said to have {length} bytes")));
    }
    let mut text = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut text, 8)?;
    let metadata = serde_json::from_slice(&text).map_err(|error| format!("its header is not valid: {error}"));
    Ok(metadata.map(|metadata| (metadata, length + 8)))
}
