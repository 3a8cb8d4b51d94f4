//! Checks of the arguments of inert callables. A callable that calls, imports or allocates by its arguments is inert only with
//! the arguments that picklers write. `data/README.md` gives the reason of each check.

use crate::io::bounds::judge::{
    MAX_ARGUMENT_NAME_BYTES, MAX_ARGUMENT_TEXT_BYTES, MAX_ARRAY_TEXT_BYTES, MAX_GENERATOR_NAME_BYTES, MAX_TREE_NODES,
};
use crate::judge::effect::{self, AllowedUse, CallableEffect, Effect};
use crate::pickle::trace::{Callable, Trace};
use crate::pickle::value::{Call, CallKind, CallableId, ContainerKind, Items, Node, Value};
use std::borrow::Cow;

/// Why arguments fail a check.
pub(super) enum ArgumentProblem {
    /// No pickler writes these.
    Wrong(String),
    /// The trace does not keep them.
    Unknown,
}

type CheckResult = Result<(), ArgumentProblem>;

fn wrong(what: impl Into<String>) -> CheckResult {
    Err(ArgumentProblem::Wrong(what.into()))
}

fn ensure(condition: bool, what: &str) -> CheckResult {
    if condition { Ok(()) } else { wrong(what) }
}

/// The positional arguments of a call.
pub(super) struct Args<'a> {
    trace: &'a Trace,
    pub(super) items: &'a [Value],
}

impl<'a> Args<'a> {
    /// The items of an argument tuple.
    pub(super) fn of(trace: &'a Trace, args: Value) -> Result<Self, ArgumentProblem> {
        match args {
            Value::Node(id) => match trace.heap.get(id) {
                Some(Node::Container { kind: ContainerKind::Tuple, items }) if items.complete() => {
                    Ok(Self { trace, items: &items.kept })
                }
                Some(Node::Container { kind: ContainerKind::Tuple, .. }) => Err(ArgumentProblem::Unknown),
                _ => Err(ArgumentProblem::Wrong("the arguments are no tuple".to_owned())),
            },
            Value::Opaque(ContainerKind::Tuple) => Err(ArgumentProblem::Unknown),
            _ => Err(ArgumentProblem::Wrong("the arguments are no tuple".to_owned())),
        }
    }

    fn get(&self, index: usize) -> Value {
        self.items.get(index).copied().unwrap_or(Value::None)
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn text(&self, index: usize) -> Option<Cow<'a, str>> {
        match self.get(index) {
            Value::Bytes { len, at } if len <= MAX_ARGUMENT_NAME_BYTES => {
                let bytes = crate::io::source::read_vec(self.trace.source.as_ref(), at, len as usize).ok()?;
                String::from_utf8(bytes).ok().map(Cow::Owned)
            }
            value => self.trace.short_text(value, MAX_ARGUMENT_TEXT_BYTES),
        }
    }

    fn container(&self, value: Value) -> Option<(ContainerKind, &'a Items)> {
        self.trace.container(value)
    }

    /// The call whose result the value is.
    fn call(&self, value: Value) -> Option<&'a Call> {
        self.trace.made(value)
    }

    fn global(&self, value: Value) -> Option<(&'a str, &'a str, CallableEffect)> {
        let Value::Global(id) = value else { return None };
        let callable = self.trace.callables.get(id as usize)?;
        Some((callable.module.as_deref()?, callable.name.as_deref()?, effect::lookup(callable)?))
    }

    fn inert_global(&self, value: Value, least: AllowedUse) -> bool {
        self.global(value).is_some_and(|(_, _, known_effect)| {
            known_effect.effect >= Effect::Inert(least) && known_effect.effect <= Effect::Inert(AllowedUse::Call)
        })
    }

    /// Module and name of the callee of the call whose result the value is.
    fn callee(&self, value: Value) -> Option<(&'a str, &'a str)> {
        let (module, name, _) = self.global(self.call(value)?.callee)?;
        Some((module, name))
    }

    /// Non-negative ints of a tuple (or list) of them.
    fn sizes(&self, value: Value) -> Option<Vec<i64>> {
        let (_, items) = match self.call(value) {
            // torch.Size((2, 3))
            Some(call) => {
                let args = Args::of(self.trace, call.args).ok()?;
                self.container(args.get(0))?
            }
            None => self.container(value)?,
        };
        items.complete().then_some(())?;
        items.kept.iter().map(|item| if let Value::Int(size @ 0..) = item { Some(*size) } else { None }).collect()
    }

    fn empty_hooks(&self, value: Value) -> bool {
        match value {
            Value::None => true,
            Value::Node(_) => match (self.call(value), self.container(value)) {
                (Some(call), _) => {
                    call.items().total == 0 && self.callee(value) == Some(("collections", "OrderedDict"))
                }
                (_, Some((_, items))) => items.total == 0,
                _ => false,
            },
            _ => false,
        }
    }
}

/// Checks the arguments of an inert call by the rule of its row.
pub(super) fn check(rule: &str, trace: &Trace, args: Value) -> CheckResult {
    let args = Args::of(trace, args)?;
    match rule {
        "text-encoding" => text_encoding(&args),
        "literal-items" => literal_items(&args),
        "factory" => factory(&args),
        "latin1" => {
            let codec = args.text(1).unwrap_or_default();
            let text = matches!(args.get(0), Value::Text { .. });
            ensure(args.len() == 2 && text && matches!(&*codec, "latin1" | "latin-1"), "a codec other than latin1")
        }
        "reconstructor" => reconstructor(&args),
        "number-text" => number_text(&args),
        "enum-member" => {
            let plain = args.get(0).is_plain() || args.container(args.get(0)).is_some();
            ensure(args.len() == 1 && plain, "an enum takes one plain value; more create a class")
        }
        "zone-key" => {
            let key = args.text(0).unwrap_or_default();
            ensure(!key.contains("..") && !key.starts_with('/') && !key.contains('\0'), "a zone that is a path")
        }
        "timestamp" => timestamp(&args),
        "ndarray-class" => ndarray_class(&args),
        "dtype-text" => dtype_text(&args),
        "dtype-bytes" => dtype_bytes(&args),
        "bit-generator" => bit_generator(&args),
        "class-first" | "index-class" => {
            ensure(args.inert_global(args.get(0), AllowedUse::Value), "the first argument is no inert class")
        }
        "tree-counts" => tree_counts(&args),
        "shape" => ensure(args.len() == 1 && args.sizes(args.get(0)).is_some(), "a shape that is no tuple of sizes"),
        "device" => device(&args),
        "layout" => {
            let layout = args.text(0).unwrap_or_default();
            let known =
                ["strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "_mkldnn", "jagged"];
            ensure(layout.strip_prefix("torch.").is_some_and(|name| known.contains(&name)), "no layout of torch")
        }
        "tensor" => tensor(&args),
        "tensor-wrap" => {
            let hooks = args.len() < 3 || args.call(args.get(2)).is_none() || args.empty_hooks(args.get(2));
            ensure(
                args.call(args.get(0)).is_some() || matches!(args.get(0), Value::Instance(_)),
                "the first argument is no tensor",
            )?;
            ensure(hooks, "hooks that are not empty")
        }
        "tensor-sparse" => ensure(args.len() == 2 && args.container(args.get(1)).is_some(), "no layout and parts"),
        "tensor-type" => tensor_type(&args),
        _ => Ok(()),
    }
}

fn timestamp(args: &Args<'_>) -> CheckResult {
    let is_path = |text: &str| text.starts_with("dateutil/") || text.contains("/..");
    let mut texts = (0..args.len()).filter_map(|index| args.text(index));
    ensure(!texts.any(|text| is_path(&text)), "a zone that is a path")
}

fn tree_counts(args: &Args<'_>) -> CheckResult {
    let is_count = |value| matches!(value, Value::Int(0..=MAX_TREE_NODES)) || args.call(value).is_some();
    ensure(args.len() == 3 && is_count(args.get(0)) && is_count(args.get(2)), "counts that no tree has")
}

fn text_encoding(args: &Args<'_>) -> CheckResult {
    let codec = args.text(1).unwrap_or_default();
    let fits = match (args.len(), args.get(0)) {
        (0, _) | (1, Value::Bytes { .. }) => true,
        (1, value) => args.callee(value).is_some_and(|(_, name)| name == "encode") || args.container(value).is_some(),
        (2, Value::Text { .. }) => matches!(&*codec, "latin-1" | "latin1" | "ascii" | "utf-8"),
        _ => false,
    };
    ensure(fits, "neither bytes nor a text with a plain encoding")
}

fn literal_items(args: &Args<'_>) -> CheckResult {
    let literal = args.container(args.get(0)).is_some() || matches!(args.get(0), Value::Opaque(_));
    let bound = matches!(args.get(1), Value::None | Value::Int(_));
    ensure(args.len() == 0 || (literal && args.len() <= 2 && bound), "items that are no literal container")
}

fn factory(args: &Args<'_>) -> CheckResult {
    const FACTORIES: &[&str] =
        &["list", "dict", "set", "int", "float", "str", "tuple", "bool", "OrderedDict", "Counter", "unicode", "long"];
    let first = args.get(0);
    let known = args.global(first).is_some_and(|(module, name, _)| {
        FACTORIES.contains(&name) && matches!(module, "builtins" | "__builtin__" | "collections")
    });
    ensure(
        args.len() == 0 || first == Value::None || known,
        "a factory that is no plain type is called for every missing key",
    )
}

fn reconstructor(args: &Args<'_>) -> CheckResult {
    const BASES: &[&str] = &[
        "object",
        "list",
        "dict",
        "tuple",
        "set",
        "frozenset",
        "int",
        "long",
        "float",
        "str",
        "unicode",
        "bytes",
        "complex",
    ];
    let base = args.global(args.get(1));
    ensure(args.len() == 3, "not a class, its base and a state")?;
    ensure(args.global(args.get(0)).is_some(), "the class is no import")?;
    let plain =
        base.is_some_and(|(module, name, _)| BASES.contains(&name) && matches!(module, "builtins" | "__builtin__"));
    ensure(plain, "the base is no plain type")
}

fn number_text(args: &Args<'_>) -> CheckResult {
    let digits = |text: &str| {
        text.len() <= MAX_ARGUMENT_TEXT_BYTES && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-./_".contains(c))
    };
    let fits = match args.items {
        [single] => match args.text(0) {
            Some(text) => digits(&text) && !(text.contains('/') && text.contains(['e', 'E'])),
            None => single.is_plain() && matches!(single, Value::Int(_)),
        },
        [Value::Int(_) | Value::BigInt { .. }, Value::Int(_) | Value::BigInt { .. }] => true,
        _ => false,
    };
    ensure(fits, "a number that takes long to compute")
}

fn ndarray_class(args: &Args<'_>) -> CheckResult {
    let class = |value| {
        args.global(value).is_some_and(|(module, name, known_effect)| {
            matches!(known_effect.effect, Effect::Inert(_))
                && (module.starts_with("numpy") || module.starts_with("pandas"))
                && matches!(
                    name,
                    "ndarray" | "matrix" | "recarray" | "MaskedArray" | "FrozenNDArray" | "mvoid" | "MaskedConstant"
                )
        })
    };
    let shape_at = args.len().saturating_sub(2);
    let empty = args.sizes(args.get(shape_at)).is_some_and(|shape| shape == [0]);
    let code = args.text(args.len().saturating_sub(1)).or_else(|| {
        // Protocol 2 writes b'b' as _codecs.encode('b', 'latin1').
        let call = args.call(args.get(args.len().saturating_sub(1)))?;
        Args::of(args.trace, call.args).ok()?.text(0)
    });
    let classes = args.items.get(..shape_at).unwrap_or_default();
    ensure(!classes.is_empty() && classes.iter().all(|value| class(*value)), "the class is no array of numpy")?;
    ensure(empty && code.is_some_and(|code| code == "b"), "an array is made with the shape (0,), then given its state")
}

fn dtype_text(args: &Args<'_>) -> CheckResult {
    let text = args.text(0).is_some_and(|text| {
        !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "<>|=[]".contains(c))
    });
    let rest = args.items.iter().skip(1).all(|item| matches!(item, Value::Bool(_) | Value::Int(0 | 1)));
    let scalar = args.global(args.get(0)).is_some_and(|(module, name, known_effect)| {
        let plain = matches!(name, "int" | "float" | "bool" | "complex" | "object" | "str" | "bytes");
        matches!(known_effect.effect, Effect::Inert(_)) && (module.starts_with("numpy") || plain)
    });
    ensure((text || scalar) && rest, "no plain dtype")
}

fn dtype_bytes(args: &Args<'_>) -> CheckResult {
    let dtypes = args.items.iter().filter_map(|item| args.call(*item));
    for call in dtypes {
        let Ok(inner) = Args::of(args.trace, call.args) else { continue };
        let is_dtype = args.global(call.callee).is_some_and(|(_, name, _)| name == "dtype");
        if is_dtype && inner.text(0).is_some_and(|text| text.contains('O')) {
            return wrong("numpy unpickles the bytes of an object scalar");
        }
    }
    Ok(())
}

fn bit_generator(args: &Args<'_>) -> CheckResult {
    let fits = |value: Value| match value {
        Value::Global(_) => args.inert_global(value, AllowedUse::Value),
        Value::Node(_) => args.callee(value).is_some_and(|(module, _)| module.starts_with("numpy.random")),
        Value::Instance(_) => true,
        _ => args
            .trace
            .text(value, MAX_GENERATOR_NAME_BYTES)
            .is_some_and(|text| matches!(text.as_str(), "MT19937" | "PCG64" | "PCG64DXSM" | "Philox" | "SFC64")),
    };
    ensure(args.items.iter().all(|item| fits(*item)), "no bit generator of numpy")
}

fn device(args: &Args<'_>) -> CheckResult {
    let text = args.text(0).unwrap_or_default();
    let (kind, index) = text.split_once(':').unwrap_or((&text, "0"));
    let known = ["cpu", "cuda", "mps", "meta", "xla", "hpu", "xpu", "mtia"].contains(&kind);
    let number = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    ensure(known && number && matches!(args.get(1), Value::None | Value::Int(_)), "no device of torch")
}

fn tensor_type(args: &Args<'_>) -> CheckResult {
    let Some((_, func, known_effect)) = args.global(args.get(0)) else { return wrong("the function is no import") };
    ensure(
        func.starts_with("_rebuild_") && known_effect.effect == Effect::Inert(AllowedUse::Call),
        "the function rebuilds no tensor",
    )?;
    let known = args.global(args.get(1)).is_some_and(|(_, name, known_effect)| {
        matches!(name, "Tensor" | "Parameter" | "Buffer") && matches!(known_effect.effect, Effect::Inert(_))
    });
    ensure(known, "the type is neither Tensor nor Parameter")?;
    // One level: a `_rebuild_from_type_v2` inside one is not what torch writes.
    match known_effect.argument_check {
        Some("tensor-type") => wrong("nested types"),
        Some(rule) => check(rule, args.trace, args.get(2)),
        None => Ok(()),
    }
}

fn tensor(args: &Args<'_>) -> CheckResult {
    let storage = match args.get(0) {
        Value::Node(_) => args.call(args.get(0)).filter(|call| call.how == CallKind::Persistent),
        Value::Instance(_) | Value::Unknown => return Err(ArgumentProblem::Unknown),
        _ => None,
    };
    let Some(storage) = storage else { return wrong("the storage is no persistent id") };
    let (size, stride) = (args.sizes(args.get(2)), args.sizes(args.get(3)));
    let (Value::Int(offset @ 0..), Some(size), Some(stride)) = (args.get(1), size, stride) else {
        let opaque = [2, 3].iter().any(|index| matches!(args.get(*index), Value::Opaque(_)));
        return if opaque {
            Err(ArgumentProblem::Unknown)
        } else {
            wrong("offset, size and stride are not what a tensor has")
        };
    };
    ensure(size.len() == stride.len(), "as many strides as sizes")?;
    let hooks = args.items.iter().skip(4).take(3).all(|item| match args.call(*item) {
        Some(_) => args.empty_hooks(*item),
        None => true,
    });
    ensure(hooks, "hooks that are not empty")?;
    let Ok(id) = Args::of(args.trace, storage.args) else { return Ok(()) };
    let Value::Int(elements @ 0..) = id.get(4) else { return Ok(()) };
    // Packed storages count their bytes, of two or four elements each. So does an untyped storage, and at least one byte an
    // element holds for every dtype.
    let elements = elements.saturating_mul(match args.global(id.get(1)) {
        Some((_, "QUInt4x2Storage", _)) => 2,
        Some((_, "QUInt2x4Storage", _)) => 4,
        _ => 1,
    });
    let last = size
        .iter()
        .zip(&stride)
        .try_fold(offset, |last, (size, stride)| last.checked_add(stride.checked_mul((size - 1).max(0))?));
    let empty = size.contains(&0);
    match last {
        Some(last) if empty || last < elements => Ok(()),
        _ => wrong(format!("the last element lies outside the storage of {elements}")),
    }
}

/// A persistent id as torch writes it, or a plain number or text.
pub(super) fn persistent_id(trace: &Trace, id: Value) -> CheckResult {
    if let Value::Int(_) | Value::Text { .. } = id {
        return Ok(());
    }
    let args = Args::of(trace, id)?;
    // Old torch: the class of a whole module and its source text. The class is judged where it is imported.
    if args.text(0).as_deref() == Some("module") && args.len() == 4 && args.global(args.get(1)).is_some() {
        return Ok(());
    }
    ensure(args.text(0).as_deref() == Some("storage"), "a persistent id that names no storage")?;
    ensure(matches!(args.len(), 5 | 6), "a persistent id of another length")?;
    let storage = args.global(args.get(1)).is_some_and(|(module, name, known_effect)| {
        let named = name.ends_with("Storage") || name == "dtype";
        matches!(known_effect.effect, Effect::Inert(_)) && named && (module == "torch" || module.starts_with("torch."))
    });
    ensure(storage, "the storage class is no storage of torch")?;
    let location = args.text(3).unwrap_or_default();
    let (kind, index) = location.split_once(':').unwrap_or((&location, "0"));
    let known =
        ["cpu", "cuda", "mps", "meta", "xla", "hpu", "xpu", "mtia", "privateuseone", "npu", "ort"].contains(&kind);
    ensure(known && index.bytes().all(|byte| byte.is_ascii_digit()), "a location that torch does not write")?;
    ensure(matches!((args.text(2), args.get(4)), (Some(_), Value::Int(0..))), "no key and count of elements")
}

/// The class in a persistent id of old torch, which saved whole modules.
pub(super) fn persistent_class(trace: &Trace, id: Value) -> Option<Value> {
    let args = Args::of(trace, id).ok()?;
    (args.text(0).as_deref() == Some("module")).then(|| args.get(1))
}

/// The name that a call imports by its arguments: `getattr(<an import>, 'name')` as nested classes and enum members are
/// pickled below protocol 4, and numpy's `_ufunc_reconstruct('module', 'name')`.
pub(super) fn import_by_arguments(trace: &Trace, callee: CallableId, args: Value) -> Option<Callable> {
    let callee = trace.callables.get(callee as usize).filter(|callee| imports_by_arguments(callee))?;
    let args = Args::of(trace, args).ok().filter(|args| args.len() == 2)?;
    let second = args.text(1)?;
    if callee.name.as_deref().is_some_and(|name| name.ends_with("getattr")) {
        let Value::Global(id) = args.get(0) else { return None };
        let outer = trace.callables.get(id as usize)?;
        let name = format!("{}.{second}", outer.name.as_deref()?);
        return Some(Callable { module: outer.module.clone(), name: Some(name), protocol: outer.protocol });
    }
    Some(Callable { module: args.text(0).map(Cow::into_owned), name: Some(second.into_owned()), protocol: 4 })
}

/// Whether a callable returns the object that its arguments name, as `getattr` does. It is inert where that object is.
pub(super) fn imports_by_arguments(callable: &Callable) -> bool {
    const IMPORTERS: &[&str] =
        &["builtins.getattr", "__builtin__.getattr", "numpy.core._ufunc_reconstruct", "numpy._core._ufunc_reconstruct"];
    let last = callable.name.as_deref().unwrap_or_default();
    // Runs for every call: the end of the name decides nearly always.
    (last.ends_with("getattr") || last.ends_with("_reconstruct"))
        && IMPORTERS.iter().any(|name| callable.is_named(name))
}

/// Checks the state of an array that numpy's `_reconstruct` made: `(version, shape, dtype, fortran, data)`. Gives the sizes where
/// shape and data differ.
pub(super) fn array_state(trace: &Trace, made_by: Option<&str>, state: Value) -> Option<String> {
    if !made_by?.ends_with("multiarray._reconstruct") {
        return None;
    }
    let args = Args::of(trace, state).ok().filter(|args| args.len() == 5)?;
    let count = args.sizes(args.get(1))?.iter().try_fold(1i64, |count, size| count.checked_mul(*size));
    let dtype = args.call(args.get(2))?;
    let text = Args::of(trace, dtype.args).ok()?.text(0)?;
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let len = match args.get(4) {
        Value::Bytes { len, .. } => len,
        // Protocol 2 writes bytes as _codecs.encode(text, 'latin1'), a character a byte.
        made => {
            let inner = Args::of(trace, args.call(made)?.args).ok()?;
            u32::try_from(trace.text(inner.get(0), MAX_ARRAY_TEXT_BYTES)?.chars().count()).ok()?
        }
    };
    let Ok(item) = digits.parse::<i64>() else { return None };
    let item = if text.contains('U') { item.checked_mul(4)? } else { item };
    // A length beyond `u32` is unknown here; the literal itself lies within the file.
    let fits = count.and_then(|count| count.checked_mul(item)) == Some(i64::from(len)) || len == u32::MAX;
    (!fits).then(|| {
        format!("a shape of {count:?} items of {item} bytes over {len} bytes").replace("Some(", "").replace(')', "")
    })
}
