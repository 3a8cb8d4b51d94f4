//! What torch's constructors make of their arguments. Shapes and types stand there; the numbers are elsewhere.

use crate::dtype;
use crate::reading::{call, name, row, shape};
use crate::walk::Meaning;
use scanner::pickle::Trace;
use scanner::pickle::value::{How, Value};
use scanner::seen::Tensor;

/// What the call of a function of torch gives; `None` where it is none that makes tensors.
pub(crate) fn meaning(trace: &Trace, function: &str, args: Value) -> Option<Meaning> {
    let (module, function) = function.rsplit_once('.')?;
    if !matches!(module, "torch._utils" | "torch._tensor" | "torch.tensor" | "torch.nn.parameter") {
        return None;
    }
    let args = row(trace, args)?;
    let arg = |index: usize| args.get(index).copied();
    match function {
        "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_qtensor" => {
            tensor(stored(trace, arg(0)?)?, shape(trace, arg(2)?)?)
        }
        "_rebuild_tensor_v3" => tensor(&named(trace, arg(6)?)?, shape(trace, arg(2)?)?),
        "_rebuild_meta_tensor_no_storage" => tensor(&named(trace, arg(0)?)?, shape(trace, arg(1)?)?),
        "_rebuild_wrapper_subclass" => tensor(&named(trace, arg(1)?)?, shape(trace, arg(2)?)?),
        // Their own type is another than the stored one at times; listed is what is stored.
        "_rebuild_parameter"
        | "_rebuild_parameter_with_state"
        | "_rebuild_device_tensor_from_numpy"
        | "_rebuild_device_tensor_from_cpu_tensor"
        | "_rebuild_xla_tensor"
        | "Parameter" => Some(Meaning::Same(arg(0)?)),
        "_rebuild_from_type_v2" => Some(Meaning::Calls { function: name(trace, arg(0)?)?, args: arg(2)? }),
        "_rebuild_sparse_tensor" => sparse(trace, arg(0)?, arg(1)?),
        "_rebuild_nested_tensor" => parts(args, &["buffer", "sizes", "strides", "offsets"]),
        _ => None,
    }
}

fn tensor(word: &str, mut shape: Vec<u64>) -> Option<Meaning> {
    let dtype = dtype::of_torch(word);
    // torch counts bytes here, safetensors the two numbers in each.
    if dtype == "F4" {
        let last = shape.last_mut()?;
        *last = last.checked_mul(2)?;
    }
    Some(Meaning::Tensor(Tensor { name: String::new(), dtype: dtype.to_owned(), shape }))
}

/// The type of a storage, which stands behind a persistent id: `("storage", class, key, location, count)`.
fn stored(trace: &Trace, storage: Value) -> Option<&'static str> {
    let call = call(trace, storage).filter(|call| call.how == How::Persistent)?;
    let class = name(trace, *row(trace, call.args)?.get(1)?)?;
    dtype::of_storage(class.rsplit('.').next()?)
}

/// A type that is imported: `torch.uint16`.
fn named(trace: &Trace, dtype: Value) -> Option<String> {
    name(trace, dtype)?.strip_prefix("torch.").map(str::to_owned)
}

/// The layout is `torch.serialization._get_layout("torch.sparse_coo")`.
fn sparse(trace: &Trace, layout: Value, data: Value) -> Option<Meaning> {
    let layout = *row(trace, call(trace, layout)?.args)?.first()?;
    let names: &[&'static str] = match trace.text(layout, 64)?.as_str() {
        "torch.sparse_coo" => &["indices", "values"],
        "torch.sparse_csr" | "torch.sparse_bsr" => &["crow_indices", "col_indices", "values"],
        "torch.sparse_csc" | "torch.sparse_bsc" => &["ccol_indices", "row_indices", "values"],
        _ => return None,
    };
    parts(row(trace, data)?, names)
}

fn parts(values: &[Value], names: &[&'static str]) -> Option<Meaning> {
    (values.len() >= names.len()).then(|| Meaning::Parts(names.iter().copied().zip(values.iter().copied()).collect()))
}
