"""`pickle` and `_pickle`: their functions and classes are replaced by ones that scan first."""

from __future__ import annotations

import _pickle
import io
import pickle
from typing import Any, Callable

from . import _admission, _audit_hook, _streams
from ._wrapper import Wrapper, is_exempt

#: The names of each module. A name that a Python version lacks is skipped.
_TARGETS = (
    (_pickle, ("load", "loads", "Unpickler")),
    (pickle, ("load", "loads", "Unpickler", "_load", "_loads", "_Unpickler")),
)
#: Module, name and original of every replacement.
_replaced: list[tuple[Any, str, Any]] = []


def _load(original: Callable[..., Any], file: Any, **options: Any) -> Any:
    admitted = _admission.admit_file(file)
    if admitted is None:
        return original(file, **options)
    with _audit_hook.allow_names(admitted.names):
        value = original(admitted.stream, **options)
    _streams.sync_position(file, admitted.stream)
    return value


def _loads(original: Callable[..., Any], data: Any, /, **options: Any) -> Any:
    if isinstance(data, str):
        raise TypeError("a bytes-like object is required, not 'str'")
    data = bytes(data)
    if not data:
        return original(data, **options)
    admitted = _admission.admit_bytes(data, "<bytes>")
    with _audit_hook.allow_names(admitted.names):
        return original(data, **options)


class _SwitchableFile:
    """The file that an unpickler reads from; `load` switches it to a scanned stream.

    CPython takes the methods of the file when the unpickler is made, and crashes if `__init__` is called again with
    another file.
    """

    def __init__(self, file: Any) -> None:
        self.current = self.file = file

    def read(self, size: int = -1) -> Any:
        return self.current.read(size)

    def readline(self) -> Any:
        return self.current.readline()

    def peek(self, size: int) -> Any:
        stream = self.current
        if not isinstance(stream, io.BytesIO):
            # An unpickler that cannot peek reads only what it needs.
            raise NotImplementedError
        position = stream.tell()
        with stream.getbuffer() as view:
            return bytes(view[position : position + size])


def _guarded_class(base: Any) -> type:
    class Unpickler(base):  # type: ignore[misc]
        def __init__(self, file: Any, **options: Any) -> None:
            # An exempt caller uses the unpickler at once. If it does not, the audit hook rejects the names.
            self._guarded_file = None if is_exempt() else _SwitchableFile(file)
            super().__init__(self._guarded_file or file, **options)

        def load(self) -> Any:
            guarded = getattr(self, "_guarded_file", None)
            if guarded is None:
                return super().load()
            guarded.current = guarded.file
            if is_exempt():
                return super().load()
            admitted = _admission.admit_file(guarded.file)
            if admitted is None:
                return super().load()
            guarded.current = admitted.stream
            with _audit_hook.allow_names(admitted.names):
                value = super().load()
            _streams.sync_position(guarded.file, admitted.stream)
            return value

    Unpickler.__module__, Unpickler.__name__, Unpickler.__qualname__ = base.__module__, base.__name__, base.__name__
    Unpickler.__doc__ = base.__doc__
    return Unpickler


def _guarded_version(name: str, original: Any) -> Any:
    if isinstance(original, type):
        return _guarded_class(original)
    return Wrapper(original, _load if name.endswith("load") else _loads)


def wrap() -> None:
    """Replaces all targets, once. Both modules get the same object for the same original."""
    if _replaced:
        return
    replacements: dict[int, Any] = {}
    for module, names in _TARGETS:
        for name in names:
            original = getattr(module, name, None)
            if original is None:
                continue
            if id(original) not in replacements:
                replacements[id(original)] = _guarded_version(name, original)
            _replaced.append((module, name, original))
            setattr(module, name, replacements[id(original)])


def unwrap() -> None:
    while _replaced:
        module, name, original = _replaced.pop()
        setattr(module, name, original)
