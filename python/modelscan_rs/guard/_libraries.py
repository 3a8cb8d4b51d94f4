"""The guarded versions of the functions of libraries that load files, and the lists of what they replace.

Each takes a path or a file. A path is opened once, here, and the library gets a stream over the scanned bytes. A
library that needs a path gets the path of the open descriptor. The replaced `pickle` and the audit hook apply to all of
them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Callable

from .. import _arrays, _load
from .._report import ModelscanError, UnsafeFileError
from . import _admission, _audit_hook, _config, _streams
from ._lock_check import check_lock_of_path
from ._names import ANY_NAME
from ._refusal import refuse_or_allow
from ._wrapper import is_exempt

if TYPE_CHECKING:
    from .._native import Artifact
    from ._admission import Admitted


def _load_path(path: str, load: Callable[[Admitted, Artifact], Any], in_memory: bool = True) -> Any:
    """Scans a file, and calls `load` with the names of the scan allowed."""
    admitted, artifact = _admission.admit_path(path, in_memory)
    before = artifact.stat_signature()
    with _audit_hook.allow_names(admitted.names):
        value = load(admitted, artifact)
    if not isinstance(admitted.stream, _streams.MemoryStream) and artifact.stat_signature() != before:
        raise UnsafeFileError(path, rule="changed", why="the file changed while it was loaded")
    return value


def _load_file(file: Any, load: Callable[[Any], Any]) -> Any:
    """Scans the rest of an open file, and calls `load` with a stream over it and the names of the scan allowed."""
    admitted = _admission.admit_file(file)
    if admitted is None:
        return load(file)
    with _audit_hook.allow_names(admitted.names):
        value = load(admitted.stream)
    if not admitted.stream.closed:
        _streams.sync_position(file, admitted.stream)
    return value


def _load_path_or_file(source: Any, load: Callable[[Any], Any], in_memory: bool = True) -> Any:
    if isinstance(source, (str, bytes, os.PathLike)):
        return _load_path(os.fsdecode(source), lambda admitted, _: load(admitted.stream), in_memory)
    return _load_file(source, load)


def _descriptor_path(artifact: Artifact, path: str) -> str:
    """A path that opens the file of `artifact`. Systems other than Linux have none, and get the path itself."""
    return f"/proc/self/fd/{artifact.fileno()}" if sys.platform == "linux" else path


def _torch_load(original: Any, f: Any, *args: Any, **options: Any) -> Any:
    mmap = _torch_mmap(options)
    if not isinstance(f, (str, os.PathLike)):
        return _load_path_or_file(f, lambda stream: original(stream, *args, **options), in_memory=not mmap)
    path = os.fsdecode(f)
    if path.endswith(".safetensors"):
        check_lock_of_path(path)
        return original(f, *args, **options)

    def load(admitted: Admitted, artifact: Artifact) -> Any:
        if admitted.clean and _converts(args, options):
            state_dict = _read_state_dict(artifact)
            if state_dict is not None:
                return state_dict
        return original(_descriptor_path(artifact, path) if mmap else admitted.stream, *args, **options)

    return _load_path(path, load, in_memory=not mmap)


def _torch_mmap(options: dict[str, Any]) -> bool:
    """The `mmap` argument of `torch.load`, or else torch's default for it."""
    mmap = options.get("mmap")
    if mmap is None and "torch.utils.serialization" in sys.modules:
        config = getattr(sys.modules["torch.utils.serialization"], "config", None)
        mmap = getattr(getattr(config, "load", None), "mmap", False)
    return bool(mmap)


def _converts(args: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether the mode is `convert` and the call asks for nothing but tensors on the CPU."""
    config = _config.current()
    device = str(args[0] if args else options.get("map_location") or "cpu")
    plain = options.get("pickle_module") is None and len(args) < 2 and not options.get("mmap")
    return config is not None and config.mode == "convert" and device in ("cpu", "None") and plain


def _read_state_dict(artifact: Artifact) -> Any:
    """The tensors of a file that is one dict from names to tensors, without unpickling, or None for any other file."""
    from collections import OrderedDict

    try:
        weights = artifact.load(root=None, allow_unproven=False)
        if not weights.flat:
            return None
        return OrderedDict(_load.read_tensors(weights, artifact, _arrays.TorchArrays()))
    except (ValueError, ModelscanError):
        # The file is clean, and torch may support a tensor that our reader does not.
        return None


def _torch_jit_load(original: Any, f: Any, *args: Any, **options: Any) -> Any:
    return _load_path_or_file(f, lambda stream: original(stream, *args, **options))


def _torch_package_init(original: Any) -> Callable[..., None]:
    def __init__(self: Any, file_or_buffer: Any, *args: Any, **options: Any) -> None:
        if is_exempt():
            original(self, file_or_buffer, *args, **options)
        else:
            _load_path_or_file(file_or_buffer, lambda stream: original(self, stream, *args, **options))

    return __init__


def _numpy_load(
    original: Any, file: Any, mmap_mode: Any = None, allow_pickle: bool = False, *args: Any, **options: Any
) -> Any:
    # Without allow_pickle numpy unpickles nothing. A mapping needs the path, and numpy unpickles through `pickle.load`.
    if not allow_pickle or mmap_mode is not None:
        check_lock_of_path(file)
        return original(file, mmap_mode, allow_pickle, *args, **options)
    return _load_path_or_file(file, lambda stream: original(stream, None, allow_pickle, *args, **options))


def _joblib_load(original: Any, filename: Any, mmap_mode: Any = None, *args: Any, **options: Any) -> Any:
    def load(stream: Any) -> Any:
        return original(stream, mmap_mode, *args, **options)

    return _load_path_or_file(filename, load, in_memory=mmap_mode is None)


def _pandas_read_pickle(
    original: Any, filepath_or_buffer: Any, compression: Any = "infer", *args: Any, **options: Any
) -> Any:
    source = filepath_or_buffer
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if not os.path.exists(path):
            # A URL: pandas unpickles what it downloads through `pickle.load`.
            return original(source, compression, *args, **options)
        from pandas.io.common import infer_compression

        compression = infer_compression(path, compression)
    return _load_path_or_file(source, lambda stream: original(stream, compression, *args, **options))


def _keras_load_model(original: Any, filepath: Any, *args: Any, **options: Any) -> Any:
    path = os.fspath(filepath)
    why = "the weights of a Keras model are HDF5, which the scan does not read"
    if os.path.isdir(path):
        config = _config.current()
        if config is None or config.mode != "warn":
            raise UnsafeFileError(path, verdict="unproven", rule="not-judged", why=why)
        return original(filepath, *args, **options)

    def load(admitted: Admitted, artifact: Artifact) -> Any:
        if admitted.clean:
            refuse_or_allow(artifact, path, why=why)
        # Keras decides by the file name, so it opens the file again. `_load_path` detects a change at the end.
        with _audit_hook.allow_names(ANY_NAME):
            return original(filepath, *args, **options)

    return _load_path(path, load, in_memory=False)


def _safetensors_open(original: Any, filename: Any, *args: Any, **options: Any) -> Any:
    path = os.fsdecode(filename)
    _, artifact = _admission.admit_path(path, in_memory=False)
    return original(_descriptor_path(artifact, path), *args, **options)


def _safetensors_deserialize(original: Any, data: Any) -> Any:
    data = bytes(data)
    _admission.admit_bytes(data, "<bytes>.safetensors")
    return original(data)


_SAFETENSORS: dict[str, Callable[..., Any]] = {"safe_open": _safetensors_open, "deserialize": _safetensors_deserialize}
#: The functions to replace, by module. A module that re-exports one is listed for the case that it is imported already.
FUNCTIONS: dict[str, dict[str, Callable[..., Any]]] = {
    "torch.serialization": {"load": _torch_load},
    "torch": {"load": _torch_load},
    "torch.jit._serialization": {"load": _torch_jit_load},
    "torch.jit": {"load": _torch_jit_load},
    "joblib.numpy_pickle": {"load": _joblib_load},
    "joblib": {"load": _joblib_load},
    "numpy.lib._npyio_impl": {"load": _numpy_load},
    "numpy.lib.npyio": {"load": _numpy_load},
    "numpy": {"load": _numpy_load},
    "pandas.io.pickle": {"read_pickle": _pandas_read_pickle},
    "pandas.io.api": {"read_pickle": _pandas_read_pickle},
    "pandas": {"read_pickle": _pandas_read_pickle},
    "keras.src.saving.saving_api": {"load_model": _keras_load_model},
    "keras.saving": {"load_model": _keras_load_model},
    "keras.models": {"load_model": _keras_load_model},
    "safetensors": _SAFETENSORS,
    "safetensors.torch": _SAFETENSORS,
    "safetensors.numpy": _SAFETENSORS,
}
#: The classes whose `__init__` to replace: the class name, and a function from the original `__init__` to the guarded
#: one.
CONSTRUCTORS: dict[str, tuple[str, Callable[[Any], Callable[..., None]]]] = {
    "torch.package.package_importer": ("PackageImporter", _torch_package_init)
}
