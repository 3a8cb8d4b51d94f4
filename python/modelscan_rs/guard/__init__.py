"""A guard in front of everything that unpickles: what is loaded was scanned first, and it is the very bytes that were scanned.

    from modelscan_rs import guard
    guard.install()                      # refuses what is not clean, in this whole process
    with guard.install("warn"): ...      # or for a while; warn only logs

`MODELSCAN_GUARD=deny` (or `convert`, `warn`) in the environment guards every Python process of an environment that this package
is installed in, from its start. `docs/python.md` of the project says what the guard can and cannot stop.
"""
from __future__ import annotations

import os
from typing import Iterable, Optional

from . import _libraries, _net, _pickles
from ._lock import Lock
from .._report import ModelscanError, UnsafeFileError

__all__ = ["Guard", "ModelscanError", "UnsafeFileError", "active", "install", "uninstall"]

MODES = ("deny", "convert", "warn")


class Guard:
    """The guard that `install` put up; as a context manager it goes at the end."""

    def __init__(self, before: Optional[_net.Config]) -> None:
        self._before = before
        self._up = True

    def uninstall(self) -> None:
        """Takes this guard down: the one before it, or none, is in force again."""
        if self._up:
            self._up = False
            _set(self._before)

    def __enter__(self) -> "Guard":
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()


def install(
    mode: str = "deny", *, allow_sha256: Iterable[str] = (), trust: Iterable[str] = (), lock: Optional[str] = None,
    lock_folder: Optional[str] = None,
) -> Guard:
    """Puts the guard up in this process; the earlier the better, since names taken before (`from pickle import loads`) go to
    the net and not through a scan.

    `deny` refuses what is not clean. `convert` does so too and answers `torch.load` of a clean state dict from our own reader.
    `warn` logs and loads. `allow_sha256` names content that is loaded whatever the scan says; `trust` names modules or
    functions (`package.module.function`) that may unpickle what comes from their own pipes, beside those of `multiprocessing`. Both are added to those in the environment
    (`MODELSCAN_ALLOW_SHA256`, `MODELSCAN_GUARD_TRUST`, separated by commas).

    `lock` names a lock of `modelscan lock`: a file below `lock_folder` (or else the folder that the lock stands in) is loaded only
    with the content that was locked. The environment has `MODELSCAN_GUARD_LOCK` and `MODELSCAN_GUARD_LOCK_FOLDER` for it.
    """
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
    hashes = [*allow_sha256, *_listed("MODELSCAN_ALLOW_SHA256")]
    for one in hashes:
        if len(one) != 64 or not all(digit in "0123456789abcdefABCDEF" for digit in one):
            raise ValueError(f"{one!r} is no SHA-256")
    modules = (*trust, *_listed("MODELSCAN_GUARD_TRUST"))
    lock = lock if lock is not None else os.environ.get("MODELSCAN_GUARD_LOCK") or None
    lock_folder = lock_folder if lock_folder is not None else os.environ.get("MODELSCAN_GUARD_LOCK_FOLDER") or None
    locked = Lock(os.fspath(lock), lock_folder) if lock is not None else None
    before = _net.current()
    config = _net.Config(mode, frozenset(one.lower() for one in hashes), modules, locked)
    _set(config)
    return Guard(before)


def uninstall() -> None:
    """Takes all guards of this process down."""
    _set(None)


def active() -> Optional[str]:
    """The mode that is in force, or None."""
    config = _net.current()
    return config.mode if config is not None else None


def _set(config: Optional[_net.Config]) -> None:
    # The net first: if one of the others fails, what is not wrapped is refused.
    if config is not None:
        _net.cast(config)
        _pickles.wrap()
        _libraries.wrap()
    else:
        _libraries.unwrap()
        _pickles.unwrap()
        _net.draw_in()


def _listed(variable: str) -> list:
    return [one.strip() for one in os.environ.get(variable, "").split(",") if one.strip()]
