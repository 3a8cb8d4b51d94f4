//! From paths to results: which files there will be, then all of them or none.

use crate::checkpoint::distributed;
use crate::checkpoint::sharded;
use crate::error::Error;
use crate::open::{Loaded, Policy, open};
use crate::output::write::{WriteOptions, Written};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// One result.
pub struct Job {
    /// What is in it.
    pub content: Content,
    /// Where it goes.
    pub out: PathBuf,
}

/// What a result holds.
pub enum Content {
    /// The tensors of a file, or of a folder that is one checkpoint.
    Tensors(Box<Loaded>),
    /// A text: the index of sharded results.
    Text(String),
}

/// All results of a conversion.
pub struct Jobs {
    /// Each result.
    pub jobs: Vec<Job>,
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
pub struct Done {
    /// Where.
    pub out: PathBuf,
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
pub fn plan(inputs: &[PathBuf], out: &Path, policy: &Policy) -> Result<Jobs, Error> {
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
            jobs.extend(of_folder(input, &into, policy)?);
        } else {
            let loaded = Box::new(open(input, policy)?);
            let name = input.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let out = if into_folder { out.join(of_file(&name)) } else { out.to_owned() };
            jobs.push(Job { content: Content::Tensors(loaded), out });
        }
    }
    let mut names: Vec<&PathBuf> = jobs.iter().map(|job| &job.out).collect();
    names.sort();
    if let Some([twice, _]) = names.windows(2).find(|pair| pair.first() == pair.last()) {
        let why = format!("{}: two inputs would be written there; convert them one by one", twice.display());
        return Err(Error::Usage(why));
    }
    Ok(Jobs { jobs, folder })
}

/// The name that readers of safetensors look for, of the result of a file: `a/pytorch_model.bin` becomes
/// `a/model.safetensors`.
pub fn result_name(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{}", sharded::renamed(name)),
        None => sharded::renamed(path),
    }
}

fn of_file(name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem });
    format!("{stem}.safetensors")
}

fn of_folder(input: &Path, out: &Path, policy: &Policy) -> Result<Vec<Job>, Error> {
    if input.join(distributed::METADATA).is_file() {
        let loaded = Box::new(distributed::open(input, policy)?);
        return Ok(vec![Job { content: Content::Tensors(loaded), out: out.join("model.safetensors") }]);
    }
    if let Some(index) = sharded::index(input).map_err(Error::io(input))? {
        let shards = sharded::shards(&index, policy)?;
        let name = index.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let name = name.strip_suffix(".index.json").unwrap_or(&name);
        let text = Job {
            content: Content::Text(sharded::new_index(&shards)),
            out: out.join(format!("{}.index.json", sharded::renamed(name))),
        };
        let tensors = shards.into_iter().map(|shard| {
            let content = Content::Tensors(Box::new(shard.loaded));
            Job { content, out: out.join(shard.name) }
        });
        return Ok(tensors.chain([text]).collect());
    }
    let single = input.join("pytorch_model.bin");
    if single.is_file() {
        let content = Content::Tensors(Box::new(open(&single, policy)?));
        return Ok(vec![Job { content, out: out.join(sharded::renamed("pytorch_model.bin")) }]);
    }
    let why =
        "neither a distributed checkpoint (.metadata) nor a sharded one (an index beside its shards); name its files";
    Err(Error::Usage(format!("{}: {why}", input.display())))
}

impl Jobs {
    /// The names that are taken already.
    pub fn taken(&self) -> impl Iterator<Item = &Path> {
        self.jobs.iter().map(|job| job.out.as_path()).filter(|out| out.symlink_metadata().is_ok())
    }

    /// The files that the tensors come from, as they were opened.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.loaded().flat_map(|loaded| loaded.reports().map(|report| report.path.as_str()))
    }

    /// How many tensors there are in all results.
    pub fn tensors(&self) -> usize {
        self.loaded().map(|loaded| loaded.plan().tensors.len()).sum()
    }

    fn loaded(&self) -> impl Iterator<Item = &Loaded> {
        self.jobs.iter().filter_map(|job| match &job.content {
            Content::Tensors(loaded) => Some(loaded.as_ref()),
            Content::Text(_) => None,
        })
    }

    /// Bytes of all tensors of all results.
    pub fn len(&self) -> u64 {
        let loaded = self.jobs.iter().map(|job| match &job.content {
            Content::Tensors(loaded) => loaded.plan().len,
            Content::Text(text) => text.len() as u64,
        });
        loaded.sum()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Writes all results. They get their names when all of them are whole.
    ///
    /// # Errors
    /// When a name is taken, reading or writing fails, or a result is not what was planned. Nothing is left behind then.
    pub fn write(&self, options: &ConvertOptions<'_>) -> Result<Vec<Done>, Error> {
        if let Some(taken) = self.taken().next().filter(|_| !options.force) {
            return Err(Error::Usage(format!("{} is already there; --force replaces it", taken.display())));
        }
        let folder = self.make_folder()?;
        let mut whole = Vec::new();
        for job in &self.jobs {
            whole.push(match &job.content {
                Content::Tensors(loaded) => {
                    let written = loaded.write(&job.out, &options.write)?;
                    if options.verify {
                        loaded.verify(&written, &job.out, &options.write)?;
                    }
                    written
                }
                Content::Text(text) => write_text(&job.out, text)?,
            });
        }
        let mut done = Vec::new();
        let mut named = Named { paths: Vec::new(), keep: false };
        for (job, written) in self.jobs.iter().zip(whole) {
            let (len, sha256, source_sha256) = (written.len, written.sha256.clone(), written.source_sha256.clone());
            let new = job.out.symlink_metadata().is_err();
            written.persist(&job.out, options.force)?;
            if new {
                named.paths.push(&job.out);
            }
            done.push(Done { out: job.out.clone(), len, sha256, source_sha256 });
        }
        named.keep = true;
        folder.keep();
        Ok(done)
    }

    fn make_folder(&self) -> Result<Made, Error> {
        let mut made = Made(Vec::new());
        for job in &self.jobs {
            let Some(parent) = job.out.parent().filter(|_| self.folder.is_some()) else { continue };
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
struct Named<'a> {
    paths: Vec<&'a Path>,
    keep: bool,
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.paths.iter().for_each(|path| _ = std::fs::remove_file(path));
        }
    }
}

/// Folders that were made for the results: gone again when nothing came of it.
struct Made(Vec<PathBuf>);

impl Made {
    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // Only an empty one goes: what others put there stays.
        self.0.iter().rev().for_each(|folder| _ = std::fs::remove_dir(folder));
    }
}

fn write_text(out: &Path, text: &str) -> Result<Written, Error> {
    let write = || -> io::Result<NamedTempFile> {
        let mut file = crate::output::write::temporary_file(out)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    let file = write().map_err(Error::io(out))?;
    Ok(Written { file, len: text.len() as u64, sha256: None, source_sha256: None, filled: None })
}
