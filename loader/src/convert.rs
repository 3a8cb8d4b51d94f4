//! Converts files and folders: plans all results, then writes all of them or none.

use crate::checkpoint::distributed;
use crate::checkpoint::sharded;
use crate::error::{Error, UsageError};
use crate::open::{Checkpoint, LoadOptions, open};
use crate::output::write::{PendingFile, WriteOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file to be written.
pub struct Output {
    /// The contents.
    pub content: OutputContent,
    /// The path of the file.
    pub path: PathBuf,
}

/// The contents of a result.
pub enum OutputContent {
    /// The tensors of a file or of a distributed checkpoint.
    Tensors(Box<Checkpoint>),
    /// The index of a sharded checkpoint, as JSON.
    Text(String),
}

/// The planned results of a conversion. [`plan`] makes it, [`Conversion::write`] carries it out.
pub struct Conversion {
    /// The files to be written.
    pub outputs: Vec<Output>,
    /// The folder of the results; `None` for a single file.
    pub folder: Option<PathBuf>,
}

/// How results are written.
#[derive(Default, Clone)]
pub struct ConvertOptions<'a> {
    /// How each result is written.
    pub write: WriteOptions<'a>,
    /// Read each result back and compare it with its source.
    pub verify: bool,
    /// Replace existing files.
    pub force: bool,
}

/// A file that was written.
#[derive(Debug, Clone)]
pub struct WrittenFile {
    /// The path of the file.
    pub path: PathBuf,
    /// Length in bytes.
    pub len: u64,
    /// The SHA-256, with `WriteOptions::sha256`.
    pub sha256: Option<String>,
    /// The SHA-256 of each source, with `WriteOptions::sha256`.
    pub source_sha256: Option<Vec<String>>,
}

/// Plans the results of `inputs`. `out` is a file for one file, and a folder for a folder or several inputs.
///
/// # Errors
/// As [`open`], and when a folder is not a checkpoint or two inputs have the same result.
pub fn plan(inputs: &[PathBuf], out: &Path, options: &LoadOptions) -> Result<Conversion, Error> {
    let text = out.as_os_str().to_string_lossy();
    let into_folder = inputs.len() > 1 || out.is_dir() || text.ends_with('/');
    let mut outputs = Vec::new();
    let mut folder = into_folder.then(|| out.to_owned());
    for input in inputs {
        if input.is_dir() {
            // Each of several folders gets a folder of its name.
            let name = input.canonicalize().map_err(Error::io(input))?;
            let into = match name.file_name().filter(|_| inputs.len() > 1) {
                Some(name) => out.join(name),
                None => out.to_owned(),
            };
            folder.get_or_insert_with(|| into.clone());
            outputs.extend(folder_outputs(input, &into, options)?);
        } else {
            let checkpoint = Box::new(open(input, options)?);
            let name = input.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let out = if into_folder { out.join(file_name_of(&name)) } else { out.to_owned() };
            outputs.push(Output { content: OutputContent::Tensors(checkpoint), path: out });
        }
    }
    let mut names: Vec<&PathBuf> = outputs.iter().map(|output| &output.path).collect();
    names.sort();
    if let Some([twice, _]) = names.windows(2).find(|pair| pair.first() == pair.last()) {
        return Err(Error::usage(twice, UsageError::SameOutput));
    }
    Ok(Conversion { outputs, folder })
}

/// The path of the result of a file, with the file name that readers of safetensors expect.
///
/// ```
/// assert_eq!(loader::convert::result_name("a/pytorch_model.bin"), "a/model.safetensors");
/// ```
pub fn result_name(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{}", sharded::safetensors_name(name)),
        None => sharded::safetensors_name(path),
    }
}

fn file_name_of(name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem });
    format!("{stem}.safetensors")
}

fn folder_outputs(input: &Path, out: &Path, options: &LoadOptions) -> Result<Vec<Output>, Error> {
    if input.join(distributed::METADATA_FILE).is_file() {
        let checkpoint = Box::new(distributed::open(input, options)?);
        return Ok(vec![Output { content: OutputContent::Tensors(checkpoint), path: out.join("model.safetensors") }]);
    }
    if let Some(index) = sharded::find_index(input).map_err(Error::io(input))? {
        let shards = sharded::open_shards(&index, options)?;
        let name = index.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let name = name.strip_suffix(".index.json").unwrap_or(&name);
        let text = Output {
            content: OutputContent::Text(sharded::index_json(&shards)),
            path: out.join(format!("{}.index.json", sharded::safetensors_name(name))),
        };
        let tensors = shards.into_iter().map(|shard| {
            let content = OutputContent::Tensors(Box::new(shard.checkpoint));
            Output { content, path: out.join(shard.name) }
        });
        return Ok(tensors.chain([text]).collect());
    }
    let single = input.join("pytorch_model.bin");
    if single.is_file() {
        let content = OutputContent::Tensors(Box::new(open(&single, options)?));
        return Ok(vec![Output { content, path: out.join(sharded::safetensors_name("pytorch_model.bin")) }]);
    }
    Err(Error::usage(input, UsageError::NotACheckpoint))
}

impl Conversion {
    /// The results whose paths exist already.
    pub fn existing_files(&self) -> impl Iterator<Item = &Path> {
        self.outputs.iter().map(|output| output.path.as_path()).filter(|path| path.symlink_metadata().is_ok())
    }

    /// The paths of the files that hold the tensors.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.checkpoints().flat_map(|checkpoint| checkpoint.reports().map(|report| report.path.as_str()))
    }

    /// The number of tensors of all results.
    pub fn tensor_count(&self) -> usize {
        self.checkpoints().map(|checkpoint| checkpoint.plan().tensors.len()).sum()
    }

    fn checkpoints(&self) -> impl Iterator<Item = &Checkpoint> {
        self.outputs.iter().filter_map(|output| match &output.content {
            OutputContent::Tensors(checkpoint) => Some(checkpoint.as_ref()),
            OutputContent::Text(_) => None,
        })
    }

    /// Bytes of all tensors and indexes, without headers.
    pub fn len(&self) -> u64 {
        let lengths = self.outputs.iter().map(|output| match &output.content {
            OutputContent::Tensors(checkpoint) => checkpoint.plan().len,
            OutputContent::Text(text) => text.len() as u64,
        });
        lengths.sum()
    }

    /// Whether there are no results.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Writes all results. They get their names when all of them are complete.
    ///
    /// # Errors
    /// When a result exists already, reading or writing fails, or verification fails. No file is left behind then.
    pub fn write(&self, options: &ConvertOptions<'_>) -> Result<Vec<WrittenFile>, Error> {
        if let Some(existing) = self.existing_files().next().filter(|_| !options.force) {
            return Err(Error::usage(existing, UsageError::OutputExists));
        }
        let folders = self.create_folders()?;
        let mut pending = Vec::new();
        for Output { content, path } in &self.outputs {
            pending.push(match content {
                OutputContent::Tensors(checkpoint) => {
                    let file = checkpoint.write(path, &options.write)?;
                    if options.verify {
                        checkpoint.verify(&file, path, &options.write)?;
                    }
                    file
                }
                OutputContent::Text(text) => write_text(path, text)?,
            });
        }
        let mut written = Vec::new();
        let mut persisted = PersistedFiles { paths: Vec::new(), keep: false };
        for (Output { path, .. }, file) in self.outputs.iter().zip(pending) {
            let (len, sha256, source_sha256) = (file.len, file.sha256.clone(), file.source_sha256.clone());
            let is_new = path.symlink_metadata().is_err();
            file.persist(path, options.force)?;
            if is_new {
                persisted.paths.push(path);
            }
            written.push(WrittenFile { path: path.clone(), len, sha256, source_sha256 });
        }
        persisted.keep = true;
        folders.keep();
        Ok(written)
    }

    fn create_folders(&self) -> Result<CreatedFolders, Error> {
        let mut created = CreatedFolders(Vec::new());
        for output in &self.outputs {
            let Some(parent) = output.path.parent().filter(|_| self.folder.is_some()) else { continue };
            let missing: Vec<&Path> = parent.ancestors().take_while(|folder| !folder.exists()).collect();
            for folder in missing.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir(folder).map_err(Error::io(folder))?;
                created.0.push(folder.to_owned());
            }
        }
        Ok(created)
    }
}

/// Results that have their names. They are deleted when a later one cannot get its name.
struct PersistedFiles<'a> {
    paths: Vec<&'a Path>,
    keep: bool,
}

impl Drop for PersistedFiles<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.paths.iter().for_each(|path| _ = std::fs::remove_file(path));
        }
    }
}

/// Folders that were created for the results. They are removed when the conversion fails.
struct CreatedFolders(Vec<PathBuf>);

impl CreatedFolders {
    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for CreatedFolders {
    fn drop(&mut self) {
        // Folders with other files in them are not removed.
        self.0.iter().rev().for_each(|folder| _ = std::fs::remove_dir(folder));
    }
}

fn write_text(out: &Path, text: &str) -> Result<PendingFile, Error> {
    let write = || -> io::Result<NamedTempFile> {
        let mut file = crate::output::write::temporary_file(out)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    let file = write().map_err(Error::io(out))?;
    Ok(PendingFile { temporary: file, len: text.len() as u64, sha256: None, source_sha256: None, tensors: None })
}
