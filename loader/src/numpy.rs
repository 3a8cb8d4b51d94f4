//! Arrays of numpy inside a pickle: `_reconstruct` and its state, buffers of protocol 5, and joblib's wrappers, whose
//! numbers stand between the opcodes.

use crate::dtype;
use crate::reading::{call, field, name, row, shape};
use crate::walk::Meaning;
use scanner::pickle::Trace;
use scanner::pickle::value::{Call, Value};
use scanner::seen::Tensor;

/// What a call of numpy's or joblib's makes; `None` where it makes no array.
pub(crate) fn meaning(trace: &Trace, function: &str, made: &Call) -> Option<Meaning> {
    match function {
        "numpy._core.multiarray._reconstruct" | "numpy.core.multiarray._reconstruct" => {
            // Version, shape, type, order, data; the first numpys wrote no version.
            match *row(trace, *made.states.last()?)? {
                [_, size, dtype, _, data] | [size, dtype, _, data] => array(trace, size, dtype, data),
                _ => None,
            }
        }
        "numpy._core.numeric._frombuffer" | "numpy.core.numeric._frombuffer" => {
            let [data, dtype, size, _] = *row(trace, made.args)? else { return None };
            array(trace, size, dtype, data)
        }
        "joblib.numpy_pickle.NumpyArrayWrapper" | "sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper" => {
            let state = *made.states.last()?;
            array(trace, field(trace, state, "shape")?, field(trace, state, "dtype")?, Value::None)
        }
        _ => None,
    }
}

fn array(trace: &Trace, size: Value, dtype: Value, data: Value) -> Option<Meaning> {
    let descr = descr(trace, dtype)?;
    if descr.trim_start_matches('|').starts_with('O') {
        // Objects: a list of anything, arrays too.
        return Some(Meaning::Same(data));
    }
    let dtype = dtype::of_numpy(&descr).to_owned();
    Some(Meaning::Tensor(Tensor { name: String::new(), dtype, shape: shape(trace, size)? }))
}

/// `numpy.dtype("f4", ...)` and its state `(3, "<", ...)`: the type with its byte order.
fn descr(trace: &Trace, dtype: Value) -> Option<String> {
    let made = call(trace, dtype)?;
    if name(trace, made.callee)? != "numpy.dtype" {
        return None;
    }
    let text = trace.text(*row(trace, made.args)?.first()?, 64)?;
    let order = made.states.last().and_then(|state| trace.text(*row(trace, *state)?.get(1)?, 4));
    Some(format!("{}{text}", order.unwrap_or_default()))
}
