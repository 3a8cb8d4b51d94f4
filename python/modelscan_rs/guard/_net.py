"""The net below: an audit hook that hears of every name that an unpickler of CPython asks for.

Whoever loads what was cleared does so under a permit for the names that were seen in it. A name without a permit is refused,
whichever way the unpickler was reached. A hook can never be taken out again; drawn in, it lets everything pass.
"""
from __future__ import annotations

import sys
import threading
from typing import Any, FrozenSet, NamedTuple, Optional, Tuple

from ._lock import Lock
from .._report import UnsafeFileError

Names = Optional[FrozenSet[Tuple[str, str]]]
#: What an unpickler may ask for when somebody allowed these very bytes.
ANYTHING: Names = None

#: The functions that unpickle what their own processes sent them through pipes. Functions and no modules: those beside them
#: call whatever they were sent, `pickle.loads` too.
OWN_PIPES = frozenset({
    ("multiprocessing.connection", "recv"), ("multiprocessing.queues", "get"), ("multiprocessing.spawn", "_main"),
    ("joblib.externals.loky.backend.queues", "get"), ("joblib.externals.loky.backend.popen_loky_posix", "<module>"),
    ("loky.backend.queues", "get"), ("loky.backend.popen_loky_posix", "<module>"),
    ("torch.multiprocessing.queue", "recv"), ("torch._inductor.compile_worker.subproc_pool", "loads"),
})
#: Frames between the unpickler and whoever called it.
_BETWEEN = ("pickle", __name__.rpartition(".")[0])


class Config(NamedTuple):
    """What is in force."""

    mode: str
    allow: FrozenSet[str]
    trust: Tuple[str, ...]
    lock: Optional[Lock] = None


_config: Optional[Config] = None
_hooked = False
_local = threading.local()


def current() -> Optional[Config]:
    """What is in force."""
    return _config


def cast(config: Config) -> None:
    """Puts the net up."""
    global _config, _hooked
    _config = config
    if not _hooked:
        sys.addaudithook(_heard)
        _hooked = True


def draw_in() -> None:
    """Lets everything pass."""
    global _config
    _config = None


class permit:
    """In this thread, for as long as it lasts: these names and no others."""

    __slots__ = ("names",)

    def __init__(self, names: Names) -> None:
        self.names = names

    def __enter__(self) -> None:
        stack = getattr(_local, "stack", None)
        if stack is None:
            stack = _local.stack = []
        stack.append(self.names)

    def __exit__(self, *_: object) -> None:
        _local.stack.pop()


def permitted() -> bool:
    """Whether this thread is loading something that was cleared."""
    return bool(getattr(_local, "stack", None))


def own_pipe(frame: Any) -> bool:
    """Whether the one who unpickles is known to read from its own processes."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not (name in _BETWEEN or name.startswith(_BETWEEN[1] + ".")):
            if name == "__main__":
                name = getattr(frame.f_globals.get("__spec__"), "name", name)
            trust = _config.trust if _config is not None else ()
            function = frame.f_code.co_name
            return (name, function) in OWN_PIPES or name in trust or f"{name}.{function}" in trust
        frame = frame.f_back
    return False


def _heard(event: str, args: Tuple[Any, ...]) -> None:
    if event != "pickle.find_class" or _config is None:
        return
    module, name = args
    stack = getattr(_local, "stack", None)
    if stack:
        names = stack[-1]
        if names is ANYTHING or (module, name) in names:
            return
        why = "the scan did not see it in what is loaded"
    else:
        if own_pipe(sys._getframe(1)):
            return
        why = (
            "this unpickler was reached past the guard; install it before the modules that unpickle are imported, or name"
            " the module that reads from its own pipes in trust="
        )
    if _config.mode == "warn":
        log().warning("an unpickler asks for %s.%s: %s", module, name, why)
        return
    error = UnsafeFileError("a pickle", verdict="unproven", rule="unguarded-unpickler", why=f"it asks for {module}.{name}: {why}")
    log().error("%s", error)
    raise error


def log() -> Any:
    """Where refusals are told."""
    import logging

    return logging.getLogger("modelscan_rs.guard")
