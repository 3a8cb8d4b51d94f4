//! Constructors of numpy arrays: `_reconstruct` with its state, `_frombuffer` of protocol 5, masked arrays, and the wrappers of
//! joblib, whose elements are between the opcodes.

use crate::bytes::dtype::Dtype;
use crate::values::constructed::Constructed;
use crate::values::tensor::{Component, MemoryOrder, TensorData, TensorDescription};
use crate::values::trace_ext::{field, import, sequence, shape};
use scanner::internal::format::readers::joblib_array;
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, NodeId, Value};

/// The result of a call of numpy or joblib; `None` for functions that do not make arrays.
pub(crate) fn construct(trace: &Trace, node: NodeId, made: &Call) -> Option<Constructed> {
    match import(trace, made.callee)? {
        ("numpy._core.multiarray" | "numpy.core.multiarray", "_reconstruct") => {
            // The state is (version, shape, dtype, fortran, data); the first versions of numpy wrote no version.
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

/// Whether the function makes arrays, whatever its arguments are.
pub(crate) fn is_array_constructor((module, function): (&str, &str)) -> bool {
    let known = matches!(function, "_reconstruct" | "_frombuffer" | "_mareconstruct") && module.starts_with("numpy.");
    known || function == "NumpyArrayWrapper" && module.contains("joblib")
}

/// Where the elements of an array are.
enum ArrayData {
    Literal(Value),
    Inline(NodeId),
}

fn array(trace: &Trace, size: Value, dtype: Value, fortran: bool, data: ArrayData) -> Option<Constructed> {
    let descr = dtype_descr(trace, dtype)?;
    let Some(element_size) = joblib_array::item_size(trace, dtype)? else {
        // Objects: a list of any values. Those of joblib are in a pickle of their own.
        return Some(match data {
            ArrayData::Literal(data) => Constructed::Argument(data),
            ArrayData::Inline(_) => Constructed::ObjectArray,
        });
    };
    let known = Dtype::from_numpy(&descr).filter(|(dtype, _)| dtype.size() == element_size);
    let (dtype, big_endian) = known.unzip();
    let order = MemoryOrder { fortran, big_endian: big_endian.unwrap_or(false) };
    let elements = match data {
        ArrayData::Literal(data) => TensorData::Literal { data, order },
        ArrayData::Inline(node) => TensorData::Inline { node, order },
    };
    let dtype_name =
        dtype.filter(|_| !order.big_endian).map_or_else(|| descr.clone().into(), |dtype| dtype.name().into());
    Some(Constructed::Tensor(TensorDescription {
        dtype_name,
        dtype,
        element_size,
        shape: shape(trace, size),
        elements,
        components: Vec::new(),
    }))
}

/// A masked array. The state is (version, shape, dtype, fortran, data, mask, fill value).
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
    let components = vec![("data", Component::Tensor(data)), ("mask", Component::Tensor(mask))];
    Some(Constructed::Composite { kind: "masked", components })
}

/// The bytes of a buffer, which is `bytes` or a `bytearray` of them.
fn buffer_bytes(trace: &Trace, data: Value) -> Value {
    let made = trace
        .made(data)
        .filter(|made| matches!(import(trace, made.callee), Some(("builtins" | "__builtin__", "bytearray"))));
    made.and_then(|made| sequence(trace, made.args)?.first().copied()).unwrap_or(data)
}

/// The descriptor (`<f4`) of `numpy.dtype("f4", ...)` with the state `(3, "<", ...)`.
fn dtype_descr(trace: &Trace, dtype: Value) -> Option<String> {
    let made = trace.made(dtype)?;
    if import(trace, made.callee)? != ("numpy", "dtype") {
        return None;
    }
    let text = trace.text(*sequence(trace, made.args)?.first()?, 64)?;
    let order = made.states().last().and_then(|state| trace.text(*sequence(trace, *state)?.get(1)?, 4));
    Some(format!("{}{text}", order.unwrap_or_default()))
}
