//! Tensors without a copy: the file mapped, and each tensor a slice of it where it stands there as it is.
//!
//! The one place of the loader with unsafe code. Everything else reads: a mapping of a file that somebody cuts gives a
//! signal, where a read gives an error.

use crate::open::Checkpoint;
use crate::plan::tensor_plan::PlannedTensor;
use memmap2::Mmap;
use std::borrow::Cow;
use std::io;

/// A file that was cleared, mapped into memory.
pub struct MappedFile<'a> {
    checkpoint: &'a Checkpoint,
    map: Mmap,
}

impl Checkpoint {
    /// Maps the file, for tensors without a copy.
    ///
    /// # Safety
    /// As long as the mapping lives, nobody may write to the file or cut it, in this process or another: what is a slice
    /// here would change, and touching what is no longer there ends the process (`SIGBUS`, mmap(2)). Where that cannot be
    /// promised, [`Loaded::read`] is the way.
    ///
    /// # Errors
    /// When the operating system refuses, or the tensors are in several files.
    pub unsafe fn map(&self) -> io::Result<MappedFile<'_>> {
        let [examined] = self.examined.as_slice() else {
            return Err(io::Error::other("the tensors are in several files; read them"));
        };
        // JUSTIFICATION: no safe wrapper can promise that other processes leave a file alone.
        // SAFETY: `Mmap::map` demands a file that is not changed while it is mapped: our caller promises just that. The
        // descriptor is open for reading, and stays so as long as `self`, which the result borrows.
        let map = unsafe { Mmap::map(examined.file().file())? };
        Ok(MappedFile { checkpoint: self, map })
    }
}

impl<'a> MappedFile<'a> {
    /// The bytes of a tensor: borrowed where they stand in the file as they are, else read (deflated records, views that
    /// are not in a row, big-endian numbers).
    ///
    /// # Errors
    /// As [`Loaded::read`].
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

    /// The file.
    pub fn checkpoint(&self) -> &'a Checkpoint {
        self.checkpoint
    }
}
