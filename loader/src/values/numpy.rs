//! Arrays of numpy inside a pickle: `_reconstruct` and its state, buffers of protocol 5, and joblib's wrappers, whose
//! numbers stand between the opcodes.

use crate::bytes::dtype::Dtype;
use crate::values::constructed::Constructed;
use crate::values::tensor::{Component, MemoryOrder, TensorData, TensorDescription};
use crate::values::trace_ext::{field, import, sequence, shape};
use scanner::internal::format::joblib;
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, NodeId, Value};

/// What a call of numpy's or joblib's makes; `None` where it makes no array.
pub(crate) fn construct(trace: &Trace, node: NodeId, made: &Call) -> Option<Constructed> {
    match import(trace, made.callee)? {
        ("numpy._core.multiarray" | "numpy.core.multiarray", "_reconstruct") => {
            // Version, shape, type, order, data; the first numpys wrote no version.
            let [size, dtype, fortran, data] = match *sequence(trace, *made.states().last()?)? {
                [_, size, dtype, fortran, data] | [size, dtype, fortran, data] => [size, dtype, fortran, data],
                _ => return None,
            };
            let fortran = matches!(fortran, Value::Bool(true) | Value::Int(1));
            array(trace, size, dtype, fortran, ArrayData::Literal(data))
        }
        ("numpy._core.numeric" | "numpy.core.numeric", "_frombuffer") => {
            let [data, dtype, size, order] = *sequence(trace, made.args)? else { return None };
            let fortran = trace.text(order, 4).as_deref() == Some("F");
            array(trace, size, dtype, fortran, ArrayData::Literal(buffer_bytes(trace, data)))
        }
        ("numpy.ma.core", "_mareconstruct") => masked(trace, *made.states().last()?),
        ("joblib.numpy_pickle" | "sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper") => {
            let state = *made.states().last()?;
            let fortran =
                field(trace, state, "order").is_some_and(|order| trace.text(order, 4).as_deref() == Some("F"));
            array(trace, field(trace, state, "shape")?, field(trace, state, "dtype")?, fortran, ArrayData::Inline(node))
        }
        _ => None,
    }
}

/// Whether it makes arrays, whatever it is given.
pub(crate) fn is_array_constructor((module, function): (&str, &str)) -> bool {
    let known = matches!(function, "_reconstruct" | "_frombuffer" | "_mareconstruct") && module.starts_with("numpy.");
    known || function == "NumpyArrayWrapper" && module.contains("joblib")
}

enum ArrayData {
    Literal(Value),
    Inline(NodeId),
}

fn array(trace: &Trace, size: Value, dtype: Value, fortran: bool, source: ArrayData) -> Option<Constructed> {
    let descr = dtype_descr(trace, dtype)?;
    let item = joblib::item_size(trace, dtype)?;
    let Some(item) = item else {
        // Objects: a list of anything, arrays too. joblib's are in a pickle of their own.
        return Some(match source {
            ArrayData::Literal(data) => Constructed::Argument(data),
            ArrayData::Inline(_) => Constructed::ObjectArray,
        });
    };
    let (dtype, big) = Dtype::from_numpy(&descr).filter(|(dtype, _)| dtype.size() == item).unzip();
    let order = MemoryOrder { fortran, big_endian: big.unwrap_or(false) };
    let numbers = match source {
        ArrayData::Literal(data) => TensorData::Literal { data, order },
        ArrayData::Inline(node) => TensorData::Inline { node, order },
    };
    let word = dtype.filter(|_| !order.big_endian).map_or_else(|| descr.clone().into(), |dtype| dtype.name().into());
    Some(Constructed::Tensor(TensorDescription {
        dtype_name: word,
        dtype,
        element_size: item,
        shape: shape(trace, size),
        elements: numbers,
        components: Vec::new(),
    }))
}

/// Version, shape, type, order, data, mask, and what stands for what is masked.
fn masked(trace: &Trace, state: Value) -> Option<Constructed> {
    let [_, size, dtype, fortran, data, mask, _] = *sequence(trace, state)? else { return None };
    let fortran = matches!(fortran, Value::Bool(true) | Value::Int(1));
    let Constructed::Tensor(data) = array(trace, size, dtype, fortran, ArrayData::Literal(data))? else { return None };
    let order = MemoryOrder { fortran, big_endian: false };
    let mask = TensorDescription::new(
        Dtype::from_name("BOOL")?,
        data.shape.clone(),
        TensorData::Literal { data: mask, order },
    );
    let parts = vec![("data", Component::Tensor(data)), ("mask", Component::Tensor(mask))];
    Some(Constructed::Composite { kind: "masked", components: parts })
}

/// A buffer is bytes, or a `bytearray` of them.
fn buffer_bytes(trace: &Trace, data: Value) -> Value {
    let made = trace
        .made(data)
        .filter(|made| matches!(import(trace, made.callee), Some(("builtins" | "__builtin__", "bytearray"))));
    made.and_then(|made| sequence(trace, made.args)?.first().copied()).unwrap_or(data)
}

/// `numpy.dtype("f4", ...)` and its state `(3, "<", ...)`: the type with its byte order.
fn dtype_descr(trace: &Trace, dtype: Value) -> Option<String> {
    let made = trace.made(dtype)?;
    if import(trace, made.callee)? != ("numpy", "dtype") {
        return None;
    }
    let text = trace.text(*sequence(trace, made.args)?.first()?, 64)?;
    let order = made.states().last().and_then(|state| trace.text(*sequence(trace, *state)?.get(1)?, 4));
    Some(format!("{}{text}", order.unwrap_or_default()))
}
