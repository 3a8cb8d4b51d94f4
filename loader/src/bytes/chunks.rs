//! A tensor that was saved in parts, each with its place in the whole: boxes that fill a box exactly.

use crate::bounds::MAX_TENSOR_CHUNKS;
use crate::bytes::record::Record;
use crate::bytes::transform::Transform;
use std::io;
use std::sync::Arc;

/// A part.
pub(crate) struct Chunk {
    /// The first index of it in each dimension of the whole.
    pub(crate) offsets: Vec<u64>,
    /// Its shape.
    pub(crate) sizes: Vec<u64>,
    /// Its elements.
    pub(crate) data: Contiguous,
}

/// Elements that follow each other in a record.
pub(crate) struct Contiguous {
    pub(crate) record: Arc<Record>,
    /// The first byte in the record.
    pub(crate) start: u64,
    /// Bytes of all elements.
    pub(crate) len: u64,
    /// Bytes of an element.
    pub(crate) element_size: u64,
    pub(crate) transform: Transform,
}

/// Parts that make up a whole: see [`Chunks::new`].
pub(crate) struct ChunkedTensor {
    shape: Vec<u64>,
    element_size: u64,
    element_count: u64,
    chunks: Vec<Chunk>,
}

impl ChunkedTensor {
    /// Checks that the parts lie in the whole, do not overlap, and leave nothing out.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn new(shape: Vec<u64>, item: u64, chunks: Vec<Chunk>) -> Result<Self, String> {
        let product = |sizes: &[u64]| sizes.iter().try_fold(1u64, |count, size| count.checked_mul(*size));
        let count = product(&shape).filter(|count| count.checked_mul(item).is_some());
        let count = count.ok_or("its size does not fit in 64 bits")?;
        if chunks.len() > MAX_TENSOR_CHUNKS {
            return Err(format!("it has {} parts, more than {MAX_TENSOR_CHUNKS}", chunks.len()));
        }
        let mut covered = 0u64;
        for (index, chunk) in chunks.iter().enumerate() {
            if chunk.offsets.len() != shape.len() || chunk.sizes.len() != shape.len() {
                return Err("a part of it has other dimensions".to_owned());
            }
            let ends = || chunk.offsets.iter().zip(&chunk.sizes).map(|(offset, size)| offset.checked_add(*size));
            if !ends().zip(&shape).all(|(end, size)| end.is_some_and(|end| end <= *size)) {
                return Err("a part of it stands outside of the whole".to_owned());
            }
            let size = product(&chunk.sizes).unwrap_or(u64::MAX);
            if chunk.data.len != size.saturating_mul(item) || chunk.data.element_size != item {
                return Err("a part of it has another size than its place".to_owned());
            }
            let parted = |other: &&Chunk| {
                let dims = chunk.offsets.iter().zip(&chunk.sizes).zip(other.offsets.iter().zip(&other.sizes));
                !dims.into_iter().any(|((a, a_size), (b, b_size))| a + a_size <= *b || b + b_size <= *a)
            };
            if size > 0
                && chunks.iter().take(index).filter(|other| other.sizes.iter().all(|n| *n > 0)).any(|c| parted(&c))
            {
                return Err("two parts of it overlap".to_owned());
            }
            covered = covered.saturating_add(size);
        }
        if covered != count {
            return Err(format!("its parts have {covered} of its {count} elements"));
        }
        Ok(Self { shape, element_size: item, element_count: count, chunks })
    }

    /// Bytes of the whole.
    pub(crate) fn len(&self) -> u64 {
        self.element_count * self.element_size
    }

    /// Bytes of an element.
    pub(crate) fn element_size(&self) -> u64 {
        self.element_size
    }

    /// The record of the first part.
    pub(crate) fn first_record(&self) -> Option<&Record> {
        self.chunks.first().map(|chunk| chunk.data.record.as_ref())
    }

    /// Starts reading the whole.
    pub(crate) fn reader(&self) -> ChunkReader<'_> {
        ChunkReader { tensor: self, next_element: 0 }
    }
}

/// Reads a whole from its parts.
pub(crate) struct ChunkReader<'a> {
    tensor: &'a ChunkedTensor,
    next_element: u64,
}

impl ChunkReader<'_> {
    /// Fills `buf`, or what is left; gives how much.
    pub(crate) fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let item = self.tensor.element_size;
        let left =
            usize::try_from((self.tensor.element_count - self.next_element).saturating_mul(item)).unwrap_or(usize::MAX);
        let wanted = left.min(buf.len());
        let mut rest = buf.get_mut(..wanted).unwrap_or_default();
        while !rest.is_empty() {
            let (chunk, first, run) =
                self.locate().ok_or_else(|| io::Error::other("an element that stands in no part"))?;
            let count = run.min(rest.len() as u64 / item);
            let (part, after) = rest.split_at_mut(usize::try_from(count * item).unwrap_or(0));
            chunk.data.record.read_exact_at(chunk.data.start + first * item, part)?;
            chunk.data.transform.apply(part);
            self.next_element += count;
            rest = after;
        }
        Ok(wanted)
    }

    /// The part that has the next element, its index there, and how many follow each other there and in the whole.
    fn locate(&self) -> Option<(&Chunk, u64, u64)> {
        let shape = &self.tensor.shape;
        let mut index = vec![0; shape.len()];
        let mut rest = self.next_element;
        for (place, size) in index.iter_mut().zip(shape).rev() {
            *place = rest % size;
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
        // From the last dimension on, as long as the part is as wide as the whole, a run goes on to the next index.
        let mut behind = 1u64;
        for ((at, (offset, size)), whole) in dims.collect::<Vec<_>>().into_iter().rev() {
            if !full {
                break;
            }
            run = (size - (at - offset)) * behind - first % behind;
            full = size == whole;
            behind *= size;
        }
        Some((chunk, first, run))
    }
}
