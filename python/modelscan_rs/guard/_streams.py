"""Open files that callers pass in, and the streams over scanned bytes that the loaders get instead."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Hashable
from typing import Any

from .._report import UnsafeFileError

#: Exact types of the standard library. A subclass may return other bytes than its descriptor has.
_FILES = (io.BufferedReader, io.BufferedRandom, io.FileIO)


class MemoryStream(io.BytesIO):
    """Scanned bytes from position `start` of a file on."""

    #: The path of the file; libraries read it from a stream.
    name = ""
    start = 0


def memory_stream(data: bytes, name: str, start: int = 0) -> MemoryStream:
    stream = MemoryStream(data)
    stream.name, stream.start = name, start
    return stream


def sync_position(file: Any, stream: Any) -> None:
    """Moves `file` to the position that a loader reached in `stream`."""
    file.seek(stream.tell() + (stream.start if isinstance(stream, MemoryStream) else 0))


def is_plain(file: Any) -> bool:
    """Whether `file` is a file or memory of the standard library, and decodes nothing."""
    return type(file) in _FILES or type(file) is io.BytesIO


def descriptor_of(file: Any) -> int | None:
    """The descriptor that `file` reads its bytes from, if it is a plain file object over a regular file."""
    if type(file) not in _FILES:
        return None
    raw = file if type(file) is io.FileIO else file.raw
    if type(raw) is not io.FileIO:
        return None
    descriptor = raw.fileno()
    return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def path_of(file: Any) -> str | None:
    name = getattr(file, "name", None)
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else None


def stat_signature(file: Any) -> Hashable | None:
    """Device, inode, size and times of a regular file, which differ after a change. None for other streams."""
    descriptor = descriptor_of(file)
    if descriptor is None:
        return None
    status = os.fstat(descriptor)
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def position(file: Any, name: str) -> int:
    """The position of a seekable stream. Refuses other streams, which cannot be read twice."""
    if not getattr(file, "seekable", lambda: hasattr(file, "seek"))():
        why = "it is a stream that cannot seek; read it into memory, or name the calling module in trust="
        raise UnsafeFileError(name, rule="unseekable-stream", why=why)
    offset: int = file.tell()
    return offset


def read_at(descriptor: int, offset: int, length: int) -> bytes:
    """Exactly `length` bytes from `offset` on. Raises `OSError` if the file is shorter."""
    parts = []
    while length > 0:
        part = os.pread(descriptor, length, offset)
        if not part:
            raise OSError("the file got shorter while it was read")
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return b"".join(parts) if len(parts) != 1 else parts[0]


def reopen(descriptor: int, name: str) -> io.BufferedReader:
    """A file object at position 0 over a duplicate of `descriptor`.

    The two share the position, so nothing else may read through `descriptor` without an offset.
    """
    duplicate = os.dup(descriptor)
    os.lseek(duplicate, 0, os.SEEK_SET)
    return open(name, "rb", opener=lambda *_: duplicate)
