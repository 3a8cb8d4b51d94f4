//! The index of a sharded checkpoint: which file holds which tensor. Its values are paths that a loader opens.

use super::{Format, Head, Recognition};
use crate::fact::{Deviation, Fact, Unread};
use crate::io::artifact::Artifact;
use crate::io::source::read_vec;
use crate::observe::format_info::FormatInfo;
use crate::observe::observations::Observations;
use std::collections::BTreeSet;

/// `pytorch_model.bin.index.json`, `model.safetensors.index.json`.
pub struct ShardedIndex;

/// The index of a sharded checkpoint.
pub static INFO: FormatInfo = FormatInfo {
    id: "sharded-index",
    name: "index of a sharded checkpoint (JSON)",
    extensions: &["index.json"],
    doc_judged: "whether the files it names are beside it",
    doc_converted: "with its folder",
    ..FormatInfo::DATA
};

impl Format for ShardedIndex {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        let json = head.start.trim_ascii_start().starts_with(b"{");
        let named = |word: &[u8]| head.start.windows(word.len()).any(|window| window == word);
        let index = head.artifact.name.ends_with(".index.json") || named(b"\"weight_map\"");
        if json && index { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let length = artifact.source.len();
        if length > artifact.budget.limits.header_bytes {
            observations.unread(None, Unread::Limit("length of a text header".to_owned()));
            return;
        }
        let bytes = match read_vec(artifact.source.as_ref(), 0, usize::try_from(length).unwrap_or(usize::MAX)) {
            Ok(bytes) => bytes,
            Err(error) => return observations.unread(None, Unread::Io(error.to_string())),
        };
        let index: serde_json::Value = match serde_json::from_slice(&bytes) {
            Ok(index) => index,
            Err(error) => return observations.unread(None, Unread::Broken(format!("the index is no JSON: {error}"))),
        };
        let Some(map) = index.get("weight_map").and_then(serde_json::Value::as_object) else {
            let what = "the index has no weight_map".to_owned();
            return observations.fact(None, Fact::StructureViolation { what, deviation: Deviation::Wrong });
        };
        let files: BTreeSet<&str> = map.values().map(|file| file.as_str().unwrap_or_default()).collect();
        for file in files {
            if file.is_empty() || file == "." || file == ".." || file.contains(['/', '\\', ':', '\0']) {
                let what = "the index names a file that does not stand beside it".to_owned();
                observations.fact(None, Fact::PathEscapes { path: file.to_owned(), what });
            }
        }
    }
}
