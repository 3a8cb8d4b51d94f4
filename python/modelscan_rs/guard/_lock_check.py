"""The check of a file against the lock that `install` was given, before it is loaded."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Callable

from .. import _native
from .._report import UnsafeFileError
from . import _config, _streams, _verdict_cache
from ._refusal import fail_closed, warn_or_raise

if TYPE_CHECKING:
    from .._native import Artifact


def check_lock(artifact: Artifact, path: str | None, data: bytes | None = None) -> bool:
    """Checks the content of an open file, or `data`, the bytes that were read from it.

    Returns whether the lock covers the file. Raises `UnsafeFileError`.
    """
    config = _config.current()
    if config is None or config.lock is None:
        return False
    name = config.lock.name_of(path, artifact.fileno())
    if name is None:
        return False
    sha256 = hashlib.sha256(data).hexdigest() if data is not None else _verdict_cache.sha256(artifact)
    why = config.lock.mismatch(name, sha256)
    if why is not None and sha256 not in config.allow_sha256:
        warn_or_raise(UnsafeFileError(path or name, rule="not-as-locked", why=why, sha256=sha256))
    return True


def check_lock_of_path(path: Any) -> None:
    """Checks a file that a library opens by its path. Anything but the path of a regular file is ignored."""
    config = _config.current()
    if config is None or config.lock is None or not isinstance(path, (str, bytes, os.PathLike)):
        return
    name = os.fsdecode(path)
    if os.path.isfile(name):
        fail_closed(name, lambda: check_lock(_native.Artifact.open(name), name))


def check_lock_of_file(file: Any) -> Callable[[], bool]:
    """Checks what an open file reads from.

    Returns a function that returns whether the file is still unchanged.
    """
    config = _config.current()
    if config is None or config.lock is None:
        return _unchanged
    descriptor = _streams.descriptor_of(file)
    if descriptor is not None:
        artifact = _native.Artifact.from_descriptor(descriptor, "<file>")
        before = artifact.stat_signature()
        if check_lock(artifact, _streams.path_of(file)):
            return lambda: artifact.stat_signature() == before
    elif not _streams.is_plain(file):
        # A stream that decodes another file, as `gzip.open`, has the path of that file.
        check_lock_of_path(_streams.path_of(file))
    return _unchanged


def _unchanged() -> bool:
    return True
