//! Writes a result: the header, then every tensor in the order of the plan, through one buffer. The result gets its name
//! when it is complete and on the disk.

use crate::error::Error;
use crate::open::Checkpoint;
use crate::output::hash::HashTask;
use crate::output::reflink::ShareError;
use crate::plan::draft::Refused;
use crate::plan::header;
use crate::plan::tensor_plan::{ALIGNMENT_BYTES, METADATA_SOURCE_SHA256, PlannedTensor};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::NamedTempFile;

/// Bytes of one read and one write. On ext4, writes of 1 MiB took more than twice the processor time.
pub(crate) const COPY_BUFFER_BYTES: usize = 256 << 10;

/// Receives the progress of a copy.
pub trait Progress: Sync {
    /// Called after each write with the number of bytes written.
    fn written(&self, bytes: u64);
    /// Called with a message for the user.
    fn note(&self, text: &str);
}

/// How a result is written.
#[derive(Default, Clone)]
pub struct WriteOptions<'a> {
    /// Compute the SHA-256 of each source and of the result.
    pub sha256: bool,
    /// Share blocks with the source where the file system can, instead of copying.
    pub reflink: bool,
    /// Receives the progress.
    pub progress: Option<&'a dyn Progress>,
    /// The copy stops with [`Error::Interrupted`] as soon as this is set.
    pub stop: Option<Arc<AtomicBool>>,
}

/// A complete result under a temporary name, which is deleted on drop. [`PendingFile::persist`] gives it its name.
pub struct PendingFile {
    pub(crate) temporary: NamedTempFile,
    /// Length in bytes.
    pub len: u64,
    /// The SHA-256, with `WriteOptions::sha256`.
    pub sha256: Option<String>,
    /// The SHA-256 of each source, with `WriteOptions::sha256`.
    pub source_sha256: Option<Vec<String>>,
    /// All tensors of the file, where it has more than the plan.
    pub(crate) tensors: Option<Vec<PlannedTensor>>,
}

impl WriteOptions<'_> {
    fn note(&self, text: &str) {
        if let Some(progress) = self.progress {
            progress.note(text);
        }
    }

    /// Fails when `stop` is set.
    pub(crate) fn check_stop(&self) -> Result<(), Error> {
        let stop = self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        if stop { Err(Error::Interrupted) } else { Ok(()) }
    }
}

impl Checkpoint {
    /// Writes all tensors into a temporary file in the folder of `out` and syncs it.
    ///
    /// # Errors
    /// When reading or writing fails, the source changed meanwhile, or its bytes do not have their checksums. No file is left
    /// behind then.
    pub fn write(&self, out: &Path, options: &WriteOptions<'_>) -> Result<PendingFile, Error> {
        let temporary = temporary_file(out).map_err(Error::io(out))?;
        let file = temporary.as_file();
        let mut shared = None;
        if options.reflink {
            let hash = options.sha256.then(|| self.hash_sources(options)).transpose()?;
            match self.share_blocks(file, hash.as_ref().and_then(|hashes| hashes.first().cloned())) {
                Ok((len, tensors)) => shared = Some((len, hash, tensors)),
                Err(ShareError::Failed(error)) => return Err(Error::io(out)(error)),
                Err(ShareError::Unsuitable(reason)) => {
                    options.note(&format!("{}: copied, for {reason}", out.display()));
                }
                Err(ShareError::Unsupported(error)) => {
                    options.note(&format!("{}: copied, for the file system shares no blocks: {error}", out.display()));
                }
            }
        }
        let (len, source_sha256, tensors) = match shared {
            Some((len, hashes, tensors)) => (len, hashes, Some(tensors)),
            None => {
                let (len, hashes) = self.copy_tensors(out, file, options)?;
                (len, hashes, None)
            }
        };
        self.check_sources()?;
        // The hash reads from the page cache while the disk is written.
        let start_hash = || temporary.reopen().and_then(|file| HashTask::of_file(file, options.stop.clone()));
        let task = options.sha256.then(start_hash);
        file.sync_all().map_err(Error::io(out))?;
        let hash = task.map(|task| task.and_then(HashTask::finish)).transpose();
        options.check_stop()?;
        let sha256 = hash.map_err(Error::io(out))?;
        Ok(PendingFile { temporary, len, sha256, source_sha256, tensors })
    }

    /// Copies header and tensors. Returns the length in bytes and the hashes of the sources.
    fn copy_tensors(
        &self,
        out: &Path,
        file: &File,
        options: &WriteOptions<'_>,
    ) -> Result<(u64, Option<Vec<String>>), Error> {
        let sources = options.sha256.then(|| self.start_source_hashes(options));
        // The hashes are known after the copy. Until then, the header has placeholders of the same length.
        let placeholders = vec!["0".repeat(64); self.examined.len()];
        let header = self.header_with_hashes(sources.as_ref().map(|_| placeholders.as_slice()))?;
        let len = header.len() as u64 + self.plan.len;
        reserve(file, len).map_err(Error::io(out))?;
        let buffer = vec![0; COPY_BUFFER_BYTES];
        let mut copy = Copier { checkpoint: self, out, file, options, buffer, filled: 0 };
        copy.append(&header)?;
        self.plan.tensors.iter().try_for_each(|tensor| copy.tensor(tensor))?;
        copy.flush()?;
        let Some(sources) = sources else { return Ok((len, None)) };
        let hashes = self.finish_hashes(sources, options)?;
        file.write_all_at(&self.header_with_hashes(Some(&hashes))?, 0).map_err(Error::io(out))?;
        Ok((len, Some(hashes)))
    }

    fn start_source_hashes(&self, options: &WriteOptions<'_>) -> Vec<HashTask> {
        self.examined.iter().map(|examined| HashTask::of_source(examined.source(), options.stop.clone())).collect()
    }

    fn finish_hashes(&self, tasks: Vec<HashTask>, options: &WriteOptions<'_>) -> Result<Vec<String>, Error> {
        let hashes: io::Result<Vec<String>> = tasks.into_iter().map(HashTask::finish).collect();
        options.check_stop()?;
        hashes.map_err(Error::io(&self.path))
    }

    fn hash_sources(&self, options: &WriteOptions<'_>) -> Result<Vec<String>, Error> {
        self.finish_hashes(self.start_source_hashes(options), options)
    }

    /// The header, with the hashes of the sources in its metadata.
    fn header_with_hashes(&self, hashes: Option<&[String]>) -> Result<Vec<u8>, Error> {
        let mut metadata = self.plan.metadata.clone();
        match hashes {
            Some([hash]) => _ = metadata.insert(METADATA_SOURCE_SHA256.to_owned(), hash.clone()),
            Some(hashes) => {
                let names = self.examined.iter().map(|examined| examined.report().path.as_str());
                let names: BTreeMap<&str, &String> = names.zip(hashes).collect();
                metadata.insert(METADATA_SOURCE_SHA256.to_owned(), serde_json::to_string(&names).unwrap_or_default());
            }
            None => {}
        }
        header::write(&self.plan.tensors, &metadata, ALIGNMENT_BYTES)
            .map_err(|error| Error::NotConvertible(vec![Refused { name: String::new(), why: error.into() }]))
    }

    /// Checks that the sources are still the files that were scanned.
    ///
    /// # Errors
    /// [`Error::Changed`] when length or times differ.
    pub(crate) fn check_sources(&self) -> Result<(), Error> {
        for examined in &self.examined {
            if !examined.unchanged().map_err(Error::io(&self.path))? {
                return Err(Error::Changed(examined.report().path.clone().into()));
            }
        }
        Ok(())
    }
}

impl PendingFile {
    /// Gives the result the name `out`. `replace` allows it to replace a file of that name.
    ///
    /// # Errors
    /// When the name is taken and `replace` is not set, or renaming fails. No file is left behind then.
    pub fn persist(self, out: &Path, replace: bool) -> Result<(), Error> {
        let done = if replace { self.temporary.persist(out) } else { self.temporary.persist_noclobber(out) };
        done.map_err(|error| Error::io(out)(error.error))?;
        sync_folder(out);
        Ok(())
    }
}

/// Syncs the folder, so that the name survives a crash. File systems that cannot do so are ignored.
fn sync_folder(out: &Path) {
    if let Ok(folder) = File::open(parent_folder(out)) {
        _ = folder.sync_all();
    }
}

fn parent_folder(out: &Path) -> &Path {
    out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A hidden file in the folder of `out`, deleted on drop.
pub(crate) fn temporary_file(out: &Path) -> io::Result<NamedTempFile> {
    let name = out.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a file"))?;
    let prefix = format!(".{}.", name.to_string_lossy().chars().take(40).collect::<String>());
    // The umask applies, as to any new file.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".partial").permissions(mode).tempfile_in(parent_folder(out))
}

/// Allocates the disk space, so that a full disk is found before the copy. File systems that cannot do so are ignored.
fn reserve(file: &File, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    if len == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Copies through one buffer, which `filled` bytes are in.
struct Copier<'a> {
    checkpoint: &'a Checkpoint,
    out: &'a Path,
    file: &'a File,
    options: &'a WriteOptions<'a>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Copier<'_> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for part in bytes.chunks(COPY_BUFFER_BYTES) {
            if self.filled + part.len() > COPY_BUFFER_BYTES {
                self.flush()?;
            }
            let end = self.filled + part.len();
            self.buffer.get_mut(self.filled..end).unwrap_or_default().copy_from_slice(part);
            self.filled = end;
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: &PlannedTensor) -> Result<(), Error> {
        let element_size = usize::try_from(tensor.source.element_size()).unwrap_or(1).max(1);
        let mut crc32 = tensor.source.crc32().map(|expected| (crc32fast::Hasher::new(), expected));
        let mut reader = tensor.source.reader();
        let mut left = tensor.len();
        while left > 0 {
            let free = (COPY_BUFFER_BYTES - self.filled) / element_size * element_size;
            let len = free.min(usize::try_from(left).unwrap_or(usize::MAX));
            if len == 0 {
                self.flush()?;
                continue;
            }
            let chunk = self.buffer.get_mut(self.filled..self.filled + len).unwrap_or_default();
            let count = reader.fill(chunk).map_err(Error::io(self.checkpoint.path()))?;
            if count == 0 {
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than when it was opened");
                return Err(Error::io(self.checkpoint.path())(error));
            }
            if let Some((hasher, _)) = &mut crc32 {
                hasher.update(chunk.get(..count).unwrap_or_default());
            }
            self.filled += count;
            left = left.saturating_sub(count as u64);
        }
        match crc32.map(|(hasher, expected)| hasher.finalize() == expected) {
            Some(false) => {
                let member = tensor.member().unwrap_or_default().to_owned();
                Err(Error::Damaged { path: self.checkpoint.path().to_owned(), member })
            }
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.options.check_stop()?;
        let full = self.buffer.get(..self.filled).unwrap_or_default();
        self.file.write_all(full).map_err(Error::io(self.out))?;
        if let Some(progress) = self.options.progress {
            progress.written(self.filled as u64);
        }
        self.filled = 0;
        Ok(())
    }
}
