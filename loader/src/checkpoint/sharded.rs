//! Sharded checkpoints: a JSON index (`pytorch_model.bin.index.json`) says which file holds which tensor.

use crate::bounds::MAX_INDEX_BYTES;
use crate::error::{Error, IndexError, UsageError};
use crate::open::{Checkpoint, LoadOptions, open};
use crate::plan::draft::Refused;
use crate::plan::reason::Reason;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// A shard, and the file name of its result.
pub(crate) struct Shard {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) name: String,
}

/// The index in a folder.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn find_index(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let (mut found, mut converted) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        if name.ends_with(".safetensors.index.json") {
            converted.push(path);
        } else if name.ends_with(".index.json") {
            found.push(path);
        }
    }
    found.sort();
    // A folder may hold converted shards beside their sources: the sources come first.
    found.append(&mut converted);
    Ok(found.into_iter().next())
}

/// Opens all shards that an index names.
///
/// # Errors
/// When the index is not valid, a shard cannot be opened or lacks a tensor, or two shards hold the same tensor.
pub(crate) fn open_shards(index: &Path, options: &LoadOptions) -> Result<Vec<Shard>, Error> {
    let invalid = |error| Error::usage(index, UsageError::Index(error));
    let len = std::fs::metadata(index).map_err(Error::io(index))?.len();
    if len > MAX_INDEX_BYTES {
        return Err(invalid(IndexError::TooLong { len }));
    }
    let text = std::fs::read(index).map_err(Error::io(index))?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| invalid(IndexError::Json(error.to_string())))?;
    let map = value.get("weight_map").and_then(Value::as_object).ok_or_else(|| invalid(IndexError::NoWeightMap))?;
    let mut files = BTreeSet::new();
    for file in map.values() {
        let file = file.as_str().filter(|file| is_file_name(file));
        files.insert(file.ok_or_else(|| invalid(IndexError::OutsideFolder))?);
    }
    let folder = index.parent().unwrap_or(Path::new(""));
    let (mut shards, mut owners) = (Vec::new(), HashMap::new());
    for file in files {
        let checkpoint = open(&folder.join(file), options)?;
        for name in checkpoint.plan.tensors.iter().map(|tensor| &tensor.name).chain(checkpoint.plan.aliases.keys()) {
            if let Some(other) = owners.insert(name.clone(), file) {
                let files = [other.to_owned(), file.to_owned()];
                let why = Reason::InTwoShards { name: name.clone(), files };
                return Err(Error::NotConvertible(vec![Refused { name: name.clone(), why }]));
            }
        }
        let names = map.iter().filter(|(_, of)| of.as_str() == Some(file)).map(|(name, _)| name);
        for name in names {
            // With a root, tensors have other names than in the index.
            if options.root.is_none() && checkpoint.get(name).is_none() {
                return Err(invalid(IndexError::Missing { name: name.clone(), file: file.to_owned() }));
            }
        }
        shards.push(Shard { checkpoint, name: safetensors_name(file) });
    }
    Ok(shards)
}

/// The index of the results, as JSON. It has no aliases: they are in no result.
pub(crate) fn index_json(shards: &[Shard]) -> String {
    let mut map = Map::new();
    let mut total = 0u64;
    for shard in shards {
        total = total.saturating_add(shard.checkpoint.plan.len);
        for tensor in &shard.checkpoint.plan.tensors {
            map.insert(tensor.name.clone(), Value::from(shard.name.as_str()));
        }
    }
    let index = json!({"metadata": {"total_size": total}, "weight_map": map});
    serde_json::to_string_pretty(&index).unwrap_or_default() + "\n"
}

/// The file name that readers of safetensors expect: `model-00001-of-00002.safetensors` for
/// `pytorch_model-00001-of-00002.bin`.
pub(crate) fn safetensors_name(file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let stem = stem.strip_prefix("pytorch_").unwrap_or(stem);
    format!("{stem}.safetensors")
}

/// Whether the text is a file name: it does not lead out of its folder.
pub(crate) fn is_file_name(file: &str) -> bool {
    !file.is_empty() && file != "." && file != ".." && !file.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_get_the_names_that_readers_look_for() {
        assert_eq!(safetensors_name("pytorch_model-00001-of-00002.bin"), "model-00001-of-00002.safetensors");
        assert_eq!(safetensors_name("pytorch_model.bin"), "model.safetensors");
        assert_eq!(safetensors_name("unet.v1.pt"), "unet.v1.safetensors");
    }

    #[test]
    fn an_index_names_files_beside_it() {
        assert!(is_file_name("a.bin") && is_file_name("..a"));
        for file in ["", ".", "..", "../a", "a/b", "C:a", "a\\b", "a\0"] {
            assert!(!is_file_name(file), "{file:?}");
        }
    }
}
