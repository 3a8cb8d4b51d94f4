//! Replaces weights of torch in a staged folder by safetensors, so that a server finds no pickle to load.
//!
//! Only files that torch writes are converted. Other pickles hold objects that a program needs as they are (a scaler, a tokenizer).
//! A file that cannot be converted stays: it was admitted.

use crate::error::Error;
use crate::stage::StagedFile;
use loader::convert::{ConvertOptions, plan, result_name};
use loader::{LoadOptions, WriteOptions};
use scanner::formats::{self, TensorStore};
use scanner::internal::format::{safetensors, sharded_index};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The result of a conversion.
#[derive(Debug, Default)]
pub struct Converted {
    /// The replaced files and their results, by names below the folder.
    pub replaced: Vec<(String, String)>,
    /// The files that stay, each with the reason.
    pub kept: Vec<(String, String)>,
}

/// Converts the files `staged` of the folder `out`, and updates `staged`.
///
/// # Errors
/// When a file cannot be written or removed, or `stop` is set ([`Error::Interrupted`]).
pub fn convert_folder(
    out: &Path,
    staged: &mut Vec<StagedFile>,
    policy: &LoadOptions,
    stop: Option<Arc<AtomicBool>>,
) -> Result<Converted, Error> {
    let mut converter = Converter { out, policy, stop, converted: Converted::default() };
    let mut names_by_folder: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in staged.iter() {
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        names_by_folder.entry(folder.to_owned()).or_default().push(name.to_owned());
    }
    // A sharded or distributed checkpoint is converted as a whole; its parts are not checkpoints of their own.
    let mut checkpoints = Vec::new();
    for (folder, names) in &names_by_folder {
        let index =
            names.iter().find(|name| name.ends_with(".index.json") && !name.ends_with(".safetensors.index.json"));
        let metadata = names.iter().find(|name| *name == ".metadata");
        if let Some(head) = metadata.or(index) {
            converter.replace(&out.join(folder), &join(folder, head), None, staged)?;
            checkpoints.push(folder.as_str());
        }
    }
    let in_checkpoint = |path: &str| checkpoints.contains(&path.rsplit_once('/').map_or("", |(folder, _)| folder));
    let single: Vec<StagedFile> =
        staged.iter().filter(|file| is_torch(file) && !in_checkpoint(&file.path)).cloned().collect();
    for file in single {
        let result = result_name(&file.path);
        converter.replace(&out.join(&file.path), &file.path, Some(&result), staged)?;
    }
    Ok(converter.converted)
}

fn is_torch(file: &StagedFile) -> bool {
    let store = formats::by_id(&file.format).and_then(|info| info.tensors);
    matches!(store, Some(TensorStore::TorchZip | TensorStore::TorchLegacy | TensorStore::TorchTar))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

struct Converter<'a> {
    out: &'a Path,
    policy: &'a LoadOptions,
    stop: Option<Arc<AtomicBool>>,
    converted: Converted,
}

impl Converter<'_> {
    /// Replaces the file or checkpoint `input` by its result. `head` is its name in the report; `result` is the name of the
    /// result, for a single file.
    fn replace(
        &mut self,
        input: &Path,
        head: &str,
        result: Option<&str>,
        staged: &mut Vec<StagedFile>,
    ) -> Result<(), Error> {
        let target = result.map_or_else(|| input.to_owned(), |result| self.out.join(result));
        let jobs = match plan(&[input.to_owned()], &target, self.policy) {
            Ok(jobs) => jobs,
            Err(loader::Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                self.keep(head, error.to_string());
                return Ok(());
            }
        };
        if let Some(existing) = jobs.existing_files().next() {
            let reason = format!("{} is there already", self.name(existing));
            self.keep(head, reason);
            return Ok(());
        }
        if jobs.tensor_count() == 0 {
            self.keep(head, "it holds no tensor".to_owned());
            return Ok(());
        }
        let mut sources: Vec<String> = jobs.sources().map(|path| self.name(Path::new(path))).collect();
        sources.push(head.to_owned());
        sources.sort();
        sources.dedup();
        // Only staged files are removed, whatever a report names.
        sources.retain(|source| staged.iter().any(|file| &file.path == source));
        let write = WriteOptions { stop: self.stop.clone(), ..WriteOptions::default() };
        let written = jobs.write(&ConvertOptions { write, ..ConvertOptions::default() })?;
        drop(jobs);
        let results: Vec<String> = written.iter().map(|written| self.name(&written.path)).collect();
        for source in &sources {
            let path = self.out.join(source);
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
        staged.retain(|file| !sources.contains(&file.path));
        let format = |name: &str| if name.ends_with(".json") { sharded_index::INFO.id } else { safetensors::INFO.id };
        staged.extend(results.iter().map(|name| StagedFile { path: name.clone(), format: format(name).to_owned() }));
        staged.sort_by(|one, other| one.path.cmp(&other.path));
        self.converted.replaced.push((head.to_owned(), results.join(", ")));
        Ok(())
    }

    fn keep(&mut self, head: &str, reason: String) {
        self.converted.kept.push((head.to_owned(), reason));
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.out).unwrap_or(path).to_string_lossy().into_owned()
    }
}

/// The load options for admitted files. Unproven files, where they are admitted, are converted if inert constructors alone reach
/// their tensors.
pub fn load_options(limits: &scanner::Limits, allow_unproven: bool) -> LoadOptions {
    LoadOptions { limits: limits.clone(), allow_unproven, ..LoadOptions::default() }
}
