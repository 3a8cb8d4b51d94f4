"""Scans a path, a file or bytes, and returns a stream over the scanned bytes and the names that they may import.

Data of up to `MAX_BYTES_IN_MEMORY` is read once, then scanned and loaded from memory, so that nothing can change it in
between. A larger file is scanned and loaded through one descriptor. The loader compares the stat signature of the file
before and after, and the audit hook rejects other names meanwhile. Every error here is a refusal.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _native
from .._report import Report, UnsafeFileError
from . import _streams, _verdict_cache
from ._lock_check import check_lock, check_lock_of_file
from ._refusal import fail_closed, refuse_or_allow

if TYPE_CHECKING:
    from .._native import Artifact
    from ._names import Names

MAX_BYTES_IN_MEMORY = 16 << 20
#: Below this size a hash costs less than a scan, so verdicts on bytes are cached by their SHA-256.
_MAX_BYTES_HASHED = 1 << 20


class Admitted(NamedTuple):
    """Data that may be loaded."""

    stream: Any
    names: Names
    #: False if the data is allowed although the scan did not find it clean.
    clean: bool


class _Tail(NamedTuple):
    """The scanned rest of a file object, kept for further pickles in the same file."""

    stat_signature: Hashable
    start: int
    data: bytes
    names: Names
    clean: bool


_tails: weakref.WeakKeyDictionary[Any, _Tail] = weakref.WeakKeyDictionary()


def admit_bytes(data: bytes, name: str) -> Admitted:
    def step() -> Admitted:
        artifact = _native.Artifact.from_bytes(data, name)
        key = (hashlib.sha256(data).digest(), name) if len(data) <= _MAX_BYTES_HASHED else None
        names, clean = _decide(artifact, name, 0, key)
        return Admitted(_streams.memory_stream(data, name), names, clean)

    return fail_closed(name, step)


def admit_path(path: str, in_memory: bool = True) -> tuple[Admitted, Artifact]:
    """Admits a file, and returns the open file too. With `in_memory=False` the stream always reads from the file."""

    def step() -> tuple[Admitted, Artifact]:
        artifact = _native.Artifact.open(path)
        size = artifact.stat_signature()[2]
        if in_memory and size <= MAX_BYTES_IN_MEMORY:
            data = _streams.read_at(artifact.fileno(), 0, size)
            check_lock(artifact, path, data)
            return admit_bytes(data, path), artifact
        check_lock(artifact, path)
        names, clean = _decide(artifact, path, 0, _verdict_cache.file_key(artifact, path, 0))
        return Admitted(_streams.reopen(artifact.fileno(), path), names, clean), artifact

    return fail_closed(path, step)


def admit_file(file: Any) -> Admitted | None:
    """Admits the content of an open file from its position on, or returns None at the end of the file.

    The stream is at the position of the file. After the load the caller passes both to `sync_position`.
    """
    name = str(getattr(file, "name", None) or "<file>")

    def step() -> Admitted | None:
        position = _streams.position(file, name)
        unchanged = check_lock_of_file(file)
        signature = _streams.stat_signature(file)
        tail = _tails.get(file) if signature is not None else None
        if tail is not None and tail.stat_signature == signature and 0 <= position - tail.start < len(tail.data):
            return _from_tail(tail, position, name)
        # The label differs from the name, because the format of the rest need not be that of the file extension.
        label = f"{name} (an open file)"
        descriptor = _streams.descriptor_of(file)
        if descriptor is not None:
            artifact = _native.Artifact.from_descriptor(descriptor, label)
            remaining = artifact.stat_signature()[2] - position
            if remaining <= 0:
                return None
            if remaining > MAX_BYTES_IN_MEMORY:
                return _admit_descriptor(artifact, label, position, name)
        data = file.read()
        file.seek(position)
        if not unchanged():
            raise UnsafeFileError(name, rule="changed", why="the file changed while it was read")
        if not isinstance(data, bytes):
            raise TypeError("the file is not open in binary mode")
        if not data:
            return None
        admitted = admit_bytes(data, label)
        tail = _Tail(signature, position, data, admitted.names, admitted.clean)
        if signature is not None:
            _tails[file] = tail
        return _from_tail(tail, position, name)

    return fail_closed(name, step)


def _admit_descriptor(artifact: Artifact, label: str, position: int, name: str) -> Admitted:
    names, clean = _decide(artifact, label, position, _verdict_cache.file_key(artifact, label, position))
    stream = _streams.reopen(artifact.fileno(), name)
    stream.seek(position)
    return Admitted(stream, names, clean)


def _from_tail(tail: _Tail, position: int, name: str) -> Admitted:
    stream = _streams.memory_stream(tail.data, name, tail.start)
    stream.seek(position - tail.start)
    return Admitted(stream, tail.names, tail.clean)


def _decide(artifact: Artifact, path: str, start: int, key: Hashable | None) -> tuple[Names, bool]:
    verdict = _verdict_cache.scan(artifact, start, key)
    if verdict.clean:
        return verdict.names, True
    return refuse_or_allow(artifact, path, Report(verdict.report)), False
