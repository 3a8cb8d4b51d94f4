//! The numbers of one tensor, ready to be read in order: gathered, turned round, put together, cast.

use crate::bytes::cast::Cast;
use crate::bytes::chunks::{Chunks, Contiguous, Joining};
use crate::bytes::record::Record;
use crate::bytes::strided::{Gather, View};
use crate::bytes::transform::Transform;
use std::io;
use std::sync::Arc;

/// Where the numbers of a tensor come from.
#[derive(Clone)]
pub(crate) struct Data {
    kind: Kind,
    pub(crate) cast: Option<Cast>,
}

#[derive(Clone)]
enum Kind {
    View { record: Arc<Record>, view: View, transform: Transform },
    Chunks(Arc<Chunks>),
}

/// What tells that two tensors are the same bytes of the same storage.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Identity(usize, View, Transform);

impl Data {
    /// A view of a record.
    pub(crate) fn new(record: Arc<Record>, view: View, transform: Transform) -> Self {
        Self { kind: Kind::View { record, view, transform }, cast: None }
    }

    /// Parts of other records.
    pub(crate) fn joined(chunks: Chunks) -> Self {
        Self { kind: Kind::Chunks(Arc::new(chunks)), cast: None }
    }

    /// Bytes that come out.
    pub(crate) fn len(&self) -> u64 {
        let (len, item) = match &self.kind {
            Kind::View { view, .. } => (view.len(), view.item()),
            Kind::Chunks(chunks) => (chunks.len(), chunks.item()),
        };
        match self.cast {
            // More than fits is more than any plan allows.
            Some(cast) => (len / item.max(1)).saturating_mul(cast.to_size()),
            None => len,
        }
    }

    /// Bytes of an element that comes out.
    pub(crate) fn item(&self) -> u64 {
        match (&self.kind, self.cast) {
            (_, Some(cast)) => cast.to_size(),
            (Kind::View { view, .. }, None) => view.item(),
            (Kind::Chunks(chunks), None) => chunks.item(),
        }
    }

    /// The record and the place in it where reading starts.
    pub(crate) fn place(&self) -> (Option<&Record>, u64) {
        match &self.kind {
            Kind::View { record, view, .. } => (Some(record), view.start()),
            Kind::Chunks(chunks) => (chunks.first(), 0),
        }
    }

    /// What is read in this order is read forward.
    pub(crate) fn position(&self) -> u64 {
        let (record, at) = self.place();
        record.map_or(0, |record| record.in_file.unwrap_or_else(|| record.start()).saturating_add(at))
    }

    /// The range of the file that holds exactly these bytes, where one does.
    pub(crate) fn in_file(&self) -> Option<(u64, u64)> {
        let Kind::View { record, view, transform } = &self.kind else { return None };
        let plain = view.contiguous() && transform.is_nothing() && self.cast.is_none();
        let at = record.in_file.filter(|_| plain)?.checked_add(view.start())?;
        Some((at, view.len()))
    }

    /// A checksum of exactly these bytes as they are stored.
    pub(crate) fn crc32(&self) -> Option<u32> {
        let Kind::View { record, view, .. } = &self.kind else { return None };
        let all = view.contiguous() && view.start() == 0 && view.len() == record.len();
        record.crc32.filter(|_| all && self.plain())
    }

    fn plain(&self) -> bool {
        matches!(&self.kind, Kind::View { transform, .. } if transform.is_nothing()) && self.cast.is_none()
    }

    /// Equal for two tensors that are the same view of the same storage. Nothing is not the same as nothing.
    pub(crate) fn identity(&self) -> Option<Identity> {
        let Kind::View { record, view, transform } = &self.kind else { return None };
        // A record that nobody else holds is shared with nobody.
        (view.len() > 0 && Arc::strong_count(record) > 1)
            .then(|| Identity(Arc::as_ptr(record).addr(), view.clone(), *transform))
    }

    /// Starts reading.
    pub(crate) fn flow(&self) -> Flow<'_> {
        let kind = match &self.kind {
            Kind::View { record, view, transform } => Flowing::View(Gather::new(record, view), *transform),
            Kind::Chunks(chunks) => Flowing::Chunks(chunks.join()),
        };
        let item = match &self.kind {
            Kind::View { view, .. } => view.item(),
            Kind::Chunks(chunks) => chunks.item(),
        };
        Flow { kind, item, cast: self.cast, scratch: Vec::new() }
    }

    /// The elements, where they follow each other in one record and are not cast.
    pub(crate) fn contiguous(self) -> Option<Contiguous> {
        match self.kind {
            Kind::View { record, view, transform } if view.contiguous() && self.cast.is_none() => {
                Some(Contiguous { start: view.start(), len: view.len(), item: view.item(), record, transform })
            }
            Kind::View { .. } | Kind::Chunks(_) => None,
        }
    }
}

/// The numbers of a tensor in order.
pub(crate) struct Flow<'a> {
    kind: Flowing<'a>,
    item: u64,
    cast: Option<Cast>,
    scratch: Vec<u8>,
}

enum Flowing<'a> {
    View(Gather<'a>, Transform),
    Chunks(Joining<'a>),
}

impl Flow<'_> {
    /// Fills `buf`, whose length is a multiple of an element's, or what is left; gives how much, 0 at the end.
    ///
    /// # Errors
    /// When reading fails or the file got shorter.
    pub(crate) fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(cast) = self.cast else { return self.kind.fill(buf) };
        let elements = buf.len() as u64 / cast.to_size().max(1);
        let wanted = usize::try_from(elements.saturating_mul(self.item)).unwrap_or(0);
        self.scratch.resize(wanted, 0);
        let count = self.kind.fill(&mut self.scratch)?;
        cast.apply(self.scratch.get(..count).unwrap_or_default(), buf)
    }
}

impl Flowing<'_> {
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::View(gather, transform) => {
                let count = gather.fill(buf)?;
                if !transform.is_nothing() {
                    transform.apply(buf.get_mut(..count).unwrap_or_default());
                }
                Ok(count)
            }
            Self::Chunks(joining) => joining.fill(buf),
        }
    }
}
