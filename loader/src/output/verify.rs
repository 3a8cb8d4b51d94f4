//! Verifies a result: the safetensors crate must accept its header, and every byte must equal the source.

use crate::bounds::MAX_HEADER_BYTES;
use crate::error::{Error, VerifyError};
use crate::open::Checkpoint;
use crate::output::write::{COPY_BUFFER_BYTES, PendingFile, WriteOptions};
use safetensors::tensor::Metadata;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

impl Checkpoint {
    /// Compares a result with its source, byte by byte. `out` is its name in errors.
    ///
    /// # Errors
    /// [`Error::Verify`] for the first difference; other errors when reading fails, the source changed, or the comparison is
    /// stopped.
    pub fn verify(&self, written: &PendingFile, out: &Path, options: &WriteOptions<'_>) -> Result<(), Error> {
        let different = |reason| Error::Verify { path: out.to_owned(), reason };
        let file = written.temporary.reopen().map_err(Error::io(out))?;
        let (metadata, data) = read_header(&file).map_err(Error::io(out))?.map_err(different)?;
        let mut tensor_bytes = 0;
        let (mut expected, mut found) = (vec![0; COPY_BUFFER_BYTES], vec![0; COPY_BUFFER_BYTES]);
        let tensors = written.tensors.as_ref().unwrap_or(&self.plan.tensors);
        for tensor in tensors {
            let name = &tensor.name;
            let info = metadata.info(name).ok_or_else(|| different(VerifyError::Missing { name: name.clone() }))?;
            let (start, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
            let shape = info.shape.iter().map(|size| *size as u64);
            if Some(info.dtype) != tensor.dtype.safetensors()
                || !shape.eq(tensor.shape.iter().copied())
                || end - start != tensor.len()
            {
                return Err(different(VerifyError::TypeOrShape { name: name.clone() }));
            }
            tensor_bytes += end - start;
            let mut reader = tensor.source.reader();
            let mut offset = 0;
            let element_size = usize::try_from(tensor.source.element_size()).unwrap_or(1).max(1);
            let len = COPY_BUFFER_BYTES / element_size * element_size;
            while offset < tensor.len() {
                options.check_stop()?;
                let count = reader.fill(expected.get_mut(..len).unwrap_or_default()).map_err(Error::io(self.path()))?;
                let block = found.get_mut(..count).unwrap_or_default();
                file.read_exact_at(block, data + start + offset).map_err(Error::io(out))?;
                if count == 0 || expected.get(..count) != found.get(..count) {
                    return Err(different(VerifyError::Bytes { name: name.clone(), offset }));
                }
                offset += count as u64;
            }
        }
        let len = file.metadata().map_err(Error::io(out))?.len();
        if metadata.tensors().len() != tensors.len() || data + tensor_bytes != len {
            return Err(different(VerifyError::Surplus));
        }
        self.check_sources()
    }
}

/// The header as the safetensors crate reads it, and the offset of the data section.
fn read_header(file: &File) -> io::Result<Result<(Metadata, u64), VerifyError>> {
    let mut length = [0; 8];
    file.read_exact_at(&mut length, 0)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Ok(Err(VerifyError::HeaderLength { len: length }));
    }
    let mut text = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut text, 8)?;
    let metadata = serde_json::from_slice(&text).map_err(|error| VerifyError::Header(error.to_string()));
    Ok(metadata.map(|metadata| (metadata, length + 8)))
}
