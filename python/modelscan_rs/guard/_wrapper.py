"""The object that replaces a guarded function."""

from __future__ import annotations

import sys
from typing import Any, Callable

from . import _audit_hook, _config


class Wrapper:
    """Calls `guarded(original, ...)` while the guard is active, and the original otherwise.

    Like a function in C it never binds to an instance, and it pickles by its name.
    """

    def __init__(self, original: Callable[..., Any], guarded: Callable[..., Any]) -> None:
        self.__wrapped__ = original
        self.__name__ = self.__qualname__ = original.__name__
        self.__module__ = original.__module__
        self.__doc__ = original.__doc__
        self._guarded = guarded

    def __call__(self, *args: Any, **options: Any) -> Any:
        if is_exempt():
            return self.__wrapped__(*args, **options)
        return self._guarded(self.__wrapped__, *args, **options)

    def __reduce__(self) -> str:
        return self.__name__

    def __repr__(self) -> str:
        return f"<guarded {self.__module__}.{self.__name__}>"


def is_exempt() -> bool:
    """Whether a load needs no scan: no guard is active, the data was scanned, or the caller reads its own pipes."""
    return (
        _config.current() is None or _audit_hook.names_are_allowed() or _audit_hook.caller_is_trusted(sys._getframe(1))
    )
