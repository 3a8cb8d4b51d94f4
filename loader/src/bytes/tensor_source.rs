//! The elements of one tensor as a readable source: gathered from a strided view or from parts, byte-swapped to little
//! endian, cast.

use crate::bytes::cast::Cast;
use crate::bytes::chunks::{ChunkReader, ChunkedTensor, Contiguous};
use crate::bytes::record::ByteRecord;
use crate::bytes::strided::{StridedView, ViewReader};
use crate::bytes::transform::Transform;
use std::io;
use std::sync::Arc;

/// The records that hold the elements of a tensor, and what is done to them while they are read.
#[derive(Clone)]
pub(crate) struct TensorSource {
    origin: ByteOrigin,
    pub(crate) cast: Option<Cast>,
}

#[derive(Clone)]
enum ByteOrigin {
    View { record: Arc<ByteRecord>, view: StridedView, transform: Transform },
    Chunks(Arc<ChunkedTensor>),
}

/// Address of the record, view and transform: equal for tensors that share their elements.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Identity(usize, StridedView, Transform);

impl TensorSource {
    /// A tensor that is a view of a record.
    pub(crate) fn from_view(record: Arc<ByteRecord>, view: StridedView, transform: Transform) -> Self {
        Self { origin: ByteOrigin::View { record, view, transform }, cast: None }
    }

    /// A tensor that is stored in parts.
    pub(crate) fn from_chunks(chunks: ChunkedTensor) -> Self {
        Self { origin: ByteOrigin::Chunks(Arc::new(chunks)), cast: None }
    }

    /// Bytes of all elements as they are read, after a cast.
    pub(crate) fn len(&self) -> u64 {
        let (len, element_size) = match &self.origin {
            ByteOrigin::View { view, .. } => (view.len(), view.element_size()),
            ByteOrigin::Chunks(chunks) => (chunks.len(), chunks.element_size()),
        };
        match self.cast {
            // A plan refuses far smaller lengths.
            Some(cast) => (len / element_size.max(1)).saturating_mul(cast.target_size()),
            None => len,
        }
    }

    /// Bytes of an element as it is read, after a cast.
    pub(crate) fn element_size(&self) -> u64 {
        match (&self.origin, self.cast) {
            (_, Some(cast)) => cast.target_size(),
            (ByteOrigin::View { view, .. }, None) => view.element_size(),
            (ByteOrigin::Chunks(chunks), None) => chunks.element_size(),
        }
    }

    /// The record of the first element and the offset of that element in it.
    pub(crate) fn record_and_offset(&self) -> (Option<&ByteRecord>, u64) {
        match &self.origin {
            ByteOrigin::View { record, view, .. } => (Some(record), view.start()),
            ByteOrigin::Chunks(chunks) => (chunks.first_record(), 0),
        }
    }

    /// A key for sorting: tensors in this order are read forward through the file.
    pub(crate) fn read_position(&self) -> u64 {
        let (record, at) = self.record_and_offset();
        record.map_or(0, |record| record.file_offset.unwrap_or_else(|| record.start()).saturating_add(at))
    }

    /// Offset and length of the range of the file that equals the elements as they are read. `None` for records that are
    /// compressed or in memory, views with gaps, and elements that are changed or cast.
    pub(crate) fn file_range(&self) -> Option<(u64, u64)> {
        let ByteOrigin::View { record, view, transform } = &self.origin else { return None };
        let plain = view.is_contiguous() && transform.is_identity() && self.cast.is_none();
        let at = record.file_offset.filter(|_| plain)?.checked_add(view.start())?;
        Some((at, view.len()))
    }

    /// The CRC-32 that the archive gives for exactly the bytes that are read.
    pub(crate) fn crc32(&self) -> Option<u32> {
        let ByteOrigin::View { record, view, .. } = &self.origin else { return None };
        let whole_record = view.is_contiguous() && view.start() == 0 && view.len() == record.len();
        record.crc32.filter(|_| whole_record && self.is_unchanged())
    }

    fn is_unchanged(&self) -> bool {
        matches!(&self.origin, ByteOrigin::View { transform, .. } if transform.is_identity()) && self.cast.is_none()
    }

    /// Equal for tensors that are the same view of the same record. `None` where no other tensor can be equal: empty tensors
    /// are never tied.
    pub(crate) fn identity(&self) -> Option<Identity> {
        let ByteOrigin::View { record, view, transform } = &self.origin else { return None };
        // With one reference, no other tensor uses the record.
        (view.len() > 0 && Arc::strong_count(record) > 1)
            .then(|| Identity(Arc::as_ptr(record).addr(), view.clone(), *transform))
    }

    /// Reads from the first element on.
    pub(crate) fn reader(&self) -> TensorReader<'_> {
        let elements = match &self.origin {
            ByteOrigin::View { record, view, transform } => {
                ElementReader::View(ViewReader::new(record, view), *transform)
            }
            ByteOrigin::Chunks(chunks) => ElementReader::Chunks(chunks.reader()),
        };
        let element_size = match &self.origin {
            ByteOrigin::View { view, .. } => view.element_size(),
            ByteOrigin::Chunks(chunks) => chunks.element_size(),
        };
        TensorReader { elements, element_size, cast: self.cast, scratch: Vec::new() }
    }

    /// The elements as one run of a record. `None` for parts, views with gaps and casts.
    pub(crate) fn into_contiguous(self) -> Option<Contiguous> {
        match self.origin {
            ByteOrigin::View { record, view, transform } if view.is_contiguous() && self.cast.is_none() => {
                Some(Contiguous {
                    start: view.start(),
                    len: view.len(),
                    element_size: view.element_size(),
                    record,
                    transform,
                })
            }
            ByteOrigin::View { .. } | ByteOrigin::Chunks(_) => None,
        }
    }
}

/// Reads the elements of a tensor in the order of their indices, little-endian.
pub(crate) struct TensorReader<'a> {
    elements: ElementReader<'a>,
    /// Bytes of an element before a cast.
    element_size: u64,
    cast: Option<Cast>,
    scratch: Vec<u8>,
}

enum ElementReader<'a> {
    View(ViewReader<'a>, Transform),
    Chunks(ChunkReader<'a>),
}

impl TensorReader<'_> {
    /// Fills `buf`, whose length is a multiple of the element's, or the rest of the tensor. Returns the number of bytes, 0 at
    /// the end.
    ///
    /// # Errors
    /// When reading fails, the file got shorter, or a cast is not part of this build.
    pub(crate) fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(cast) = self.cast else { return self.elements.fill(buf) };
        let count = buf.len() as u64 / cast.target_size().max(1);
        let len = usize::try_from(count.saturating_mul(self.element_size)).unwrap_or(0);
        self.scratch.resize(len, 0);
        let count = self.elements.fill(&mut self.scratch)?;
        cast.apply(self.scratch.get(..count).unwrap_or_default(), buf)
    }
}

impl ElementReader<'_> {
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::View(reader, transform) => {
                let count = reader.fill(buf)?;
                if !transform.is_identity() {
                    transform.apply(buf.get_mut(..count).unwrap_or_default());
                }
                Ok(count)
            }
            Self::Chunks(reader) => reader.fill(buf),
        }
    }
}
