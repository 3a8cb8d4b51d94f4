//! Maps a file into memory, so that tensors are slices of it without a copy.
//!
//! This is the only file of the loader with unsafe code. Everything else reads: when a file gets shorter, access to a mapping
//! raises a signal, while a read returns an error.

use crate::open::Checkpoint;
use crate::plan::tensor_plan::PlannedTensor;
use memmap2::Mmap;
use std::borrow::Cow;
use std::io;

/// A cleared file that is mapped into memory.
pub struct MappedFile<'a> {
    checkpoint: &'a Checkpoint,
    map: Mmap,
}

impl Checkpoint {
    /// Maps the file into memory.
    ///
    /// # Safety
    /// While the mapping exists, no process may write to the file or truncate it. A write would change the slices. Access to a
    /// truncated part ends the process with `SIGBUS` (mmap(2)). Use [`Checkpoint::read`] where that is not certain.
    ///
    /// # Errors
    /// When the operating system cannot map the file, or the tensors are in several files.
    pub unsafe fn map(&self) -> io::Result<MappedFile<'_>> {
        let [examined] = self.examined.as_slice() else {
            return Err(io::Error::other("the tensors are in several files; read them"));
        };
        // JUSTIFICATION: no safe wrapper can guarantee that other processes do not change a file.
        // SAFETY: `Mmap::map` requires that the file does not change while it is mapped, which our caller guarantees. The
        // descriptor is open for reading as long as `self`, which the result borrows.
        let map = unsafe { Mmap::map(examined.file().file())? };
        Ok(MappedFile { checkpoint: self, map })
    }
}

impl<'a> MappedFile<'a> {
    /// The bytes of a tensor: a slice of the mapping if [`PlannedTensor::file_range`] gives one, else a copy that is read.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn get(&self, tensor: &PlannedTensor) -> io::Result<Cow<'_, [u8]>> {
        let slice = tensor.source.file_range().and_then(|(at, len)| {
            let (at, len) = (usize::try_from(at).ok()?, usize::try_from(len).ok()?);
            self.map.get(at..at.checked_add(len)?)
        });
        match slice {
            Some(slice) => Ok(Cow::Borrowed(slice)),
            None => self.checkpoint.read(tensor).map(Cow::Owned),
        }
    }

    /// The checkpoint that the file belongs to.
    pub fn checkpoint(&self) -> &'a Checkpoint {
        self.checkpoint
    }
}
