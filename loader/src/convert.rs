//! From paths to results: which files there will be, then all of them or none.

use crate::checkpoint::distributed;
use crate::checkpoint::sharded;
use crate::error::Error;
use crate::open::{Checkpoint, LoadOptions, open};
use crate::output::write::{PendingFile, WriteOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// One result.
pub struct Output {
    /// What is in it.
    pub content: OutputContent,
    /// Where it goes.
    pub path: PathBuf,
}

/// What a result holds.
pub enum OutputContent {
    /// The tensors of a file, or of a folder that is one checkpoint.
    Tensors(Box<Checkpoint>),
    /// A text: the index of sharded results.
    Text(String),
}

/// All results of a conversion.
pub struct Conversion {
    /// Each result.
    pub outputs: Vec<Output>,
    /// The folder that they go to, where it is a folder.
    pub folder: Option<PathBuf>,
}

/// How results are written.
#[derive(Default, Clone)]
pub struct ConvertOptions<'a> {
    /// How the copy is made.
    pub write: WriteOptions<'a>,
    /// Read each result back and compare.
    pub verify: bool,
    /// Replace files that are there.
    pub force: bool,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct WrittenFile {
    /// Where.
    pub path: PathBuf,
    /// Its bytes.
    pub len: u64,
    /// Its SHA-256, if asked for.
    pub sha256: Option<String>,
    /// The SHA-256 of each file that it comes from, if asked for.
    pub source_sha256: Option<Vec<String>>,
}

/// Plans the results of `inputs` at `out`: a file for a file, a folder for a folder or for several inputs.
///
/// # Errors
/// As [`open`]; also when the inputs would give the same file twice.
pub fn plan(inputs: &[PathBuf], out: &Path, policy: &LoadOptions) -> Result<Conversion, Error> {
    let text = out.as_os_str().to_string_lossy();
    let into_folder = inputs.len() > 1 || out.is_dir() || text.ends_with('/');
    let mut jobs = Vec::new();
    let mut folder = into_folder.then(|| out.to_owned());
    for input in inputs {
        if input.is_dir() {
            // Several folders stand side by side in the one that is written.
            let name = input.canonicalize().map_err(Error::io(input))?;
            let into = match name.file_name().filter(|_| inputs.len() > 1) {
                Some(name) => out.join(name),
                None => out.to_owned(),
            };
            folder.get_or_insert_with(|| into.clone());
            jobs.extend(folder_outputs(input, &into, policy)?);
        } else {
            let loaded = Box::new(open(input, policy)?);
            let name = input.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let out = if into_folder { out.join(file_name_of(&name)) } else { out.to_owned() };
            jobs.push(Output { content: OutputContent::Tensors(loaded), path: out });
        }
    }
    let mut names: Vec<&PathBuf> = jobs.iter().map(|job| &job.path).collect();
    names.sort();
    if let Some([twice, _]) = names.windows(2).find(|pair| pair.first() == pair.last()) {
        let why = format!("{}: two inputs would be written there; convert them one by one", twice.display());
        return Err(Error::Usage(why));
    }
    Ok(Conversion { outputs: jobs, folder })
}

/// The name that readers of safetensors look for, of the result of a file: `a/pytorch_model.bin` becomes
/// `a/model.safetensors`.
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

fn folder_outputs(input: &Path, out: &Path, policy: &LoadOptions) -> Result<Vec<Output>, Error> {
    if input.join(distributed::METADATA_FILE).is_file() {
        let loaded = Box::new(distributed::open(input, policy)?);
        return Ok(vec![Output { content: OutputContent::Tensors(loaded), path: out.join("model.safetensors") }]);
    }
    if let Some(index) = sharded::find_index(input).map_err(Error::io(input))? {
        let shards = sharded::open_shards(&index, policy)?;
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
        let content = OutputContent::Tensors(Box::new(open(&single, policy)?));
        return Ok(vec![Output { content, path: out.join(sharded::safetensors_name("pytorch_model.bin")) }]);
    }
    let why =
        "neither a distributed checkpoint (.metadata) nor a sharded one (an index beside its shards); name its files";
    Err(Error::Usage(format!("{}: {why}", input.display())))
}

impl Conversion {
    /// The names that are taken already.
    pub fn existing_files(&self) -> impl Iterator<Item = &Path> {
        self.outputs.iter().map(|job| job.path.as_path()).filter(|out| out.symlink_metadata().is_ok())
    }

    /// The files that the tensors come from, as they were opened.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.checkpoints().flat_map(|loaded| loaded.reports().map(|report| report.path.as_str()))
    }

    /// How many tensors there are in all results.
    pub fn tensor_count(&self) -> usize {
        self.checkpoints().map(|loaded| loaded.plan().tensors.len()).sum()
    }

    fn checkpoints(&self) -> impl Iterator<Item = &Checkpoint> {
        self.outputs.iter().filter_map(|job| match &job.content {
            OutputContent::Tensors(loaded) => Some(loaded.as_ref()),
            OutputContent::Text(_) => None,
        })
    }

    /// Bytes of all tensors of all results.
    pub fn len(&self) -> u64 {
        let loaded = self.outputs.iter().map(|job| match &job.content {
            OutputContent::Tensors(loaded) => loaded.plan().len,
            OutputContent::Text(text) => text.len() as u64,
        });
        loaded.sum()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Writes all results. They get their names when all of them are whole.
    ///
    /// # Errors
    /// When a name is taken, reading or writing fails, or a result is not what was planned. Nothing is left behind then.
    pub fn write(&self, options: &ConvertOptions<'_>) -> Result<Vec<WrittenFile>, Error> {
        if let Some(taken) = self.existing_files().next().filter(|_| !options.force) {
            return Err(Error::Usage(format!("{} is already there; --force replaces it", taken.display())));
        }
        let folder = self.create_folders()?;
        let mut whole = Vec::new();
        for job in &self.outputs {
            whole.push(match &job.content {
                OutputContent::Tensors(loaded) => {
                    let written = loaded.write(&job.path, &options.write)?;
                    if options.verify {
                        loaded.verify(&written, &job.path, &options.write)?;
                    }
                    written
                }
                OutputContent::Text(text) => write_text(&job.path, text)?,
            });
        }
        let mut done = Vec::new();
        let mut named = PersistedFiles { paths: Vec::new(), keep: false };
        for (job, written) in self.outputs.iter().zip(whole) {
            let (len, sha256, source_sha256) = (written.len, written.sha256.clone(), written.source_sha256.clone());
            let new = job.path.symlink_metadata().is_err();
            written.persist(&job.path, options.force)?;
            if new {
                named.paths.push(&job.path);
            }
            done.push(WrittenFile { path: job.path.clone(), len, sha256, source_sha256 });
        }
        named.keep = true;
        folder.keep();
        Ok(done)
    }

    fn create_folders(&self) -> Result<CreatedFolders, Error> {
        let mut made = CreatedFolders(Vec::new());
        for job in &self.outputs {
            let Some(parent) = job.path.parent().filter(|_| self.folder.is_some()) else { continue };
            let missing: Vec<&Path> = parent.ancestors().take_while(|folder| !folder.exists()).collect();
            for folder in missing.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir(folder).map_err(Error::io(folder))?;
                made.0.push(folder.to_owned());
            }
        }
        Ok(made)
    }
}

/// Results that have their names: gone again when a later one cannot have its own.
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

/// Folders that were made for the results: gone again when nothing came of it.
struct CreatedFolders(Vec<PathBuf>);

impl CreatedFolders {
    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for CreatedFolders {
    fn drop(&mut self) {
        // Only an empty one goes: what others put there stays.
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
