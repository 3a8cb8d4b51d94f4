//! The copy: header, then every tensor in the order of the plan, through one buffer. The result appears under its name
//! when it is whole and on the disk, or not at all.

use crate::error::Error;
use crate::open::Checkpoint;
use crate::output::hash::HashTask;
use crate::output::reflink::ShareError;
use crate::plan::draft::Refused;
use crate::plan::tensor_plan::{ALIGNMENT_BYTES, METADATA_SOURCE_SHA256, PlannedTensor};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::NamedTempFile;

/// Bytes that are read and written at once. On ext4, writes of 1 MiB took more than twice the processor time of these.
pub(crate) const COPY_BUFFER_BYTES: usize = 256 << 10;

/// Is told how far the copy is.
pub trait Progress: Sync {
    /// So many more bytes are written.
    fn written(&self, bytes: u64);
    /// Something that the user should know.
    fn note(&self, text: &str);
}

/// How the copy is made.
#[derive(Default, Clone)]
pub struct WriteOptions<'a> {
    /// Hash the source and the result.
    pub sha256: bool,
    /// Share the blocks of the source where the file system can.
    pub reflink: bool,
    /// Who wants to know how far it is.
    pub progress: Option<&'a dyn Progress>,
    /// Set by somebody who wants it to stop.
    pub stop: Option<Arc<AtomicBool>>,
}

/// A result that is whole, and not yet under its name.
pub struct PendingFile {
    pub(crate) temporary: NamedTempFile,
    /// Its bytes.
    pub len: u64,
    /// Its SHA-256.
    pub sha256: Option<String>,
    /// The SHA-256 of each file that the tensors come from.
    pub source_sha256: Option<Vec<String>>,
    /// All tensors of it, where there are more than were planned.
    pub(crate) tensors: Option<Vec<PlannedTensor>>,
}

impl WriteOptions<'_> {
    fn note(&self, text: &str) {
        if let Some(progress) = self.progress {
            progress.note(text);
        }
    }

    /// Stops where somebody asked for it.
    pub(crate) fn check_stop(&self) -> Result<(), Error> {
        let stop = self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        if stop { Err(Error::Interrupted) } else { Ok(()) }
    }
}

impl Checkpoint {
    /// Writes all tensors into a file in the folder of `out`, whole and synced, but not yet under that name.
    ///
    /// # Errors
    /// When reading or writing fails, the source changed meanwhile, or its numbers are not those of its checksums. Nothing
    /// is left behind then.
    pub fn write(&self, out: &Path, options: &WriteOptions<'_>) -> Result<PendingFile, Error> {
        let file = temporary_file(out).map_err(Error::io(out))?;
        let mut shared = None;
        if options.reflink {
            let hash = options.sha256.then(|| self.hash_sources(options)).transpose()?;
            match self.share_blocks(file.as_file(), hash.as_ref().and_then(|hashes| hashes.first().cloned())) {
                Ok((len, tensors)) => shared = Some((len, hash, tensors)),
                Err(ShareError::Failed(error)) => return Err(Error::io(out)(error)),
                Err(ShareError::Unsuitable(why)) => options.note(&format!("{}: copied, for {why}", out.display())),
                Err(ShareError::Unsupported(error)) => {
                    options.note(&format!("{}: copied, for the file system shares no blocks: {error}", out.display()));
                }
            }
        }
        let (len, source_sha256, filled) = match shared {
            Some((len, hashes, tensors)) => (len, hashes, Some(tensors)),
            None => {
                let (len, hashes) = self.copy_tensors(out, file.as_file(), options)?;
                (len, hashes, None)
            }
        };
        self.check_sources()?;
        // Hashing reads what is still in memory while the disk takes it.
        let hashing = options.sha256.then(|| file.reopen().map(|file| HashTask::of_file(file, options.stop.clone())));
        file.as_file().sync_all().map_err(Error::io(out))?;
        let hashed = hashing.map(|hashing| hashing.and_then(HashTask::finish)).transpose();
        let sha256 = hashed.map_err(Error::io(out))?;
        options.check_stop()?;
        Ok(PendingFile { temporary: file, len, sha256, source_sha256, tensors: filled })
    }

    /// Copies header and tensors; gives the length and the hashes of the sources.
    fn copy_tensors(
        &self,
        out: &Path,
        file: &File,
        options: &WriteOptions<'_>,
    ) -> Result<(u64, Option<Vec<String>>), Error> {
        let sources = options.sha256.then(|| self.start_source_hashes(options));
        // The hashes are known when all is copied: until then something of their length holds their place.
        let unknown = vec!["0".repeat(64); self.examined.len()];
        let header = self.header_with_hashes(sources.as_ref().map(|_| unknown.as_slice()))?;
        let len = header.len() as u64 + self.plan.len;
        reserve(file, len).map_err(Error::io(out))?;
        let buffer = vec![0; COPY_BUFFER_BYTES];
        let mut copy = Copier { loaded: self, out, file, options, buffer, filled: 0 };
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

    fn finish_hashes(&self, hashings: Vec<HashTask>, options: &WriteOptions<'_>) -> Result<Vec<String>, Error> {
        let hashes: io::Result<Vec<String>> = hashings.into_iter().map(HashTask::finish).collect();
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
        let refused = |why| Error::NotConvertible(vec![Refused { name: String::new(), why }]);
        crate::plan::header::write(&self.plan.tensors, &metadata, ALIGNMENT_BYTES).map_err(refused)
    }

    /// The files are still those that were judged.
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
    /// Gives the result its name. An older file of that name is replaced only where `replace` says so.
    ///
    /// # Errors
    /// When there is one, or the operating system refuses. Nothing is left behind then.
    pub fn persist(self, out: &Path, replace: bool) -> Result<(), Error> {
        let done = if replace { self.temporary.persist(out) } else { self.temporary.persist_noclobber(out) };
        done.map_err(|error| Error::io(out)(error.error))?;
        sync_folder(out);
        Ok(())
    }
}

/// A name lasts when its folder is on the disk. Not all file systems let that be asked for.
fn sync_folder(out: &Path) {
    if let Ok(folder) = File::open(parent_folder(out)) {
        _ = folder.sync_all();
    }
}

fn parent_folder(out: &Path) -> &Path {
    out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file beside the one that is meant, hidden, and gone when it is dropped.
pub(crate) fn temporary_file(out: &Path) -> io::Result<NamedTempFile> {
    let name = out.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a file"))?;
    let prefix = format!(".{}.", name.to_string_lossy().chars().take(40).collect::<String>());
    // As any new file: what the user's mask leaves of it.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".partial").permissions(mode).tempfile_in(parent_folder(out))
}

/// Takes the room on the disk at once, so that a full one is noticed before hours of copying.
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

struct Copier<'a> {
    loaded: &'a Checkpoint,
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
        let item = usize::try_from(tensor.source.element_size()).unwrap_or(1).max(1);
        let mut crc32 = tensor.source.crc32().map(|wanted| (crc32fast::Hasher::new(), wanted));
        let mut flow = tensor.source.reader();
        let mut left = tensor.len();
        while left > 0 {
            let room = (COPY_BUFFER_BYTES - self.filled) / item * item;
            let wanted = room.min(usize::try_from(left).unwrap_or(usize::MAX));
            if wanted == 0 {
                self.flush()?;
                continue;
            }
            let place = self.buffer.get_mut(self.filled..self.filled + wanted).unwrap_or_default();
            let count = flow.fill(place).map_err(Error::io(self.loaded.path()))?;
            if count == 0 {
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than when it was opened");
                return Err(Error::io(self.loaded.path())(error));
            }
            if let Some((hasher, _)) = &mut crc32 {
                hasher.update(place.get(..count).unwrap_or_default());
            }
            self.filled += count;
            left = left.saturating_sub(count as u64);
        }
        match crc32.map(|(hasher, wanted)| hasher.finalize() == wanted) {
            Some(false) => {
                let member = tensor.member().unwrap_or_default().to_owned();
                Err(Error::Damaged { path: self.loaded.path().to_owned(), member })
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
