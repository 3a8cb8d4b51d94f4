//! Lists the tensors of a file by name, type and shape, without clearance. A listing says nothing about safety.
//!
//! The limits of a scan keep few values of each pickle. So the file is examined once more with higher limits.

use crate::open::with_loader_limits;
use crate::values::walk::walk;
use scanner::Limits;
use scanner::directory::open_named;
use scanner::formats::TensorStore;
use scanner::internal::examine::examine;
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::observe::layout::Layout;
use scanner::internal::observe::observations::{Retain, Tensor};
use scanner::internal::pickle::{StreamEnd, Trace};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Names, types and shapes of the tensors of a file.
#[derive(Debug, Default)]
pub struct TensorListing {
    /// The tensors in the order of the pickle or header.
    pub tensors: Vec<Tensor>,
    /// Whether these are all tensors: no limit was reached.
    pub complete: bool,
}

/// Lists the tensors of a file: those of its header, or of the pickle that its library loads. The listing is empty for other
/// formats.
///
/// # Errors
/// When the file cannot be read.
///
/// ```
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/clean/torch/torch215/state-dict.pt");
/// let listing = loader::list(path.as_ref(), &scanner::Limits::default())?;
/// for tensor in &listing.tensors {
///     println!("{} {} {:?}", tensor.name, tensor.dtype, tensor.shape);
/// }
/// # assert!(listing.complete && !listing.tensors.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn list(path: &Path, limits: &Limits) -> io::Result<TensorListing> {
    let (file, name) = open_named(path)?;
    let limits = with_loader_limits(limits);
    let keep = Retain { events: false, layout: true };
    let examined = examine(Arc::new(file), &name, &ScanBudget::start(Arc::new(limits)), keep).artifacts;
    let Some(root) = examined.first() else { return Ok(TensorListing::default()) };
    let pickle = match (root.tensor_store(), &root.layout) {
        (Some(TensorStore::TorchZip), Some(Layout::TorchZip(zip))) => {
            let name = format!("{}/data.pkl", zip.root);
            let member = examined
                .iter()
                .find(|examined| examined.member_path.path().is_some_and(|p| p.eq_ignore_ascii_case(&name)));
            member.and_then(|examined| examined.pickles.first())
        }
        (Some(TensorStore::TorchZip), _) => None,
        // The first three pickles are magic number, protocol version and system information.
        (Some(TensorStore::TorchLegacy), _) => root.pickles.get(3),
        (Some(TensorStore::Pickle), _) => root.pickles.first(),
        _ => {
            let complete = examined.iter().all(|examined| examined.unread.is_empty());
            return Ok(TensorListing {
                tensors: examined.into_iter().flat_map(|examined| examined.tensors).collect(),
                complete,
            });
        }
    };
    Ok(pickle.map_or_else(TensorListing::default, |stream| list_trace(&stream.trace)))
}

/// Lists the tensors of the value of a pickle.
pub fn list_trace(trace: &Trace) -> TensorListing {
    // Naming fails only for a root that does not exist, and none is given.
    let mut tensors = Vec::new();
    let names = walk(trace, true).name_tensors(None, |named| {
        if let (Some(shape), None, false) = (named.tensor.safetensors_shape(), named.excluded, named.auxiliary) {
            tensors.push(Tensor { name: named.name, dtype: named.tensor.dtype_name.into_owned(), shape });
        }
    });
    let Ok(names) = names else { return TensorListing::default() };
    TensorListing { tensors, complete: names.incomplete_reason.is_none() && trace.end == StreamEnd::Stop }
}
