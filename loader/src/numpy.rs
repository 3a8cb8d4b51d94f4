//! Arrays of numpy inside a pickle: `_reconstruct` and its state, buffers of protocol 5, and joblib's wrappers, whose
//! numbers stand between the opcodes.

use crate::dtype::Dtype;
use crate::reading::{call, field, import, row, shape};
use crate::tensor::{Beside, Numbers, Order, Tensor};
use crate::walk::Meaning;
use scanner::internal::format::readers::joblib_array;
use scanner::internal::pickle::Trace;
use scanner::internal::pickle::value::{Call, NodeId, Value};

/// What a call of numpy's or joblib's makes; `None` where it makes no array.
pub(crate) fn meaning(trace: &Trace, node: NodeId, made: &Call) -> Option<Meaning> {
    match import(trace, made.callee)? {
        ("numpy._core.multiarray" | "numpy.core.multiarray", "_reconstruct") => {
            // Version, shape, type, order, data; the first numpys wrote no version.
            let [size, dtype, fortran, data] = match *row(trace, *made.states().last()?)? {
                [_, size, dtype, fortran, data] | [size, dtype, fortran, data] => [size, dtype, fortran, data],
                _ => return None,
            };
            let fortran = matches!(fortran, Value::Bool(true) | Value::Int(1));
            array(trace, size, dtype, fortran, Source::Literal(data))
        }
        ("numpy._core.numeric" | "numpy.core.numeric", "_frombuffer") => {
            let [data, dtype, size, order] = *row(trace, made.args)? else { return None };
            let fortran = trace.text(order, 4).as_deref() == Some("F");
            array(trace, size, dtype, fortran, Source::Literal(buffer(trace, data)))
        }
        ("numpy.ma.core", "_mareconstruct") => masked(trace, *made.states().last()?),
        ("joblib.numpy_pickle" | "sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper") => {
            let state = *made.states().last()?;
            let fortran =
                field(trace, state, "order").is_some_and(|order| trace.text(order, 4).as_deref() == Some("F"));
            array(trace, field(trace, state, "shape")?, field(trace, state, "dtype")?, fortran, Source::Inline(node))
        }
        _ => None,
    }
}

/// Whether it makes arrays, whatever it is given.
pub(crate) fn makes_arrays((module, function): (&str, &str)) -> bool {
    let known = matches!(function, "_reconstruct" | "_frombuffer" | "_mareconstruct") && module.starts_with("numpy.");
    known || function == "NumpyArrayWrapper" && module.contains("joblib")
}

enum Source {
    Literal(Value),
    Inline(NodeId),
}

fn array(trace: &Trace, size: Value, dtype: Value, fortran: bool, source: Source) -> Option<Meaning> {
    let descr = descr(trace, dtype)?;
    let item = joblib_array::item_size(trace, dtype)?;
    let Some(item) = item else {
        // Objects: a list of anything, arrays too. joblib's are in a pickle of their own.
        return Some(match source {
            Source::Literal(data) => Meaning::Same(data),
            Source::Inline(_) => Meaning::Objects,
        });
    };
    let (dtype, big) = Dtype::of_numpy(&descr).filter(|(dtype, _)| dtype.size() == item).unzip();
    let order = Order { fortran, big: big.unwrap_or(false) };
    let numbers = match source {
        Source::Literal(data) => Numbers::Literal { data, order },
        Source::Inline(node) => Numbers::Inline { node, order },
    };
    let word = dtype.filter(|_| !order.big).map_or_else(|| descr.clone().into(), |dtype| dtype.word().into());
    Some(Meaning::Tensor(Tensor { word, dtype, item, shape: shape(trace, size), numbers, beside: Vec::new() }))
}

/// Version, shape, type, order, data, mask, and what stands for what is masked.
fn masked(trace: &Trace, state: Value) -> Option<Meaning> {
    let [_, size, dtype, fortran, data, mask, _] = *row(trace, state)? else { return None };
    let fortran = matches!(fortran, Value::Bool(true) | Value::Int(1));
    let Meaning::Tensor(data) = array(trace, size, dtype, fortran, Source::Literal(data))? else { return None };
    let order = Order { fortran, big: false };
    let mask = Tensor::plain(Dtype::named("BOOL")?, data.shape.clone(), Numbers::Literal { data: mask, order });
    let parts = vec![("data", Beside::Made(data)), ("mask", Beside::Made(mask))];
    Some(Meaning::Parts { kind: "masked", parts })
}

/// A buffer is bytes, or a `bytearray` of them.
fn buffer(trace: &Trace, data: Value) -> Value {
    let made = call(trace, data)
        .filter(|made| matches!(import(trace, made.callee), Some(("builtins" | "__builtin__", "bytearray"))));
    made.and_then(|made| row(trace, made.args)?.first().copied()).unwrap_or(data)
}

/// `numpy.dtype("f4", ...)` and its state `(3, "<", ...)`: the type with its byte order.
fn descr(trace: &Trace, dtype: Value) -> Option<String> {
    let made = call(trace, dtype)?;
    if import(trace, made.callee)? != ("numpy", "dtype") {
        return None;
    }
    let text = trace.text(*row(trace, made.args)?.first()?, 64)?;
    let order = made.states().last().and_then(|state| trace.text(*row(trace, *state)?.get(1)?, 4));
    Some(format!("{}{text}", order.unwrap_or_default()))
}
