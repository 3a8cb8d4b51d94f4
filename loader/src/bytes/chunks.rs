//! Tensors that are stored in parts (distributed checkpoints). Each part is a box of the index space of the tensor. The
//! boxes must cover it exactly once.

use crate::bounds::MAX_TENSOR_CHUNKS;
use crate::bytes::record::ByteRecord;
use crate::bytes::transform::Transform;
use std::io;
use std::sync::Arc;

/// A part of a tensor.
pub(crate) struct Chunk {
    /// Its first index in each dimension of the tensor.
    pub(crate) offsets: Vec<u64>,
    /// Its length in each dimension.
    pub(crate) sizes: Vec<u64>,
    /// Its elements.
    pub(crate) data: Contiguous,
}

/// Elements that follow each other in a record.
pub(crate) struct Contiguous {
    pub(crate) record: Arc<ByteRecord>,
    /// The first byte in the record.
    pub(crate) start: u64,
    /// Bytes of all elements.
    pub(crate) len: u64,
    /// Bytes of an element.
    pub(crate) element_size: u64,
    pub(crate) transform: Transform,
}

/// Why parts do not make up a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkError {
    /// The tensor has more bytes than fit in 64 bits.
    TooLarge,
    /// More parts than are compared with each other.
    TooMany {
        /// The number of parts.
        parts: usize,
    },
    /// A part has another number of dimensions than the tensor.
    Dimensions,
    /// A part reaches out of the tensor.
    OutOfBounds,
    /// The elements of a part do not follow each other in its record.
    NotContiguous,
    /// A part has more or fewer bytes than its box.
    Size,
    /// Two parts overlap.
    Overlap,
    /// Elements that no part holds.
    Missing {
        /// Elements of all parts.
        covered: u64,
        /// Elements of the tensor.
        total: u64,
    },
}

impl std::fmt::Display for ChunkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge => f.write_str("its size does not fit in 64 bits"),
            Self::TooMany { parts } => write!(f, "it has {parts} parts, more than {MAX_TENSOR_CHUNKS}"),
            Self::Dimensions => f.write_str("a part of it has other dimensions"),
            Self::OutOfBounds => f.write_str("a part of it stands outside of the whole"),
            Self::NotContiguous => f.write_str("a part of it is not stored in a row"),
            Self::Size => f.write_str("a part of it has another size than its place"),
            Self::Overlap => f.write_str("two parts of it overlap"),
            Self::Missing { covered, total } => write!(f, "its parts have {covered} of its {total} elements"),
        }
    }
}

/// Parts that cover a tensor exactly once: see [`ChunkedTensor::new`].
pub(crate) struct ChunkedTensor {
    shape: Vec<u64>,
    element_size: u64,
    element_count: u64,
    chunks: Vec<Chunk>,
}

impl ChunkedTensor {
    /// Checks that the parts lie in a tensor of this shape, do not overlap, and cover all of it. `element_size` is in bytes.
    ///
    /// # Errors
    /// The first check that fails.
    pub(crate) fn new(shape: Vec<u64>, element_size: u64, chunks: Vec<Chunk>) -> Result<Self, ChunkError> {
        let product = |sizes: &[u64]| sizes.iter().try_fold(1u64, |count, size| count.checked_mul(*size));
        let count = product(&shape).filter(|count| count.checked_mul(element_size).is_some());
        let total = count.ok_or(ChunkError::TooLarge)?;
        if chunks.len() > MAX_TENSOR_CHUNKS {
            return Err(ChunkError::TooMany { parts: chunks.len() });
        }
        let mut covered = 0u64;
        for (index, chunk) in chunks.iter().enumerate() {
            if chunk.offsets.len() != shape.len() || chunk.sizes.len() != shape.len() {
                return Err(ChunkError::Dimensions);
            }
            let ends = || chunk.offsets.iter().zip(&chunk.sizes).map(|(offset, size)| offset.checked_add(*size));
            if !ends().zip(&shape).all(|(end, size)| end.is_some_and(|end| end <= *size)) {
                return Err(ChunkError::OutOfBounds);
            }
            let size = product(&chunk.sizes).unwrap_or(u64::MAX);
            if chunk.data.len != size.saturating_mul(element_size) || chunk.data.element_size != element_size {
                return Err(ChunkError::Size);
            }
            let overlaps = |other: &&Chunk| {
                let dims = chunk.offsets.iter().zip(&chunk.sizes).zip(other.offsets.iter().zip(&other.sizes));
                !dims.into_iter().any(|((a, a_size), (b, b_size))| a + a_size <= *b || b + b_size <= *a)
            };
            if size > 0
                && chunks
                    .iter()
                    .take(index)
                    .filter(|other| other.sizes.iter().all(|n| *n > 0))
                    .any(|other| overlaps(&other))
            {
                return Err(ChunkError::Overlap);
            }
            covered = covered.saturating_add(size);
        }
        if covered != total {
            return Err(ChunkError::Missing { covered, total });
        }
        Ok(Self { shape, element_size, element_count: total, chunks })
    }

    /// Bytes of all elements.
    pub(crate) fn len(&self) -> u64 {
        self.element_count * self.element_size
    }

    /// Bytes of an element.
    pub(crate) fn element_size(&self) -> u64 {
        self.element_size
    }

    /// The record of the first part.
    pub(crate) fn first_record(&self) -> Option<&ByteRecord> {
        self.chunks.first().map(|chunk| chunk.data.record.as_ref())
    }

    /// Reads from the first element on.
    pub(crate) fn reader(&self) -> ChunkReader<'_> {
        ChunkReader { tensor: self, next_element: 0 }
    }
}

/// Reads the elements of a tensor from its parts, in the order of their indices.
pub(crate) struct ChunkReader<'a> {
    tensor: &'a ChunkedTensor,
    next_element: u64,
}

impl ChunkReader<'_> {
    /// Fills `buf`, whose length is a multiple of the element's, or the rest of the tensor. Returns the number of bytes.
    ///
    /// # Errors
    /// As [`Record::read_exact_at`].
    pub(crate) fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let element_size = self.tensor.element_size;
        let left = (self.tensor.element_count - self.next_element).saturating_mul(element_size);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let mut rest = buf.get_mut(..len).unwrap_or_default();
        while !rest.is_empty() {
            let (chunk, first, run) = self.locate().ok_or_else(|| io::Error::other("no part holds an element"))?;
            let count = run.min(rest.len() as u64 / element_size);
            let (part, after) = rest.split_at_mut(usize::try_from(count * element_size).unwrap_or(0));
            chunk.data.record.read_exact_at(chunk.data.start + first * element_size, part)?;
            chunk.data.transform.apply(part);
            self.next_element += count;
            rest = after;
        }
        Ok(len)
    }

    /// The part with the next element, the number of elements before it in that part, and the number of elements from it on
    /// that follow each other both in the part and in the tensor.
    fn locate(&self) -> Option<(&Chunk, u64, u64)> {
        let shape = &self.tensor.shape;
        let mut index = vec![0; shape.len()];
        let mut rest = self.next_element;
        for (position, size) in index.iter_mut().zip(shape).rev() {
            *position = rest % size;
            rest /= size;
        }
        let within = |chunk: &&Chunk| {
            let mut dims = index.iter().zip(chunk.offsets.iter().zip(&chunk.sizes));
            dims.all(|(at, (offset, size))| at >= offset && at - offset < *size)
        };
        let chunk = self.tensor.chunks.iter().find(within)?;
        let (mut first, mut run, mut full) = (0u64, 1u64, true);
        let dims = index.iter().zip(chunk.offsets.iter().zip(&chunk.sizes)).zip(shape);
        for ((at, (offset, size)), _) in dims.clone() {
            first = first * size + (at - offset);
        }
        // From the last dimension on: a run continues with the next index as long as the part is as wide as the tensor.
        let mut inner = 1u64;
        for ((at, (offset, size)), tensor_size) in dims.collect::<Vec<_>>().into_iter().rev() {
            if !full {
                break;
            }
            run = (size - (at - offset)) * inner - first % inner;
            full = size == tensor_size;
            inner *= size;
        }
        Some((chunk, first, run))
    }
}
