"""The loaders of libraries, replaced as soon as their modules are imported.

Each takes a path or a file; the path is opened once, here, and the library gets a stream over what was scanned. Some demand a
path: they get that of the open descriptor. Below all of them stand the wrapped `pickle` and the net.
"""
from __future__ import annotations

import os
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import _admit, _net
from ._pickles import Wrapped

_done: List[Tuple[Any, str, Any, Any]] = []


def _by_descriptor(artifact: Any, path: str) -> str:
    return f"/proc/self/fd/{artifact.fileno()}" if sys.platform == "linux" else path


def _unchanged(admitted: Any, before: Any, path: str) -> None:
    if admitted.artifact is not None and admitted.artifact.stamp() != before:
        raise _admit.UnsafeFileError(path, rule="changed", why="the file changed while it was loaded")


def _through(source: Any, load: Callable[[Any, Any], Any], in_memory: bool = True) -> Any:
    """Admits a path or a file and has it loaded under its permit."""
    if isinstance(source, (str, bytes, os.PathLike)):
        path = os.fsdecode(source)
        admitted = _admit.of_path(path, in_memory)
        before = admitted.artifact.stamp()
        with _net.permit(admitted.names):
            value = load(admitted.stream, admitted)
        if not isinstance(admitted.stream, _admit._Bytes):
            _unchanged(admitted, before, path)
        return value
    admitted = _admit.of_file(source)
    if admitted is None:
        return load(source, None)
    with _net.permit(admitted.names):
        value = load(admitted.stream, admitted)
    if not admitted.stream.closed:
        _admit.moved(source, admitted)
    return value


def _torch_load(original: Any, f: Any, *args: Any, **options: Any) -> Any:
    path = os.fspath(f) if isinstance(f, (str, os.PathLike)) else None
    if path is not None and path.endswith(".safetensors"):
        _admit.locked(path)
        return original(f, *args, **options)
    mmap = options.get("mmap")
    if mmap is None and "torch.utils.serialization" in sys.modules:
        config = getattr(sys.modules["torch.utils.serialization"], "config", None)
        mmap = getattr(getattr(config, "load", None), "mmap", False)

    def load(stream: Any, admitted: Any) -> Any:
        if path is not None and admitted.clean and _converting(args, options):
            answer = _from_our_reader(admitted.artifact, path)
            if answer is not None:
                return answer
        if path is not None and mmap:
            stream = _by_descriptor(admitted.artifact, path)
        return original(stream, *args, **options)

    return _through(f, load, in_memory=not mmap)


def _converting(args: Tuple[Any, ...], options: Dict[str, Any]) -> bool:
    config = _net.current()
    place = str(args[0] if args else options.get("map_location") or "cpu")
    plain = options.get("pickle_module") is None and len(args) < 2 and not options.get("mmap")
    return config is not None and config.mode == "convert" and place in ("cpu", "None") and plain


def _from_our_reader(artifact: Any, path: str) -> Any:
    """The state dict, where the file is one and nothing else."""
    from collections import OrderedDict

    from .. import _load
    from .._report import ModelscanError

    try:
        weights = artifact.load(root=None, allow_unproven=False)
        if not weights.flat:
            return None
        return OrderedDict(_load._tensors(weights, artifact, _load._Torch()))
    except (ValueError, ModelscanError):
        # It is clean all the same: torch may know how to load what we do not.
        return None


def _jit_load(original: Any, f: Any, *args: Any, **options: Any) -> Any:
    return _through(f, lambda stream, _: original(stream, *args, **options))


def _numpy_load(original: Any, file: Any, mmap_mode: Any = None, allow_pickle: bool = False, *args: Any, **options: Any) -> Any:
    # Without allow_pickle numpy unpickles nothing. A mapping needs the path; what it may unpickle goes through `pickle.load`.
    if not allow_pickle or mmap_mode is not None:
        _admit.locked(file)
        return original(file, mmap_mode, allow_pickle, *args, **options)
    return _through(file, lambda stream, _: original(stream, None, allow_pickle, *args, **options))


def _joblib_load(original: Any, filename: Any, mmap_mode: Any = None, *args: Any, **options: Any) -> Any:
    load = lambda stream, _: original(stream, mmap_mode, *args, **options)  # noqa: E731
    return _through(filename, load, in_memory=mmap_mode is None)


def _read_pickle(original: Any, filepath_or_buffer: Any, compression: Any = "infer", *args: Any, **options: Any) -> Any:
    source = filepath_or_buffer
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if not os.path.exists(path):
            # A URL: what comes from there goes through `pickle.load`.
            return original(source, compression, *args, **options)
        from pandas.io.common import infer_compression

        compression = infer_compression(path, compression)
    return _through(source, lambda stream, _: original(stream, compression, *args, **options))


def _keras_load(original: Any, filepath: Any, *args: Any, **options: Any) -> Any:
    path = os.fspath(filepath)
    why = "a Keras model is not judged whole: its weights are HDF5, which is not read"
    if os.path.isdir(path):
        if _net.current().mode != "warn":
            raise _admit.UnsafeFileError(path, verdict="unproven", rule="not-judged", why=why)
        return original(filepath, *args, **options)

    def load(_: Any, admitted: Any) -> Any:
        if admitted.clean:
            _admit.unread(admitted.artifact, path, why)
        # Keras goes by the name of the file, so it opens it once more; whether it changed is asked in the end.
        with _net.permit(_net.ANYTHING):
            return original(filepath, *args, **options)

    return _through(filepath, load, in_memory=False)


def _safe_open(original: Any, filename: Any, *args: Any, **options: Any) -> Any:
    admitted = _admit.of_path(os.fsdecode(filename), in_memory=False)
    return original(_by_descriptor(admitted.artifact, os.fsdecode(filename)), *args, **options)


def _deserialize(original: Any, data: Any) -> Any:
    data = bytes(data)
    _admit.of_bytes(data, "<bytes>.safetensors")
    return original(data)


def _package(original: Any) -> Callable[..., None]:
    def __init__(self: Any, file_or_buffer: Any, *args: Any, **options: Any) -> None:
        from ._pickles import free

        if free():
            return original(self, file_or_buffer, *args, **options)
        return _through(file_or_buffer, lambda stream, _: original(self, stream, *args, **options))

    return __init__


_SAFETENSORS = {"safe_open": _safe_open, "deserialize": _deserialize}
#: Module to what is wrapped in it. Those that only hand on what another one defines are listed for when they are there already.
_TABLE: Dict[str, Dict[str, Callable[..., Any]]] = {
    "torch.serialization": {"load": _torch_load},
    "torch": {"load": _torch_load},
    "torch.jit._serialization": {"load": _jit_load},
    "torch.jit": {"load": _jit_load},
    "joblib.numpy_pickle": {"load": _joblib_load},
    "joblib": {"load": _joblib_load},
    "numpy.lib._npyio_impl": {"load": _numpy_load},
    "numpy.lib.npyio": {"load": _numpy_load},
    "numpy": {"load": _numpy_load},
    "pandas.io.pickle": {"read_pickle": _read_pickle},
    "pandas.io.api": {"read_pickle": _read_pickle},
    "pandas": {"read_pickle": _read_pickle},
    "keras.src.saving.saving_api": {"load_model": _keras_load},
    "keras.saving": {"load_model": _keras_load},
    "keras.models": {"load_model": _keras_load},
    "safetensors": _SAFETENSORS,
    "safetensors.torch": _SAFETENSORS,
    "safetensors.numpy": _SAFETENSORS,
}
_CLASSES = {"torch.package.package_importer": ("PackageImporter", _package)}


def _patch(module: Any) -> None:
    name = module.__name__
    for attribute, act in _TABLE.get(name, {}).items():
        original = module.__dict__.get(attribute)
        if original is None or isinstance(original, Wrapped):
            continue
        new = Wrapped(original, act)
        setattr(module, attribute, new)
        _done.append((module, attribute, original, new))
    if name in _CLASSES:
        cls = getattr(module, _CLASSES[name][0])
        original = cls.__init__
        new = _CLASSES[name][1](original)
        cls.__init__ = new
        _done.append((cls, "__init__", original, new))


class _Finder:
    """Has modules of the table wrapped when they have run."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _TABLE and name not in _CLASSES:
            return None
        for finder in sys.meta_path:
            if finder is _Finder or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                break
        else:
            return None
        run = getattr(spec.loader, "exec_module", None)
        if run is not None:
            def exec_module(module: Any) -> None:
                run(module)
                if _net.current() is not None:
                    _patch(module)

            spec.loader.exec_module = exec_module
        return spec


def wrap() -> None:
    """Wraps what is there, and what will be imported."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    for name in [*_TABLE, *_CLASSES]:
        module = sys.modules.get(name)
        if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
            if not any(done[0] is getattr(module, _CLASSES.get(name, ("", 0))[0], None) for done in _done):
                _patch(module)


def unwrap() -> None:
    """Puts all of it back."""
    if _Finder in sys.meta_path:
        sys.meta_path.remove(_Finder)
    while _done:
        owner, attribute, original, new = _done.pop()
        # Modules that handed the wrapped one on keep it: without a guard it does nothing.
        if owner.__dict__.get(attribute) is new:
            setattr(owner, attribute, original)
