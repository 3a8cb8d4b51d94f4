//! Opens a file and finds the pickle that holds its tensors, as torch, joblib and plain `pickle` would.
//!
//! The scan keeps little of each pickle, so that its memory stays small whatever the input; to name every tensor the
//! stream is followed once more with room for its values. Files whose header names the tensors need no pickle.

use crate::walk::{Listing, walk};
use scanner::archive::Entry;
use scanner::archive::directory::{Found, Kind};
use scanner::archive::zip::ZipArchive;
use scanner::artifact::Watch;
use scanner::examine::examine;
use scanner::format::joblib;
use scanner::limits::Limits;
use scanner::pickle::{self, End, Options, Reading, Trace};
use scanner::source::{FileSource, SharedSource};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Items of one container: the largest state dicts have some hundred thousand.
const ITEMS: usize = 1_000_000;
/// Bytes of values: some 500 for each tensor of a state dict.
const HEAP: usize = 256 << 20;

/// The tensors of a file: of its header, or of the pickle that counts. None where it holds none, or is of no format that
/// holds any.
///
/// # Errors
/// When the file cannot be read.
pub fn list(path: &Path, limits: &Limits) -> io::Result<Listing> {
    // What a person names is followed where it leads; what stands there must be a regular file.
    let found = Found { path: std::fs::canonicalize(path)?, shown_path: path.to_owned(), kind: Kind::File };
    let source: SharedSource = Arc::new(FileSource::new(found.open()?, Arc::default())?);
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let examination = examine(source.clone(), &name, &Watch::start(Arc::new(limits.clone())), false);
    let Some(root) = examination.looked.first() else { return Ok(Listing::default()) };
    let mut limits = limits.clone();
    limits.items = limits.items.max(ITEMS);
    limits.heap_bytes = limits.heap_bytes.max(HEAP);
    let watch = Watch::start(Arc::new(limits));
    Ok(match root.format {
        Some("torch-zip") => {
            checkpoint(&source, &watch).map_or_else(Listing::default, |pickle| listing(&pickle, 0, &watch))
        }
        Some("torch-legacy") => legacy(&source, &watch),
        Some("pickle") => listing(&source, 0, &watch),
        _ => {
            let complete = examination.looked.iter().all(|looked| looked.unread.is_empty());
            Listing { tensors: examination.looked.into_iter().flat_map(|looked| looked.tensors).collect(), complete }
        }
    })
}

/// The `data.pkl` of torch's zip. torch finds its folder by the first record.
fn checkpoint(source: &SharedSource, watch: &Watch) -> Option<SharedSource> {
    let archive = ZipArchive::read(source, watch);
    let (folder, _) = archive.entries.first()?.name.split_once('/')?;
    let name = format!("{folder}/data.pkl");
    archive.entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(&name))?.open(watch).source
}

/// The fourth pickle of five: magic number, protocol, system, object, keys.
fn legacy(source: &SharedSource, watch: &Watch) -> Listing {
    let mut at = 0u64;
    for _ in 0..3 {
        let trace = follow(source, at, watch);
        if trace.end != End::Stop {
            return Listing::default();
        }
        at = at.saturating_add(trace.length);
    }
    listing(source, at, watch)
}

fn listing(source: &SharedSource, at: u64, watch: &Watch) -> Listing {
    let trace = follow(source, at, watch);
    let mut listing = walk(&trace);
    listing.complete &= trace.end == End::Stop;
    listing
}

fn follow(source: &SharedSource, at: u64, watch: &Watch) -> Trace {
    let options = Options { inline: Some(&joblib::inline), reading: Reading::Transparent };
    pickle::read(source, at, &options, watch, &mut |_, _| false)
}
