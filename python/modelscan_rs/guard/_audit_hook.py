"""The backstop: an audit hook that rejects every `pickle.find_class` for a name that the scan did not find.

CPython raises this event for each name that one of its unpicklers imports, however the unpickler was reached. The
wrappers load scanned data inside `allow_names`. An audit hook cannot be removed; `disable` makes it allow everything.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from .._report import UnsafeFileError
from . import _config
from ._names import ANY_NAME

if TYPE_CHECKING:
    from types import FrameType

    from ._names import Names

#: Functions that unpickle what their own processes send them through pipes. The list has functions and not modules:
#: other functions of the same modules call what they receive, `pickle.loads` included.
TRUSTED_FUNCTIONS = frozenset(
    {
        ("multiprocessing.connection", "recv"),
        ("multiprocessing.queues", "get"),
        ("multiprocessing.spawn", "_main"),
        ("joblib.externals.loky.backend.queues", "get"),
        ("joblib.externals.loky.backend.popen_loky_posix", "<module>"),
        ("loky.backend.queues", "get"),
        ("loky.backend.popen_loky_posix", "<module>"),
        ("torch.multiprocessing.queue", "recv"),
        ("torch._inductor.compile_worker.subproc_pool", "loads"),
    }
)
_GUARD_PACKAGE = __name__.rpartition(".")[0]

_installed = False
_thread = threading.local()


def enable(config: _config.Config) -> None:
    """Puts `config` in force; the first call installs the hook."""
    global _installed  # noqa: PLW0603 - a process has one hook, since none can be removed
    _config.set_current(config)
    if not _installed:
        sys.addaudithook(_on_event)
        _installed = True


def disable() -> None:
    _config.set_current(None)


class allow_names:
    """A context in which unpicklers of this thread may import these names and no others."""

    __slots__ = ("names",)

    def __init__(self, names: Names) -> None:
        self.names = names

    def __enter__(self) -> None:
        stack = getattr(_thread, "stack", None)
        if stack is None:
            stack = _thread.stack = []
        stack.append(self.names)

    def __exit__(self, *_: object) -> None:
        _thread.stack.pop()


def names_are_allowed() -> bool:
    """Whether this thread is inside `allow_names`: it loads scanned data."""
    return bool(getattr(_thread, "stack", None))


def caller_is_trusted(frame: FrameType | None) -> bool:
    """Whether the caller of the unpickler is a function that reads from its own processes, or is named in `trust`."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not _is_between(module):
            if module == "__main__":
                module = getattr(frame.f_globals.get("__spec__"), "name", module)
            config = _config.current()
            trust = config.trust if config is not None else ()
            function = frame.f_code.co_name
            return (module, function) in TRUSTED_FUNCTIONS or module in trust or f"{module}.{function}" in trust
        frame = frame.f_back
    return False


def _is_between(module: str) -> bool:
    """Whether frames of this module are between the unpickler and its caller."""
    return module in ("pickle", _GUARD_PACKAGE) or module.startswith(_GUARD_PACKAGE + ".")


def _on_event(event: str, args: tuple[Any, ...]) -> None:
    if event != "pickle.find_class":
        return
    config = _config.current()
    if config is None:
        return
    module, name = args
    stack = getattr(_thread, "stack", None)
    if stack:
        names = stack[-1]
        if names is ANY_NAME or (module, name) in names:
            return
        why = "the scan did not find this name in the loaded data"
    else:
        if caller_is_trusted(sys._getframe(1)):
            return
        why = (
            "the call bypassed the guard. Install the guard before you import the modules that unpickle, or name the"
            " module in trust= if it reads from its own pipes"
        )
    if config.mode == "warn":
        _config.logger().warning("an unpickler imports %s.%s: %s", module, name, why)
        return
    why = f"it imports {module}.{name}: {why}"
    error = UnsafeFileError("a pickle", verdict="unproven", rule="unguarded-unpickler", why=why)
    _config.logger().error("%s", error)
    raise error
