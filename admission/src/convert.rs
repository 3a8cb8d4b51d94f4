//! Safetensors in the place of what torch saved, in a folder that was staged: what is not there as a pickle is unpickled by
//! nobody.
//!
//! Only what torch writes is taken. Other pickles hold objects that a program asks for (a scaler, a tokenizer), of which
//! tensors alone would be no use. What cannot be converted stays as it is: it was admitted.

use crate::stage::Staged;
use loader::convert::{ConvertOptions, plan, result_name};
use loader::{Error, Policy, WriteOptions};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What came of it.
#[derive(Debug, Default)]
pub struct Converted {
    /// What was written in the place of what, by their names below the folder.
    pub replaced: Vec<(String, String)>,
    /// What stays as it is, and why.
    pub kept: Vec<(String, String)>,
}

/// Converts what can be converted in the folder `out`, of which `staged` says what is in it; that is brought up to date.
///
/// # Errors
/// When a file cannot be written or taken away, or somebody asked to stop.
pub fn convert(
    out: &Path,
    staged: &mut Vec<Staged>,
    policy: &Policy,
    stop: Option<Arc<AtomicBool>>,
) -> Result<Converted, Error> {
    let mut work = Work { out, policy, stop, done: Converted::default() };
    // A checkpoint in several files is one: its parts are no checkpoints of their own.
    let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in staged.iter() {
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        folders.entry(folder.to_owned()).or_default().push(name.to_owned());
    }
    let mut whole = Vec::new();
    for (folder, names) in &folders {
        let index =
            names.iter().find(|name| name.ends_with(".index.json") && !name.ends_with(".safetensors.index.json"));
        let metadata = names.iter().find(|name| *name == ".metadata");
        if let Some(head) = metadata.or(index) {
            work.replace(&out.join(folder), &join(folder, head), None, staged)?;
            whole.push(folder.as_str());
        }
    }
    let of_whole = |path: &str| whole.contains(&path.rsplit_once('/').map_or("", |(folder, _)| folder));
    let single: Vec<Staged> = staged.iter().filter(|file| is_torch(file) && !of_whole(&file.path)).cloned().collect();
    for file in single {
        let result = result_name(&file.path);
        work.replace(&out.join(&file.path), &file.path, Some(&result), staged)?;
    }
    Ok(work.done)
}

fn is_torch(file: &Staged) -> bool {
    matches!(file.format.as_str(), "torch-zip" | "torch-legacy" | "torch-tar")
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

struct Work<'a> {
    out: &'a Path,
    policy: &'a Policy,
    stop: Option<Arc<AtomicBool>>,
    done: Converted,
}

impl Work<'_> {
    /// Puts the result of `input` in its place. `head` is the file that stands for it; `result` its name, where it is one.
    fn replace(
        &mut self,
        input: &Path,
        head: &str,
        result: Option<&str>,
        staged: &mut Vec<Staged>,
    ) -> Result<(), Error> {
        let place = result.map_or_else(|| input.to_owned(), |result| self.out.join(result));
        let jobs = match plan(&[input.to_owned()], &place, self.policy) {
            Ok(jobs) => jobs,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => return self.keep(head, &error.to_string()),
        };
        if let Some(taken) = jobs.taken().next() {
            let why = format!("{} is there already", self.name(taken));
            return self.keep(head, &why);
        }
        if jobs.tensors() == 0 {
            return self.keep(head, "it holds no tensor");
        }
        let mut sources: Vec<String> = jobs.sources().map(|path| self.name(Path::new(path))).collect();
        sources.push(head.to_owned());
        sources.sort();
        sources.dedup();
        // What is taken away is what was staged, whatever a report calls it.
        sources.retain(|source| staged.iter().any(|file| &file.path == source));
        let write = WriteOptions { stop: self.stop.clone(), ..WriteOptions::default() };
        let done = jobs.write(&ConvertOptions { write, ..ConvertOptions::default() })?;
        drop(jobs);
        let results: Vec<String> = done.iter().map(|done| self.name(&done.out)).collect();
        for source in &sources {
            let path = self.out.join(source);
            fs::remove_file(&path).map_err(|error| Error::Io { path, error })?;
        }
        staged.retain(|file| !sources.contains(&file.path));
        let format = |name: &str| if name.ends_with(".json") { "sharded-index" } else { "safetensors" };
        staged.extend(results.iter().map(|name| Staged { path: name.clone(), format: format(name).to_owned() }));
        staged.sort_by(|one, other| one.path.cmp(&other.path));
        self.done.replaced.push((head.to_owned(), results.join(", ")));
        Ok(())
    }

    fn keep(&mut self, head: &str, why: &str) -> Result<(), Error> {
        self.done.kept.push((head.to_owned(), why.to_owned()));
        Ok(())
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.out).unwrap_or(path).to_string_lossy().into_owned()
    }
}

/// How what was admitted is converted: what is clean, and what is unproven where that is admitted, as far as its tensors are
/// reached by inert constructors only.
pub fn policy(limits: &scanner::Limits, unproven: bool) -> Policy {
    Policy { limits: limits.clone(), allow_unproven: unproven, ..Policy::default() }
}
