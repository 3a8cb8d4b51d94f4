//! The tensors of a file by name, type and shape: a listing, which needs no clearance and proves nothing.
//!
//! The scan keeps little of each pickle, so that its memory stays small whatever the input; to name every tensor the file
//! is examined once more with room for its values. Files whose header names the tensors need no pickle.

use crate::open::Policy;
use crate::walk::walk;
use scanner::Limits;
use scanner::directory::open_named;
use scanner::formats::TensorSource;
use scanner::internal::examine::examine;
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::observe::layout::Layout;
use scanner::internal::observe::observations::{Retain, Tensor};
use scanner::internal::pickle::{StreamEnd, Trace};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The tensors of a file.
#[derive(Debug, Default)]
pub struct Listing {
    /// In the order in which the pickle names them.
    pub tensors: Vec<Tensor>,
    /// Whether these are all: nothing was forgotten on the way, and no bound was hit.
    pub complete: bool,
}

/// The tensors of a file: of its header, or of the pickle that counts. None where it holds none, or is of no format that
/// holds any.
///
/// # Errors
/// When the file cannot be read.
pub fn list(path: &Path, limits: &Limits) -> io::Result<Listing> {
    let (file, name) = open_named(path)?;
    let limits = Policy { limits: limits.clone(), ..Policy::default() }.roomy();
    let keep = Retain { events: false, layout: true };
    let examined = examine(Arc::new(file), &name, &ScanBudget::start(Arc::new(limits)), keep).artifacts;
    let Some(root) = examined.first() else { return Ok(Listing::default()) };
    let pickle = match (root.tensor_source(), &root.layout) {
        (Some(TensorSource::TorchZip), Some(Layout::TorchZip(zip))) => {
            let name = format!("{}/data.pkl", zip.root);
            let member = examined
                .iter()
                .find(|examined| examined.member_path.path().is_some_and(|p| p.eq_ignore_ascii_case(&name)));
            member.and_then(|examined| examined.pickles.first())
        }
        (Some(TensorSource::TorchZip), _) => None,
        // Magic number, protocol, system; then the object.
        (Some(TensorSource::TorchLegacy), _) => root.pickles.get(3),
        (Some(TensorSource::Pickle), _) => root.pickles.first(),
        _ => {
            let complete = examined.iter().all(|examined| examined.unread.is_empty());
            return Ok(Listing {
                tensors: examined.into_iter().flat_map(|examined| examined.tensors).collect(),
                complete,
            });
        }
    };
    Ok(pickle.map_or_else(Listing::default, |stream| tensors(&stream.trace)))
}

/// The tensors that the value of a pickle holds, in the order in which it names them.
pub fn tensors(trace: &Trace) -> Listing {
    // Without a root that is asked for, there is always one.
    let mut tensors = Vec::new();
    let names = walk(trace, true).named(None, |named| {
        if let (Some(shape), None, false) = (named.tensor.shown_shape(), named.blocked, named.hidden) {
            tensors.push(Tensor { name: named.name, dtype: named.tensor.word.into_owned(), shape });
        }
    });
    let Ok(names) = names else { return Listing::default() };
    Listing { tensors, complete: names.lacking.is_none() && trace.end == StreamEnd::Stop }
}
