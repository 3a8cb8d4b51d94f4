//! Strided views of a record, and a reader that returns their elements in the order of their indices. Memory is bounded
//! whatever the strides are.
//!
//! The reader has two strategies. *Rows*: it reads along the last dimension, with a read-ahead window where rows are close
//! to each other. *Transposed blocks*: where another dimension is contiguous in the record, it fills a block of rows at once
//! from runs along that dimension.

use crate::bytes::record::ByteRecord;
use std::io;

/// Bytes of a block of rows of a transposed view.
const BLOCK_BYTES: u64 = 8 << 20;
/// Bytes of the read-ahead window.
const WINDOW_BYTES: u64 = 64 << 10;
/// Runs with a larger distance than this many bytes are read one by one, without the window.
const MAX_WINDOW_GAP_BYTES: u64 = 8 << 10;
/// Blocks are used only for runs of at least this many bytes.
const MIN_RUN_BYTES: u64 = 64;

/// A strided view. It never reaches out of its record: see [`View::new`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StridedView {
    /// Bytes of an element.
    element_size: u64,
    /// Index of the first element.
    offset: u64,
    /// Number of elements.
    element_count: u64,
    /// Size and stride of each dimension in elements, the last one fastest. Adjacent dimensions that form one run are merged.
    dims: Vec<(u64, u64)>,
}

/// Why a view is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewError {
    /// The numbers of strides and of sizes differ.
    StrideCount,
    /// Its size in bytes does not fit in 64 bits.
    TooLarge,
    /// Its last element is outside of the storage.
    OutOfBounds,
}

impl std::fmt::Display for ViewError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::StrideCount => "it has another number of strides than of sizes",
            Self::TooLarge => "its size does not fit in 64 bits",
            Self::OutOfBounds => "its last element stands behind the end of its storage",
        })
    }
}

impl StridedView {
    /// A view of a storage of `limit` bytes. Shape, strides and offset are in elements of `element_size` bytes.
    ///
    /// # Errors
    /// When the view reaches out of the storage or is too large.
    pub(crate) fn new(
        element_size: u64,
        offset: u64,
        shape: &[u64],
        stride: &[u64],
        limit: u64,
    ) -> Result<Self, ViewError> {
        if shape.len() != stride.len() {
            return Err(ViewError::StrideCount);
        }
        let count = shape.iter().try_fold(1u64, |count, size| count.checked_mul(*size));
        let count = count.filter(|count| count.checked_mul(element_size).is_some()).ok_or(ViewError::TooLarge)?;
        if count == 0 {
            return Ok(Self { element_size, offset: 0, element_count: count, dims: vec![(0, 1)] });
        }
        let last = shape
            .iter()
            .zip(stride)
            .try_fold(offset, |last, (size, stride)| last.checked_add(size.checked_sub(1)?.checked_mul(*stride)?));
        let end = last.and_then(|last| last.checked_add(1)?.checked_mul(element_size)).ok_or(ViewError::TooLarge)?;
        if end > limit {
            return Err(ViewError::OutOfBounds);
        }
        let mut dims: Vec<(u64, u64)> = Vec::new();
        for (size, stride) in shape.iter().copied().zip(stride.iter().copied()).filter(|(size, _)| *size > 1) {
            match dims.last_mut() {
                Some((outer_size, outer_stride)) if size.checked_mul(stride) == Some(*outer_stride) => {
                    *outer_size *= size;
                    *outer_stride = stride;
                }
                _ => dims.push((size, stride)),
            }
        }
        if dims.is_empty() {
            dims.push((1, 1));
        }
        Ok(Self { element_size, offset, element_count: count, dims })
    }

    /// A view without gaps, the last index fastest; with `fortran` the first one.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn dense(element_size: u64, shape: &[u64], fortran: bool, limit: u64) -> Result<Self, ViewError> {
        let mut stride = vec![0; shape.len()];
        let mut step = 1u64;
        let mut fill = |index: usize| -> Option<()> {
            *stride.get_mut(index)? = step;
            step = step.checked_mul((*shape.get(index)?).max(1))?;
            Some(())
        };
        let filled = if fortran {
            (0..shape.len()).try_for_each(&mut fill)
        } else {
            (0..shape.len()).rev().try_for_each(&mut fill)
        };
        filled.ok_or(ViewError::TooLarge)?;
        Self::new(element_size, 0, shape, &stride, limit)
    }

    /// Bytes of all elements.
    pub(crate) fn len(&self) -> u64 {
        self.element_count * self.element_size
    }

    /// Bytes of an element.
    pub(crate) fn element_size(&self) -> u64 {
        self.element_size
    }

    /// Offset of the first byte in the record.
    pub(crate) fn start(&self) -> u64 {
        self.offset * self.element_size
    }

    /// Whether the elements follow each other without gaps, in the order of their indices.
    pub(crate) fn is_contiguous(&self) -> bool {
        matches!(self.dims.as_slice(), [(_, 1)] | [(0 | 1, _)])
    }
}

/// Reads the elements of a view in the order of their indices.
pub(crate) struct ViewReader<'a> {
    record: &'a ByteRecord,
    view: &'a StridedView,
    /// The next element.
    next_element: u64,
    window: Vec<u8>,
    window_start: u64,
    block: Vec<u8>,
    /// Index of the first element of the block.
    block_first_element: u64,
    transposed: Option<TransposedBlocks>,
}

/// How a transposed view is divided into blocks.
#[derive(Debug, Clone, Copy)]
struct TransposedBlocks {
    /// The dimension with stride 1.
    dim: usize,
    /// Elements of a row: the product of the sizes behind that dimension.
    trailing: u64,
    /// Rows of a block.
    rows_per_block: u64,
}

impl<'a> ViewReader<'a> {
    /// Reads from the first element on.
    pub(crate) fn new(record: &'a ByteRecord, view: &'a StridedView) -> Self {
        let transposed = transposed_blocks(view);
        Self {
            record,
            view,
            next_element: 0,
            window: Vec::new(),
            window_start: 0,
            block: Vec::new(),
            block_first_element: 0,
            transposed,
        }
    }

    /// Fills `buf`, whose length is a multiple of the element's, or the rest of the view. Returns the number of bytes.
    ///
    /// # Errors
    /// As [`Record::read_exact_at`].
    pub(crate) fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = (self.view.element_count - self.next_element).saturating_mul(self.view.element_size);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let buf = buf.get_mut(..len).unwrap_or_default();
        if self.view.is_contiguous() {
            self.record.read_exact_at((self.view.offset + self.next_element) * self.view.element_size, buf)?;
        } else if let Some(blocks) = self.transposed {
            self.read_blocks(blocks, buf)?;
        } else {
            self.read_rows(buf)?;
        }
        self.next_element += len as u64 / self.view.element_size;
        Ok(len)
    }

    /// Reads along the last dimension.
    fn read_rows(&mut self, buf: &mut [u8]) -> io::Result<()> {
        let (element_size, Some((size, stride))) = (self.view.element_size, self.view.dims.last().copied()) else {
            return Ok(());
        };
        let (mut next, mut rest) = (self.next_element, buf);
        while !rest.is_empty() {
            let (row, column) = (next / size, next % size);
            let first = self.element_index(row, self.view.dims.len() - 1) + column * stride;
            let count = (size - column).min(rest.len() as u64 / element_size);
            let (part, after) = rest.split_at_mut(usize::try_from(count * element_size).unwrap_or(0));
            if stride == 1 {
                let distance = self.view.dims.iter().rev().nth(1).map_or(u64::MAX, |(_, stride)| *stride);
                self.read_near(first * element_size, part, distance.saturating_mul(element_size))?;
            } else {
                let distance = stride.saturating_mul(element_size);
                for (index, element) in part.chunks_exact_mut(usize::try_from(element_size).unwrap_or(1)).enumerate() {
                    self.read_near((first + index as u64 * stride) * element_size, element, distance)?;
                }
            }
            next += count;
            rest = after;
        }
        Ok(())
    }

    /// Fills `buf` from offset `at`, by the window where the next read is at most a small `distance` (in bytes) away.
    fn read_near(&mut self, at: u64, buf: &mut [u8], distance: u64) -> io::Result<()> {
        if distance > MAX_WINDOW_GAP_BYTES || buf.len() as u64 > MAX_WINDOW_GAP_BYTES {
            return self.record.read_exact_at(at, buf);
        }
        let inside = |window_start: u64, window: &[u8]| {
            let start = usize::try_from(at.checked_sub(window_start)?).ok()?;
            Some(start..start.checked_add(buf.len()).filter(|end| *end <= window.len())?)
        };
        if inside(self.window_start, &self.window).is_none() {
            let len = WINDOW_BYTES.min(self.record.len().saturating_sub(at));
            self.window.resize(usize::try_from(len).unwrap_or(0), 0);
            self.record.read_exact_at(at, &mut self.window)?;
            self.window_start = at;
        }
        let found = inside(self.window_start, &self.window).and_then(|range| self.window.get(range));
        let found =
            found.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "read past the end of a record"))?;
        buf.copy_from_slice(found);
        Ok(())
    }

    /// The index in the record of the element whose first `dims` indices are those of row `index`, and whose others are 0.
    fn element_index(&self, mut index: u64, dims: usize) -> u64 {
        let mut at = self.view.offset;
        for (size, stride) in self.view.dims.get(..dims).unwrap_or_default().iter().rev() {
            at += index % size * stride;
            index /= size;
        }
        at
    }

    fn read_blocks(&mut self, blocks: TransposedBlocks, buf: &mut [u8]) -> io::Result<()> {
        let (mut next, mut rest) = (self.next_element, buf);
        while !rest.is_empty() {
            let skip = next.wrapping_sub(self.block_first_element).saturating_mul(self.view.element_size);
            let known = usize::try_from(skip).ok().and_then(|skip| self.block.get(skip..)).unwrap_or_default();
            if known.is_empty() || next < self.block_first_element {
                self.fill_block(blocks, next)?;
                continue;
            }
            let count = known.len().min(rest.len());
            let (part, after) = rest.split_at_mut(count);
            part.copy_from_slice(known.get(..count).unwrap_or_default());
            next += count as u64 / self.view.element_size;
            rest = after;
        }
        Ok(())
    }

    /// Fills a block with the rows from that of element `next` on.
    fn fill_block(&mut self, blocks: TransposedBlocks, next: u64) -> io::Result<()> {
        let TransposedBlocks { dim, trailing, rows_per_block: rows } = blocks;
        let (view, element_size) = (self.view, self.view.element_size);
        let size = view.dims.get(dim).map_or(1, |(size, _)| *size);
        let (row, lead) = (next / trailing % size, next / trailing / size);
        let rows = rows.min(size - row);
        let too_large = || io::Error::other("a block of rows that does not fit");
        let bytes = |count: u64| usize::try_from(count * element_size).map_err(|_| too_large());
        let (len, run_len, width) = (bytes(rows * trailing)?, bytes(rows)?, bytes(1)?);
        let mut block = std::mem::take(&mut self.block);
        block.resize(len, 0);
        let mut run = vec![0; run_len];
        let lead_at = self.element_index(lead, dim) + row;
        let inner_dims = view.dims.get(dim + 1..).unwrap_or_default();
        let distance = inner_dims.last().map_or(u64::MAX, |(_, stride)| stride.saturating_mul(element_size));
        for column in 0..trailing {
            let (mut index, mut at) = (column, lead_at);
            for (size, stride) in inner_dims.iter().rev() {
                at += index % size * stride;
                index /= size;
            }
            self.read_near(at * element_size, &mut run, distance)?;
            let start = bytes(column)?;
            let targets = block.get_mut(start..).unwrap_or_default().chunks_mut(bytes(trailing)?);
            for (target, element) in targets.zip(run.chunks_exact(width)) {
                target.get_mut(..width).ok_or_else(too_large)?.copy_from_slice(element);
            }
        }
        self.block = block;
        self.block_first_element = next / trailing * trailing;
        Ok(())
    }
}

fn transposed_blocks(view: &StridedView) -> Option<TransposedBlocks> {
    let (_, last) = view.dims.last()?;
    if last.saturating_mul(view.element_size) <= MIN_RUN_BYTES {
        return None;
    }
    let dim = view.dims.iter().position(|(_, stride)| *stride == 1)?;
    let (size, _) = view.dims.get(dim)?;
    let trailing: u64 = view.dims.get(dim + 1..)?.iter().map(|(size, _)| size).product();
    let rows = (BLOCK_BYTES / trailing.checked_mul(view.element_size)?.max(1)).min(*size);
    (rows == *size || rows * view.element_size >= MIN_RUN_BYTES).then_some(TransposedBlocks {
        dim,
        trailing,
        rows_per_block: rows,
    })
}

#[cfg(test)]
#[path = "strided_tests.rs"]
mod tests;
