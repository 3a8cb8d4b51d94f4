//! 7z archives, through a decoder that knows all of their methods.
//!
//! Files are packed together in blocks, and the decoder pushes them to its caller. The readers of this crate pull, so a
//! thread unpacks a large file a few blocks ahead and ends with its reader.

use super::decoded::{DecodeStream, RestartableDecoder, decode_with};
use super::entry_name;
use super::{ArchiveEntry, OpenedEntry};
use crate::fact::{Deviation, Fact, Unread};
use crate::io::bounds::archive::{MAX_7Z_FACTS, MAX_7Z_KEPT_BYTES, MAX_7Z_KEPT_FILE_BYTES, MAX_7Z_WAITING_PIECES};
use crate::io::budget::ScanBudget;
use crate::io::source::{Memory, SharedSource, read_vec};
use sevenz_rust2::{Archive, BlockDecoder, Error, Password};
use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A 7z archive.
#[derive(Default)]
pub struct SevenZipArchive {
    /// Files with content, in the order in which they are packed.
    pub entries: Vec<SevenZipEntry>,
    /// Anomalies.
    pub facts: Vec<Fact>,
    /// What was not read.
    pub unread: Vec<Unread>,
    /// Where the archive ends.
    pub end: u64,
}

/// A file in a 7z archive.
pub struct SevenZipEntry {
    /// Its path.
    pub name: String,
    content: Option<SharedSource>,
    encrypted: bool,
    file_in_block: PackedFile,
}

/// A file in a block, and what is needed to unpack it.
#[derive(Clone)]
struct PackedFile {
    source: SharedSource,
    archive: Arc<Archive>,
    block: usize,
    file: usize,
    memory_kib: usize,
}

/// Bytes that the thread hands over at once, and how many such pieces may wait.
const CHUNK_BYTES: usize = 64 << 10;

impl SevenZipArchive {
    /// Reads the headers, and the small files in front of the large ones of each block.
    pub fn read(source: &SharedSource, budget: &ScanBudget) -> Self {
        let mut seven = Self { end: archive_end(source), ..Self::default() };
        let memory_kib = usize::try_from(budget.limits.decoder_memory >> 10).unwrap_or(usize::MAX);
        let mut cursor = SourceCursor::new(source.clone());
        let archive = match Archive::read_with_memory_limit(&mut cursor, &Password::empty(), memory_kib) {
            Ok(archive) => Arc::new(archive),
            Err(error) => {
                seven.unread.push(unread_reason(&error));
                return seven;
            }
        };
        if archive.files.len() > budget.limits.entries {
            seven.unread.push(Unread::Limit(format!("{} entries", archive.files.len())));
            return seven;
        }
        seven.check_names(&archive);
        let mut kept_budget = MAX_7Z_KEPT_BYTES;
        for block in 0..archive.blocks.len() {
            if budget.expired() {
                seven.unread.push(Unread::Limit("time ran out in a 7z archive".into()));
                break;
            }
            let packed = PackedFile { source: source.clone(), archive: archive.clone(), block, file: 0, memory_kib };
            seven.read_block(&packed, &mut kept_budget);
        }
        seven
    }

    fn check_names(&mut self, archive: &Archive) {
        let mut names = HashSet::new();
        for file in &archive.files {
            let name = file.name();
            if let Some(what) = entry_name::escape_reason(name) {
                self.facts.push(Fact::PathEscapes { path: name.into(), what: what.into() });
            }
            // Unix programs put the mode into the upper half.
            if file.has_windows_attributes && file.windows_attributes() >> 28 == 0xa {
                self.facts.push(Fact::PathEscapes { path: name.into(), what: "is a symbolic link".into() });
            }
            if !file.is_directory() && !names.insert(entry_name::normalized(name)) {
                let what = format!("two entries are named {name}");
                self.facts.push(Fact::ArchiveMismatch { what, deviation: Deviation::Wrong });
            }
            if self.facts.len() >= MAX_7Z_FACTS {
                return;
            }
        }
    }

    fn read_block(&mut self, packed: &PackedFile, kept_budget: &mut u64) {
        let password = Password::empty();
        let mut cursor = SourceCursor::new(packed.source.clone());
        let decoder = packed.decoder(&password, &mut cursor);
        let files: Vec<_> = decoder.entries().to_vec();
        // `is_file_encrypted` asks for the index among all files.
        let encrypted = files.first().is_some_and(|first| {
            let at = packed.archive.files.iter().position(|file| file.has_stream && file.name == first.name);
            at.is_some_and(|at| packed.archive.is_file_encrypted(at))
        });
        let mut kept = Vec::new();
        let outcome = decoder.for_each_entries(&mut |file, reader| {
            if encrypted || file.size > MAX_7Z_KEPT_FILE_BYTES.min(*kept_budget) {
                return Ok(false);
            }
            let mut content = Vec::new();
            reader.take(file.size.saturating_add(1)).read_to_end(&mut content)?;
            *kept_budget = kept_budget.saturating_sub(content.len() as u64);
            kept.push(content);
            Ok(true)
        });
        // A broken file fails again when it is opened, and the reason is stated then.
        drop(outcome);
        let mut kept = kept.into_iter();
        for (file, entry) in files.iter().enumerate() {
            let kept: Option<SharedSource> = kept.next().map(|content| Arc::new(Memory::new(content)) as SharedSource);
            if entry.has_stream() {
                let packed = PackedFile { file, ..packed.clone() };
                self.entries.push(SevenZipEntry {
                    name: entry.name.clone(),
                    content: kept,
                    encrypted,
                    file_in_block: packed,
                });
            }
        }
    }
}

impl PackedFile {
    fn decoder<'a>(&'a self, password: &'a Password, cursor: &'a mut SourceCursor) -> BlockDecoder<'a, SourceCursor> {
        BlockDecoder::new_with_memory_limit(1, self.memory_kib, self.block, &self.archive, password, cursor)
    }
}

impl ArchiveEntry for SevenZipEntry {
    fn open(&self, budget: &ScanBudget) -> OpenedEntry {
        if self.encrypted {
            return OpenedEntry { source: None, facts: Vec::new(), unread: Some(Unread::Encrypted) };
        }
        if let Some(kept) = &self.content {
            return OpenedEntry { source: Some(kept.clone()), facts: Vec::new(), unread: None };
        }
        decode_with(Arc::new(self.file_in_block.clone()), budget).opened
    }
}

impl RestartableDecoder for PackedFile {
    fn start(&self) -> Box<dyn DecodeStream> {
        let (sender, pieces) = sync_channel(MAX_7Z_WAITING_PIECES);
        let consumed = Arc::new(AtomicU64::new(0));
        let mut cursor = SourceCursor { taken: consumed.clone(), ..SourceCursor::new(self.source.clone()) };
        let packed = self.clone();
        let thread = std::thread::Builder::new().name("7z".into());
        // Without a thread the sender is dropped, which the reader takes for a failure.
        let _detached = thread.spawn(move || packed.push(&mut cursor, &sender));
        Box::new(ChunkReader { pieces, piece: Vec::new(), at: 0, ended: false, consumed })
    }

    fn name(&self) -> &'static str {
        "7z"
    }

    fn max_cursors(&self) -> usize {
        1
    }
}

/// What the thread sends: a piece, nothing more, or why it stopped.
type Chunk = Result<Option<Vec<u8>>, io::Error>;

impl PackedFile {
    fn push(&self, cursor: &mut SourceCursor, sender: &SyncSender<Chunk>) {
        let password = Password::empty();
        let mut turn = 0;
        let outcome = self.decoder(&password, cursor).for_each_entries(&mut |_, reader| {
            turn += 1;
            if turn <= self.file {
                return Ok(true);
            }
            loop {
                let mut piece = vec![0; CHUNK_BYTES];
                let count = reader.read(&mut piece)?;
                piece.truncate(count);
                let done = count == 0;
                if sender.send(Ok((!done).then_some(piece))).is_err() || done {
                    return Ok(false);
                }
            }
        });
        if let Err(error) = outcome {
            let kind = match &error {
                Error::MaxMemLimited { .. } => io::ErrorKind::OutOfMemory,
                Error::UnsupportedCompressionMethod(_) | Error::Unsupported(_) => io::ErrorKind::Unsupported,
                _ => io::ErrorKind::InvalidData,
            };
            // The reader may be gone.
            let _ = sender.send(Err(io::Error::new(kind, error.to_string())));
        }
    }
}

/// The reading side of the thread.
struct ChunkReader {
    pieces: Receiver<Chunk>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
    consumed: Arc<AtomicU64>,
}

impl Read for ChunkReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.piece.len() && !self.ended {
            let piece = self.pieces.recv().map_err(|_| io::Error::other("the decoder failed"))??;
            self.ended = piece.is_none();
            self.piece = piece.unwrap_or_default();
            self.at = 0;
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

impl DecodeStream for ChunkReader {
    fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }
}

/// A source as the decoder wants it.
struct SourceCursor {
    source: SharedSource,
    at: u64,
    taken: Arc<AtomicU64>,
}

impl SourceCursor {
    fn new(source: SharedSource) -> Self {
        Self { source, at: 0, taken: Arc::default() }
    }
}

impl Read for SourceCursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read_at(self.at, buf)?;
        self.at += count as u64;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Seek for SourceCursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.source.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

/// The end of the header at the end of the archive, whose offset the first 32 bytes name.
fn archive_end(source: &SharedSource) -> u64 {
    let end = read_vec(&**source, 12, 16).ok().and_then(|bytes| {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (size, _) = rest.split_first_chunk()?;
        32_u64.checked_add(u64::from_le_bytes(*offset))?.checked_add(u64::from_le_bytes(*size))
    });
    end.unwrap_or(u64::MAX)
}

fn unread_reason(error: &Error) -> Unread {
    match error {
        Error::PasswordRequired | Error::MaybeBadPassword(_) => Unread::Encrypted,
        Error::UnsupportedCompressionMethod(method) if method.contains("AES") => Unread::Encrypted,
        Error::UnsupportedCompressionMethod(_) | Error::Unsupported(_) => Unread::Unsupported(error.to_string()),
        Error::MaxMemLimited { .. } => Unread::Limit(error.to_string()),
        _ => Unread::Broken(error.to_string()),
    }
}
