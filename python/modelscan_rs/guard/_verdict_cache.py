"""Caches of verdicts and hashes, keyed by content or by the stat signature of a file."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple

from ._names import with_aliases

if TYPE_CHECKING:
    from .._native import Artifact
    from ._names import Names

#: A file can change twice within this time and keep its timestamps, so a younger file is not cached.
_MIN_AGE_NS = 2_000_000_000
_MAX_ENTRIES = 4096


class Verdict(NamedTuple):
    """The result of one scan."""

    #: Every byte was read and every callable is inert.
    clean: bool
    #: The report as JSON.
    report: str
    names: Names


_verdicts: dict[Hashable, Verdict] = {}
_hashes: dict[Hashable, str] = {}


def file_key(artifact: Artifact, name: str, start: int) -> Hashable | None:
    """The key of a file read from `start` on, or None if the file changed too recently."""
    signature = artifact.stat_signature()
    age_ns = time.time_ns() - max(signature[3], signature[4])
    return (signature, name, start) if age_ns > _MIN_AGE_NS else None


def scan(artifact: Artifact, start: int, key: Hashable | None) -> Verdict:
    """The verdict on `artifact` from `start` on, from the cache if `key` is in it."""
    found = _verdicts.get(key) if key is not None else None
    if found is None:
        verdict, complete, report, imports = artifact.scan(start, False)
        found = Verdict(verdict == "clean" and complete, report, with_aliases(imports))
        _store(_verdicts, key, found)
    return found


def sha256(artifact: Artifact) -> str:
    """The SHA-256 of a whole file, from the cache if the file did not change.

    Raises `OSError` if it changes meanwhile.
    """
    key = file_key(artifact, "sha256", 0)
    found = _hashes.get(key) if key is not None else None
    if found is None:
        before = artifact.stat_signature()
        found = artifact.sha256()
        if artifact.stat_signature() != before:
            raise OSError("the file changed while it was read")
        _store(_hashes, key, found)
    return found


def clear() -> None:
    """Empties both caches."""
    _verdicts.clear()
    _hashes.clear()


def _store(cache: dict[Hashable, Any], key: Hashable | None, value: Any) -> None:
    if key is None:
        return
    if len(cache) >= _MAX_ENTRIES:
        cache.clear()
    cache[key] = value
