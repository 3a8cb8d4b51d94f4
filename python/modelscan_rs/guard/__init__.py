"""A guard in front of every function that unpickles: it scans first, and the loader gets the scanned bytes.

    from modelscan_rs import guard
    guard.install()                      # refuses files that are not clean, in the whole process
    with guard.install("warn"): ...      # or for a while; warn only logs

With `MODELSCAN_GUARD=deny` (or `convert`, `warn`) in the environment, every Python process of an environment that has
this package starts with the guard. `docs/python.md` of the project lists what the guard can and cannot stop.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from .._report import ModelscanError, UnsafeFileError
from . import _audit_hook, _config, _import_hook, _pickles
from ._lock import Lock

__all__ = ["Guard", "ModelscanError", "UnsafeFileError", "active", "install", "uninstall"]

MODES = ("deny", "convert", "warn")


class Guard:
    """The result of `install`. As a context manager it uninstalls the guard at the end."""

    def __init__(self, previous: _config.Config | None) -> None:
        self._previous = previous
        self._installed = True

    def uninstall(self) -> None:
        """Removes this guard, and restores the one that was active before it, if any."""
        if self._installed:
            self._installed = False
            _activate(self._previous)

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()


def install(
    mode: str = "deny",
    *,
    allow_sha256: Iterable[str] = (),
    trust: Iterable[str] = (),
    lock: str | os.PathLike[str] | None = None,
    lock_folder: str | os.PathLike[str] | None = None,
) -> Guard:
    """Installs the guard in this process. Call it before other imports.

    A name that was imported before (`from pickle import loads`) is not replaced: its data is not scanned, and the audit
    hook refuses every name that it imports.

    `mode`: `deny` refuses files that are not clean. `convert` does the same, and `torch.load` of a clean state dict is
    answered by our own reader. `warn` logs and loads.

    `allow_sha256`: SHA-256 hashes of content that is loaded whatever the scan reports. Adds to
    `MODELSCAN_ALLOW_SHA256`.

    `trust`: modules, or functions as `package.module.function`, that may unpickle data from their own pipes, in
    addition to those of `multiprocessing`. Adds to `MODELSCAN_GUARD_TRUST`. Both variables are separated by commas.

    `lock`: a file of `modelscan lock`. Files below `lock_folder`, by default the folder of the lock, are loaded only
    with the locked content. The defaults are `MODELSCAN_GUARD_LOCK` and `MODELSCAN_GUARD_LOCK_FOLDER`.

    Raises `ValueError` for an unknown mode, a wrong hash or a file that is not a lock.
    """
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
    hashes = [*allow_sha256, *_comma_separated("MODELSCAN_ALLOW_SHA256")]
    for sha256 in hashes:
        if len(sha256) != 64 or not all(digit in "0123456789abcdefABCDEF" for digit in sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256")
    trusted = (*trust, *_comma_separated("MODELSCAN_GUARD_TRUST"))
    lock = lock if lock is not None else os.environ.get("MODELSCAN_GUARD_LOCK") or None
    lock_folder = lock_folder if lock_folder is not None else os.environ.get("MODELSCAN_GUARD_LOCK_FOLDER") or None
    read_lock = Lock(lock, lock_folder) if lock is not None else None
    previous = _config.current()
    _activate(_config.Config(mode, frozenset(sha256.lower() for sha256 in hashes), trusted, read_lock))
    return Guard(previous)


def uninstall() -> None:
    """Removes every guard of this process."""
    _activate(None)


def active() -> str | None:
    """The mode of the active guard, or None."""
    config = _config.current()
    return config.mode if config is not None else None


def _activate(config: _config.Config | None) -> None:
    # The audit hook comes first and goes last. If a wrapper fails, the hook refuses the names of unscanned data.
    if config is not None:
        _audit_hook.enable(config)
        _pickles.wrap()
        _import_hook.wrap()
    else:
        _import_hook.unwrap()
        _pickles.unwrap()
        _audit_hook.disable()


def _comma_separated(variable: str) -> list[str]:
    return [item.strip() for item in os.environ.get(variable, "").split(",") if item.strip()]
