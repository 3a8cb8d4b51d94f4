//! The numbers of one tensor, ready to be read in order: gathered, turned round, put together, cast.

use crate::bytes::cast::Cast;
use crate::bytes::chunks::{ChunkReader, ChunkedTensor, Contiguous};
use crate::bytes::record::Record;
use crate::bytes::strided::{View, ViewReader};
use crate::bytes::transform::Transform;
use std::io;
use std::sync::Arc;

/// Where the numbers of a tensor come from.
#[derive(Clone)]
pub(crate) struct TensorSource {
    origin: Origin,
    pub(crate) cast: Option<Cast>,
}

#[derive(Clone)]
enum Origin {
    View { record: Arc<Record>, view: View, transform: Transform },
    Chunks(Arc<ChunkedTensor>),
}

/// What tells that two tensors are the same bytes of the same storage.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Identity(usize, View, Transform);

impl TensorSource {
    /// A view of a record.
    pub(crate) fn from_view(record: Arc<Record>, view: View, transform: Transform) -> Self {
        Self { origin: Origin::View { record, view, transform }, cast: None }
    }

    /// Parts of other records.
    pub(crate) fn from_chunks(chunks: ChunkedTensor) -> Self {
        Self { origin: Origin::Chunks(Arc::new(chunks)), cast: None }
    }

    /// Bytes that come out.
    pub(crate) fn len(&self) -> u64 {
        let (len, item) = match &self.origin {
            Origin::View { view, .. } => (view.len(), view.element_size()),
            Origin::Chunks(chunks) => (chunks.len(), chunks.element_size()),
        };
        match self.cast {
            // More than fits is more than any plan allows.
            Some(cast) => (len / item.max(1)).saturating_mul(cast.target_size()),
            None => len,
        }
    }

    /// Bytes of an element that comes out.
    pub(crate) fn element_size(&self) -> u64 {
        match (&self.origin, self.cast) {
            (_, Some(cast)) => cast.target_size(),
            (Origin::View { view, .. }, None) => view.element_size(),
            (Origin::Chunks(chunks), None) => chunks.element_size(),
        }
    }

    /// The record and the place in it where reading starts.
    pub(crate) fn record_and_offset(&self) -> (Option<&Record>, u64) {
        match &self.origin {
            Origin::View { record, view, .. } => (Some(record), view.start()),
            Origin::Chunks(chunks) => (chunks.first_record(), 0),
        }
    }

    /// What is read in this order is read forward.
    pub(crate) fn read_position(&self) -> u64 {
        let (record, at) = self.record_and_offset();
        record.map_or(0, |record| record.file_offset.unwrap_or_else(|| record.start()).saturating_add(at))
    }

    /// The range of the file that holds exactly these bytes, where one does.
    pub(crate) fn file_range(&self) -> Option<(u64, u64)> {
        let Origin::View { record, view, transform } = &self.origin else { return None };
        let plain = view.is_contiguous() && transform.is_identity() && self.cast.is_none();
        let at = record.file_offset.filter(|_| plain)?.checked_add(view.start())?;
        Some((at, view.len()))
    }

    /// A checksum of exactly these bytes as they are stored.
    pub(crate) fn crc32(&self) -> Option<u32> {
        let Origin::View { record, view, .. } = &self.origin else { return None };
        let all = view.is_contiguous() && view.start() == 0 && view.len() == record.len();
        record.crc32.filter(|_| all && self.is_unchanged())
    }

    fn is_unchanged(&self) -> bool {
        matches!(&self.origin, Origin::View { transform, .. } if transform.is_identity()) && self.cast.is_none()
    }

    /// Equal for two tensors that are the same view of the same storage. Nothing is not the same as nothing.
    pub(crate) fn identity(&self) -> Option<Identity> {
        let Origin::View { record, view, transform } = &self.origin else { return None };
        // A record that nobody else holds is shared with nobody.
        (view.len() > 0 && Arc::strong_count(record) > 1)
            .then(|| Identity(Arc::as_ptr(record).addr(), view.clone(), *transform))
    }

    /// Starts reading.
    pub(crate) fn reader(&self) -> TensorReader<'_> {
        let kind = match &self.origin {
            Origin::View { record, view, transform } => ElementReader::View(ViewReader::new(record, view), *transform),
            Origin::Chunks(chunks) => ElementReader::Chunks(chunks.reader()),
        };
        let item = match &self.origin {
            Origin::View { view, .. } => view.element_size(),
            Origin::Chunks(chunks) => chunks.element_size(),
        };
        TensorReader { kind, element_size: item, cast: self.cast, scratch: Vec::new() }
    }

    /// The elements, where they follow each other in one record and are not cast.
    pub(crate) fn into_contiguous(self) -> Option<Contiguous> {
        match self.origin {
            Origin::View { record, view, transform } if view.is_contiguous() && self.cast.is_none() => {
                Some(Contiguous {
                    start: view.start(),
                    len: view.len(),
                    element_size: view.element_size(),
                    record,
                    transform,
                })
            }
            Origin::View { .. } | Origin::Chunks(_) => None,
        }
    }
}

/// The numbers of a tensor in order.
pub(crate) struct TensorReader<'a> {
    kind: ElementReader<'a>,
    element_size: u64,
    cast: Option<Cast>,
    scratch: Vec<u8>,
}

enum ElementReader<'a> {
    View(ViewReader<'a>, Transform),
    Chunks(ChunkReader<'a>),
}

impl TensorReader<'_> {
    /// Fills `buf`, whose length is a multiple of an element's, or what is left; gives how much, 0 at the end.
    ///
    /// # Errors
    /// When reading fails or the file got shorter.
    pub(crate) fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(cast) = self.cast else { return self.kind.fill(buf) };
        let elements = buf.len() as u64 / cast.target_size().max(1);
        let wanted = usize::try_from(elements.saturating_mul(self.element_size)).unwrap_or(0);
        self.scratch.resize(wanted, 0);
        let count = self.kind.fill(&mut self.scratch)?;
        cast.apply(self.scratch.get(..count).unwrap_or_default(), buf)
    }
}

impl ElementReader<'_> {
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::View(gather, transform) => {
                let count = gather.fill(buf)?;
                if !transform.is_identity() {
                    transform.apply(buf.get_mut(..count).unwrap_or_default());
                }
                Ok(count)
            }
            Self::Chunks(joining) => joining.fill(buf),
        }
    }
}
