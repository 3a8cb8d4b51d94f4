//! What torch's constructors make of their arguments: a closed set. Layout of the arguments: weights.md section 3.4.

use crate::dtype::Dtype;
use crate::reading::{call, container, field, import, row, shape};
use crate::tensor::{Beside, Numbers, Stored, Tensor};
use crate::walk::{Meaning, pairs_of};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, CallKind, ContainerKind, Value};

/// What the call of a function of torch gives; `None` where it is none that makes tensors.
pub(crate) fn meaning(trace: &Trace, function: Value, args: Value) -> Option<Meaning> {
    let (module, function) = import(trace, function)?;
    if !matches!(module, "torch._utils" | "torch._tensor" | "torch.tensor" | "torch.nn.parameter") {
        return None;
    }
    let args = row(trace, args)?;
    let arg = |index: usize| args.get(index).copied();
    match function {
        "_rebuild_tensor" | "_rebuild_tensor_v2" => stored(trace, args, stored_type(trace, arg(0)?), arg(6)),
        "_rebuild_tensor_v3" => stored(trace, args, named(trace, arg(6)?), arg(7)),
        "_rebuild_qtensor" => quantized(trace, args),
        "_rebuild_meta_tensor_no_storage" => absent(named(trace, arg(0)?)?, shape(trace, arg(1)?)),
        "_rebuild_parameter" | "_rebuild_parameter_with_state" | "Parameter" => Some(Meaning::Same(arg(0)?)),
        // On its device it has the type that is named here; what is stored may be wider.
        "_rebuild_device_tensor_from_numpy" | "_rebuild_device_tensor_from_cpu_tensor" | "_rebuild_xla_tensor" => {
            Some(Meaning::Same(arg(0)?))
        }
        "_rebuild_from_type_v2" => Some(Meaning::Calls { function: arg(0)?, args: arg(2)? }),
        "_rebuild_sparse_tensor" => sparse(trace, arg(0)?, arg(1)?),
        "_rebuild_nested_tensor" => {
            let words = ["buffer", "sizes", "strides", "offsets"];
            Some(Meaning::Parts { kind: "nested", parts: parts(args, &words)? })
        }
        "_rebuild_wrapper_subclass" => {
            let why = "a subclass that wraps another tensor, whose numbers it does not hold itself";
            Some(Meaning::Tensor(Tensor::plain(named(trace, arg(1)?)?, shape(trace, arg(2)?), Numbers::Wrong(why))))
        }
        _ => None,
    }
}

/// The class that a tensor is given, and the attributes that are set on it, by the functions that do that.
pub(crate) fn attributes(trace: &Trace, made: &Call) -> Option<(Option<Value>, Value)> {
    match (import(trace, made.callee)?.1, row(trace, made.args)?) {
        ("_rebuild_from_type_v2", [_, class, _, state, ..]) => Some((Some(*class), *state)),
        ("_rebuild_parameter_with_state", [_, _, _, state, ..]) => Some((None, *state)),
        _ => None,
    }
}

/// Whether it makes tensors, whatever it is given.
pub(crate) fn makes_tensors((module, function): (&str, &str)) -> bool {
    module.starts_with("torch") && function.starts_with("_rebuild_")
}

/// `(storage, offset, size, stride, ..)`.
fn stored(trace: &Trace, args: &[Value], dtype: Option<Dtype>, metadata: Option<Value>) -> Option<Meaning> {
    let [storage, offset, size, stride, ..] = *args else { return None };
    let numbers = match (whole(offset), shape(trace, stride), bits(trace, metadata)) {
        (Some(offset), Some(stride), Some([conj, neg])) => {
            Numbers::Stored(Stored { storage, offset, stride, conj, neg })
        }
        (.., None) => Numbers::Wrong("its metadata is more than the bits conj and neg"),
        _ => Numbers::Wrong("its offset or strides are no whole numbers"),
    };
    Some(Meaning::Tensor(Tensor::plain(dtype?, shape(trace, size), numbers)))
}

/// Whether the conj and the neg bit are set; `None` where the metadata says anything else.
fn bits(trace: &Trace, metadata: Option<Value>) -> Option<[bool; 2]> {
    let Some(metadata) = metadata.filter(|metadata| *metadata != Value::None) else { return Some([false; 2]) };
    let (ContainerKind::Dict, items) = container(trace, metadata)? else { return None };
    if trace.heap.changed_after_capture(metadata) {
        return None;
    }
    let known = pairs_of(items).all(|[key, value]| {
        matches!(trace.text(key, 8).as_deref(), Some("conj" | "neg")) && matches!(value, Value::Bool(_))
    });
    let flag = |key| field(trace, metadata, key) == Some(Value::Bool(true));
    (known && items.complete()).then(|| [flag("conj"), flag("neg")])
}

fn absent(dtype: Dtype, shape: Option<Vec<u64>>) -> Option<Meaning> {
    Some(Meaning::Tensor(Tensor::plain(dtype, shape, Numbers::Absent)))
}

/// `(storage, offset, size, stride, (scheme, scale, zero point) or (scheme, scales, zero points, axis), ..)`.
fn quantized(trace: &Trace, args: &[Value]) -> Option<Meaning> {
    let dtype = stored_type(trace, *args.first()?);
    let Meaning::Tensor(mut tensor) = stored(trace, args, dtype, None)? else { return None };
    match *row(trace, *args.get(4)?)? {
        [_, scale, zero_point] => {
            let scale = match scale {
                Value::Float(scale) => scale,
                Value::Int(scale) => scale as f64,
                _ => return None,
            };
            let Value::Int(zero_point) = zero_point else { return None };
            tensor.beside = vec![
                ("scale", Beside::Made(Tensor::made("F64", vec![], scale.to_le_bytes())?)),
                ("zero_point", Beside::Made(Tensor::made("I64", vec![], zero_point.to_le_bytes())?)),
            ];
        }
        [_, scales, zero_points, Value::Int(axis)] => {
            tensor.beside = vec![
                ("scales", Beside::Value(scales)),
                ("zero_points", Beside::Value(zero_points)),
                ("axis", Beside::Made(Tensor::made("I64", vec![], axis.to_le_bytes())?)),
            ];
        }
        _ => return None,
    }
    Some(Meaning::Tensor(tensor))
}

fn whole(value: Value) -> Option<u64> {
    match value {
        Value::Int(value) => u64::try_from(value).ok(),
        _ => None,
    }
}

/// The type of a storage, which stands behind a persistent id: `("storage", class, key, location, count)`.
fn stored_type(trace: &Trace, storage: Value) -> Option<Dtype> {
    let call = call(trace, storage).filter(|call| call.how == CallKind::Persistent)?;
    let (_, class) = import(trace, *row(trace, call.args)?.get(1)?)?;
    Dtype::of_storage(class.rsplit('.').next()?)
}

/// A type that is imported: `torch.uint16`.
fn named(trace: &Trace, dtype: Value) -> Option<Dtype> {
    import(trace, dtype).filter(|(module, _)| *module == "torch").and_then(|(_, name)| Dtype::of_torch(name))
}

/// The layout is `torch.serialization._get_layout("torch.sparse_coo")`.
fn sparse(trace: &Trace, layout: Value, data: Value) -> Option<Meaning> {
    let layout = *row(trace, call(trace, layout)?.args)?.first()?;
    let data = row(trace, data)?;
    let (kind, words): (_, &[&'static str]) = match trace.text(layout, 64)?.as_str() {
        "torch.sparse_coo" => ("sparse_coo", &["indices", "values"]),
        "torch.sparse_csr" => ("sparse_csr", &["crow_indices", "col_indices", "values"]),
        "torch.sparse_bsr" => ("sparse_bsr", &["crow_indices", "col_indices", "values"]),
        "torch.sparse_csc" => ("sparse_csc", &["ccol_indices", "row_indices", "values"]),
        "torch.sparse_bsc" => ("sparse_bsc", &["ccol_indices", "row_indices", "values"]),
        _ => return None,
    };
    let mut parts = parts(data, words)?;
    // The size of the whole: what the indices are indices into.
    let size = shape(trace, *data.get(words.len())?)?;
    let bytes: Vec<u8> = size.iter().flat_map(|length| length.to_le_bytes()).collect();
    parts.push(("size", Beside::Made(Tensor::made("I64", vec![size.len() as u64], bytes)?)));
    Some(Meaning::Parts { kind, parts })
}

fn parts(values: &[Value], words: &[&'static str]) -> Option<Vec<(&'static str, Beside)>> {
    let parts = || words.iter().copied().zip(values.iter().map(|value| Beside::Value(*value))).collect();
    (values.len() >= words.len()).then(parts)
}
