//! Constructors of tensors in torch: a closed set of functions of `torch._utils` and a few other modules.

use crate::bytes::dtype::Dtype;
use crate::values::constructed::Constructed;
use crate::values::tensor::{Component, InvalidTensor, StorageView, TensorData, TensorDescription};
use crate::values::trace_ext::{field, import, key_value_pairs, sequence, shape};
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, CallKind, ContainerKind, Value};

/// The result of a call of torch; `None` for functions that do not make tensors and for arguments that torch does not write.
pub(crate) fn construct(trace: &Trace, function: Value, args: Value) -> Option<Constructed> {
    let (module, function) = import(trace, function)?;
    if !matches!(module, "torch._utils" | "torch._tensor" | "torch.tensor" | "torch.nn.parameter") {
        return None;
    }
    let args = sequence(trace, args)?;
    let arg = |index: usize| args.get(index).copied();
    match function {
        "_rebuild_tensor" | "_rebuild_tensor_v2" => storage_view(trace, args, storage_dtype(trace, arg(0)?), arg(6)),
        "_rebuild_tensor_v3" => storage_view(trace, args, imported_dtype(trace, arg(6)?), arg(7)),
        "_rebuild_qtensor" => quantized(trace, args),
        "_rebuild_meta_tensor_no_storage" => meta_tensor(imported_dtype(trace, arg(0)?)?, shape(trace, arg(1)?)),
        "_rebuild_parameter" | "_rebuild_parameter_with_state" | "Parameter" => Some(Constructed::Argument(arg(0)?)),
        // The tensor on the device may have a narrower type; the elements are those of the argument.
        "_rebuild_device_tensor_from_numpy" | "_rebuild_device_tensor_from_cpu_tensor" | "_rebuild_xla_tensor" => {
            Some(Constructed::Argument(arg(0)?))
        }
        "_rebuild_from_type_v2" => Some(Constructed::Call { function: arg(0)?, args: arg(2)? }),
        "_rebuild_sparse_tensor" => sparse(trace, arg(0)?, arg(1)?),
        "_rebuild_nested_tensor" => {
            let names = ["buffer", "sizes", "strides", "offsets"];
            Some(Constructed::Composite { kind: "nested", components: components(args, &names)? })
        }
        "_rebuild_wrapper_subclass" => Some(Constructed::Tensor(TensorDescription::new(
            imported_dtype(trace, arg(1)?)?,
            shape(trace, arg(2)?),
            TensorData::Invalid(InvalidTensor::Wrapper),
        ))),
        _ => None,
    }
}

/// The class and the attributes that a call sets on the tensor that it makes.
pub(crate) fn tensor_attributes(trace: &Trace, made: &Call) -> Option<(Option<Value>, Value)> {
    match (import(trace, made.callee)?.1, sequence(trace, made.args)?) {
        ("_rebuild_from_type_v2", [_, class, _, state, ..]) => Some((Some(*class), *state)),
        ("_rebuild_parameter_with_state", [_, _, _, state, ..]) => Some((None, *state)),
        _ => None,
    }
}

/// Whether the function makes tensors, whatever its arguments are.
pub(crate) fn is_tensor_constructor((module, function): (&str, &str)) -> bool {
    module.starts_with("torch") && function.starts_with("_rebuild_")
}

/// `(storage, offset, size, stride, ..)`.
fn storage_view(trace: &Trace, args: &[Value], dtype: Option<Dtype>, metadata: Option<Value>) -> Option<Constructed> {
    let [storage, offset, size, stride, ..] = *args else { return None };
    let elements = match (unsigned(offset), shape(trace, stride), conj_and_neg(trace, metadata)) {
        (Some(offset), Some(stride), Some([conj, neg])) => {
            TensorData::Storage(StorageView { storage, offset, stride, conj, neg })
        }
        (.., None) => TensorData::Invalid(InvalidTensor::Metadata),
        _ => TensorData::Invalid(InvalidTensor::OffsetOrStrides),
    };
    Some(Constructed::Tensor(TensorDescription::new(dtype?, shape(trace, size), elements)))
}

/// Whether the conj bit and the neg bit are set; `None` where the metadata has anything else.
fn conj_and_neg(trace: &Trace, metadata: Option<Value>) -> Option<[bool; 2]> {
    let Some(metadata) = metadata.filter(|metadata| *metadata != Value::None) else { return Some([false; 2]) };
    let (ContainerKind::Dict, items) = trace.container(metadata)? else { return None };
    if trace.heap.changed_after_capture(metadata) {
        return None;
    }
    let known = key_value_pairs(items).all(|[key, value]| {
        matches!(trace.text(key, 8).as_deref(), Some("conj" | "neg")) && matches!(value, Value::Bool(_))
    });
    let flag = |key| field(trace, metadata, key) == Some(Value::Bool(true));
    (known && items.complete()).then(|| [flag("conj"), flag("neg")])
}

fn meta_tensor(dtype: Dtype, shape: Option<Vec<u64>>) -> Option<Constructed> {
    Some(Constructed::Tensor(TensorDescription::new(dtype, shape, TensorData::Meta)))
}

/// `(storage, offset, size, stride, (scheme, scale, zero point) or (scheme, scales, zero points, axis), ..)`.
fn quantized(trace: &Trace, args: &[Value]) -> Option<Constructed> {
    let dtype = storage_dtype(trace, *args.first()?);
    let Constructed::Tensor(mut tensor) = storage_view(trace, args, dtype, None)? else { return None };
    match *sequence(trace, *args.get(4)?)? {
        [_, scale, zero_point] => {
            let scale = match scale {
                Value::Float(scale) => scale,
                Value::Int(scale) => scale as f64,
                _ => return None,
            };
            let Value::Int(zero_point) = zero_point else { return None };
            tensor.components = vec![
                ("scale", Component::Tensor(TensorDescription::from_bytes("F64", vec![], scale.to_le_bytes())?)),
                (
                    "zero_point",
                    Component::Tensor(TensorDescription::from_bytes("I64", vec![], zero_point.to_le_bytes())?),
                ),
            ];
        }
        [_, scales, zero_points, Value::Int(axis)] => {
            tensor.components = vec![
                ("scales", Component::Value(scales)),
                ("zero_points", Component::Value(zero_points)),
                ("axis", Component::Tensor(TensorDescription::from_bytes("I64", vec![], axis.to_le_bytes())?)),
            ];
        }
        _ => return None,
    }
    Some(Constructed::Tensor(tensor))
}

fn unsigned(value: Value) -> Option<u64> {
    match value {
        Value::Int(value) => u64::try_from(value).ok(),
        _ => None,
    }
}

/// The element type of a storage. Its persistent id is `("storage", class, key, location, count)`.
fn storage_dtype(trace: &Trace, storage: Value) -> Option<Dtype> {
    let call = trace.made(storage).filter(|call| call.how == CallKind::Persistent)?;
    let (_, class) = import(trace, *sequence(trace, call.args)?.get(1)?)?;
    Dtype::from_storage_class(class.rsplit('.').next()?)
}

/// An imported element type: `torch.uint16`.
fn imported_dtype(trace: &Trace, dtype: Value) -> Option<Dtype> {
    import(trace, dtype).filter(|(module, _)| *module == "torch").and_then(|(_, name)| Dtype::from_torch(name))
}

/// A sparse tensor. `layout` is `torch.serialization._get_layout("torch.sparse_coo")`.
fn sparse(trace: &Trace, layout: Value, data: Value) -> Option<Constructed> {
    let layout = *sequence(trace, trace.made(layout)?.args)?.first()?;
    let data = sequence(trace, data)?;
    let (kind, names): (_, &[&'static str]) = match trace.text(layout, 64)?.as_str() {
        "torch.sparse_coo" => ("sparse_coo", &["indices", "values"]),
        "torch.sparse_csr" => ("sparse_csr", &["crow_indices", "col_indices", "values"]),
        "torch.sparse_bsr" => ("sparse_bsr", &["crow_indices", "col_indices", "values"]),
        "torch.sparse_csc" => ("sparse_csc", &["ccol_indices", "row_indices", "values"]),
        "torch.sparse_bsc" => ("sparse_bsc", &["ccol_indices", "row_indices", "values"]),
        _ => return None,
    };
    let mut components = components(data, names)?;
    // The shape of the tensor: the indices refer to it.
    let size = shape(trace, *data.get(names.len())?)?;
    let bytes: Vec<u8> = size.iter().flat_map(|length| length.to_le_bytes()).collect();
    components.push(("size", Component::Tensor(TensorDescription::from_bytes("I64", vec![size.len() as u64], bytes)?)));
    Some(Constructed::Composite { kind, components })
}

fn components(values: &[Value], words: &[&'static str]) -> Option<Vec<(&'static str, Component)>> {
    let parts = || words.iter().copied().zip(values.iter().map(|value| Component::Value(*value))).collect();
    (values.len() >= words.len()).then(parts)
}
