//! Checkpoints in several files: an index that says which tensor is in which of them. Layout: weights.md section 6.

use crate::bounds::MAX_INDEX_BYTES;
use crate::error::Error;
use crate::open::{Checkpoint, LoadOptions, open};
use crate::plan::draft::Refused;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// A shard and the name of its result.
pub(crate) struct Shard {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) name: String,
}

/// The index in a folder, if there is one.
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
    // Shards of safetensors may stand beside those that they were converted from.
    found.append(&mut converted);
    Ok(found.into_iter().next())
}

/// Opens all shards that an index names.
///
/// # Errors
/// When the index cannot be read or names what is not there, or a shard cannot be opened.
pub(crate) fn open_shards(index: &Path, policy: &LoadOptions) -> Result<Vec<Shard>, Error> {
    let wrong = |why: String| Error::Usage(format!("{}: {why}", index.display()));
    let length = std::fs::metadata(index).map_err(Error::io(index))?.len();
    if length > MAX_INDEX_BYTES {
        return Err(wrong(format!("an index of {length} bytes")));
    }
    let text = std::fs::read(index).map_err(Error::io(index))?;
    let value: Value =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("the index is no JSON: {error}")))?;
    let map = value.get("weight_map").and_then(Value::as_object).ok_or_else(|| wrong("it has no weight_map".into()))?;
    let mut files = BTreeSet::new();
    for file in map.values() {
        let file = file.as_str().filter(|file| is_file_name(file));
        files.insert(file.ok_or_else(|| wrong("it names a file that does not stand beside it".into()))?);
    }
    let folder = index.parent().unwrap_or(Path::new(""));
    let (mut shards, mut homes) = (Vec::new(), HashMap::new());
    for file in files {
        let loaded = open(&folder.join(file), policy)?;
        for name in loaded.plan.tensors.iter().map(|tensor| &tensor.name).chain(loaded.plan.aliases.keys()) {
            if let Some(other) = homes.insert(name.clone(), file) {
                let why = format!("{name} is in {other} and in {file}, and readers take either");
                return Err(Error::NotConvertible(vec![Refused { name: name.clone(), why }]));
            }
        }
        let here = map.iter().filter(|(_, of)| of.as_str() == Some(file)).map(|(name, _)| name);
        for name in here {
            // Names are those of the whole file; of a part of it they are others.
            if policy.root.is_none() && loaded.get(name).is_none() {
                return Err(wrong(format!("{name} should be in {file} and is not")));
            }
        }
        shards.push(Shard { checkpoint: loaded, name: safetensors_name(file) });
    }
    Ok(shards)
}

/// The index of the results: what is tied to another tensor is in none of them.
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

/// The name that readers of safetensors look for: `pytorch_model-00001-of-00002.bin` becomes
/// `model-00001-of-00002.safetensors`.
pub(crate) fn safetensors_name(file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let stem = stem.strip_prefix("pytorch_").unwrap_or(stem);
    format!("{stem}.safetensors")
}

/// Whether it is a file name, and no way out of the folder.
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
