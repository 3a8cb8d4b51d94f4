"""`pickle` itself: its functions and classes, in C and in Python, replaced by ones that scan first."""
from __future__ import annotations

import io
import sys
from typing import Any, Callable, Dict, List, Tuple

import _pickle
import pickle

from . import _admit, _net

_done: List[Tuple[Any, str, Any]] = []


class Wrapped:
    """A function in the place of another: like one in C it never binds to an instance, and it pickles by its name."""

    def __init__(self, original: Callable[..., Any], act: Callable[..., Any]) -> None:
        self.__wrapped__ = original
        self.__name__ = self.__qualname__ = original.__name__
        self.__module__ = original.__module__
        self.__doc__ = original.__doc__
        self._act = act

    def __call__(self, *args: Any, **options: Any) -> Any:
        if free():
            return self.__wrapped__(*args, **options)
        return self._act(self.__wrapped__, *args, **options)

    def __reduce__(self) -> str:
        return self.__name__

    def __repr__(self) -> str:
        return f"<guarded {self.__module__}.{self.__name__}>"


def free() -> bool:
    """Whether there is nothing to ask: no guard, or under a permit, or from one's own processes."""
    return _net.current() is None or _net.permitted() or _net.own_pipe(sys._getframe(1))


def _load(original: Any, file: Any, **options: Any) -> Any:
    admitted = _admit.of_file(file)
    if admitted is None:
        return original(file, **options)
    with _net.permit(admitted.names):
        value = original(admitted.stream, **options)
    _admit.moved(file, admitted)
    return value


def _loads(original: Any, data: Any, /, **options: Any) -> Any:
    if isinstance(data, str):
        raise TypeError("a bytes-like object is required, not 'str'")
    data = bytes(data)
    if not data:
        return original(data, **options)
    admitted = _admit.of_bytes(data, "<bytes>")
    with _net.permit(admitted.names):
        return original(data, **options)


class _Feed:
    """The file of an unpickler, until it is known what it will read. CPython takes the methods of a file when the unpickler is
    made, and crashes when it is given another one later.
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
            # The unpickler does without.
            raise NotImplementedError
        at = stream.tell()
        with stream.getbuffer() as view:
            return bytes(view[at:at + size])


def _class(base: type) -> type:
    class Unpickler(base):  # type: ignore[misc, valid-type]
        def __init__(self, file: Any, **options: Any) -> None:
            # Made under a permit it is used under it; should it not be, the net is there.
            self.__feed = None if free() else _Feed(file)
            super().__init__(file if self.__feed is None else self.__feed, **options)

        def load(self) -> Any:
            feed = getattr(self, "_Unpickler__feed", None)
            if feed is None:
                return super().load()
            feed.current = feed.file
            if free():
                return super().load()
            admitted = _admit.of_file(feed.file)
            if admitted is None:
                return super().load()
            feed.current = admitted.stream
            with _net.permit(admitted.names):
                value = super().load()
            _admit.moved(feed.file, admitted)
            return value

    Unpickler.__module__, Unpickler.__name__, Unpickler.__qualname__ = base.__module__, base.__name__, base.__name__
    Unpickler.__doc__ = base.__doc__
    return Unpickler


def replace(owner: Any, name: str, new: Any) -> None:
    """Puts something in the place of another thing, to be put back later."""
    _done.append((owner, name, getattr(owner, name)))
    setattr(owner, name, new)


def wrap() -> None:
    """Replaces all of it, once."""
    if _done:
        return
    made: Dict[int, Any] = {}
    for owner, names in ((_pickle, ("load", "loads", "Unpickler")), (pickle, ("load", "loads", "Unpickler")),
                         (pickle, ("_load", "_loads", "_Unpickler"))):
        for name in names:
            original = getattr(owner, name, None)
            if original is None:
                continue
            new = made.get(id(original))
            if new is None:
                act = _load if name.endswith("load") else _loads
                new = _class(original) if isinstance(original, type) else Wrapped(original, act)
                made[id(original)] = new
            replace(owner, name, new)


def unwrap() -> None:
    """Puts all of it back."""
    while _done:
        owner, name, original = _done.pop()
        setattr(owner, name, original)
