"""Admission: bytes in, and out of it a stream over those very bytes with the names that may be asked for, or an exception.

Up to `IN_MEMORY` bytes are read once, scanned and loaded from memory: nobody can change them between. What is larger is scanned
and loaded through one descriptor; the file is asked before and after whether it changed, and the net holds meanwhile. Whatever
goes wrong here is a refusal.
"""
from __future__ import annotations

import hashlib
import io
import os
import time
import weakref
from typing import Any, Dict, NamedTuple, Optional, Tuple

from . import _net
from .. import _native
from .._report import Report, UnsafeFileError

IN_MEMORY = 16 << 20
#: Content of which a hash is had in less time than the scan would take.
_HASHED = 1 << 20
#: A file that changed less than this ago may change once more without another time: its verdict is not kept.
_SETTLED_NS = 2_000_000_000
_MOST = 4096

_verdicts: Dict[Any, Tuple[Any, ...]] = {}
_hashes: Dict[Any, str] = {}
_readers: "weakref.WeakKeyDictionary[Any, Any]" = weakref.WeakKeyDictionary()


class Admitted(NamedTuple):
    """What may be loaded."""

    stream: Any
    names: _net.Names
    #: The open file, where there is one.
    artifact: Any
    #: What the scan said, None where somebody allowed it.
    clean: bool


class _Bytes(io.BytesIO):
    """Bytes in memory that know what file they come from."""

    name = ""


def closed(path: str, step: Any) -> Any:
    """Does a step; what it fails of is a refusal."""
    try:
        return step()
    except (UnsafeFileError, OSError, EOFError, MemoryError):
        raise
    except Exception as error:
        why = f"the guard failed: {type(error).__name__}: {error}"
        raise UnsafeFileError(path, rule="guard-failed", why=why) from error


def of_bytes(data: bytes, name: str) -> Admitted:
    """Admits bytes in memory."""
    def step() -> Admitted:
        artifact = _native.Artifact.of_bytes(data, name)
        key = (hashlib.sha256(data).digest(), name) if len(data) <= _HASHED else None
        names, clean = _decide(artifact, name, 0, key)
        stream = _Bytes(data)
        stream.name = name
        return Admitted(stream, names, None, clean)

    return closed(name, step)


def of_path(path: str, in_memory: bool = True) -> Admitted:
    """Admits a file by its path, which is opened once."""
    def step() -> Admitted:
        artifact = _native.Artifact.open(path)
        size = artifact.stamp()[2]
        if in_memory and size <= IN_MEMORY:
            data = _read(artifact.fileno(), 0, size)
            _locked(artifact, path, data)
            admitted = of_bytes(data, path)
            return admitted._replace(artifact=artifact)
        _locked(artifact, path)
        names, clean = _decide(artifact, path, 0, _key(artifact, path, 0))
        return Admitted(_reopened(artifact.fileno(), path), names, artifact, clean)

    return closed(path, step)


def of_file(file: Any) -> Optional[Admitted]:
    """Admits what an open file holds from its position on; None where that is nothing. The stream stands at the same
    position as the file, and whoever loads from it calls `moved` in the end."""
    name = str(getattr(file, "name", None) or "<file>")
    # What stands in it from here on is not what the name promises of the whole.
    label = f"{name} (an open file)"

    def step() -> Optional[Admitted]:
        at = _position(file, name)
        held = _held(file)
        kept = _readers.get(file) if type(file) in _REAL else None
        if kept is not None and kept[0] == _mark(file) and kept[1] <= at < kept[1] + len(kept[2]):
            return _part(*kept[1:], at, name)
        if type(file) in _REAL[:3] and _descriptor(file) is not None:
            artifact = _native.Artifact.of_descriptor(_descriptor(file), label)
            left = artifact.stamp()[2] - at
            if left <= 0:
                return None
            if left > IN_MEMORY:
                names, clean = _decide(artifact, label, at, _key(artifact, label, at))
                stream = _reopened(artifact.fileno(), name)
                stream.seek(at)
                return Admitted(stream, names, artifact, clean)
        mark = _mark(file)
        data = file.read()
        file.seek(at)
        if held is not None and held[0].stamp() != held[1]:
            raise UnsafeFileError(name, rule="changed", why="the file changed while it was read")
        if not isinstance(data, bytes):
            raise TypeError("a file that is open in binary mode is needed")
        if not data:
            return None
        admitted = of_bytes(data, label)
        if mark is not None:
            _readers[file] = (mark, at, data, admitted.names, admitted.clean)
        return _part(at, data, admitted.names, admitted.clean, at, name)

    return closed(name, step)


def moved(file: Any, admitted: Admitted) -> None:
    """Has the file stand where the stream does."""
    stream = admitted.stream
    file.seek(stream.tell() + (stream.start if isinstance(stream, _Part) else 0))


class _Part(_Bytes):
    """The rest of a file, from `start` on."""

    start = 0


def _part(start: int, data: bytes, names: _net.Names, clean: bool, at: int, name: str) -> Admitted:
    stream = _Part(data)
    stream.start, stream.name = start, name
    stream.seek(at - start)
    return Admitted(stream, names, None, clean)


#: Types that are what they seem: whose descriptor, if they have one, is that of the very bytes that they read.
_REAL = (io.BufferedReader, io.BufferedRandom, io.FileIO, io.BytesIO)


def _position(file: Any, name: str) -> int:
    if not getattr(file, "seekable", lambda: hasattr(file, "seek"))():
        why = "it is a stream that cannot be read ahead; read it into memory, or name the module in trust="
        raise UnsafeFileError(name, rule="unseekable-stream", why=why)
    return file.tell()


def _descriptor(file: Any) -> Optional[int]:
    raw = file if type(file) is io.FileIO else file.raw
    if type(raw) is not io.FileIO:
        return None
    import stat

    descriptor = raw.fileno()
    return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _mark(file: Any) -> Any:
    """Equal for a file that did not change since."""
    if type(file) is io.BytesIO:
        return None
    if type(file) in _REAL and _descriptor(file) is not None:
        about = os.fstat(file.fileno())
        return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    return None


def _read(descriptor: int, at: int, length: int) -> bytes:
    parts = []
    while length > 0:
        part = os.pread(descriptor, length, at)
        if not part:
            raise OSError("the file got shorter while it was read")
        parts.append(part)
        at += len(part)
        length -= len(part)
    return b"".join(parts) if len(parts) != 1 else parts[0]


def _reopened(descriptor: int, name: str) -> Any:
    """A file object of its own over a copy of the descriptor. The position is shared: nobody else reads by it."""
    copy = os.dup(descriptor)
    os.lseek(copy, 0, os.SEEK_SET)
    return open(name, "rb", opener=lambda *_: copy)


def _held(file: Any) -> Any:
    """Holds what an open file reads from against the lock; its stamp, where the lock is about it."""
    config = _net.current()
    if config is None or config.lock is None:
        return None
    if type(file) in _REAL[:3] and _descriptor(file) is not None:
        artifact = _native.Artifact.of_descriptor(_descriptor(file), "<file>")
        stamp = artifact.stamp()
        return (artifact, stamp) if _locked(artifact, _path_of(file)) else None
    if type(file) not in _REAL:
        # What it reads was decoded from a file that it names.
        locked(_path_of(file))
    return None


def _path_of(file: Any) -> Optional[str]:
    name = getattr(file, "name", None)
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else None


def locked(path: Any) -> None:
    """Holds a file against the lock that another loader opens by its path."""
    config = _net.current()
    if config is None or config.lock is None or not isinstance(path, (str, bytes, os.PathLike)):
        return
    path = os.fsdecode(path)
    if os.path.isfile(path):
        closed(path, lambda: _locked(_native.Artifact.open(path), path))


def _locked(artifact: Any, path: Optional[str], data: Optional[bytes] = None) -> bool:
    """Holds an open file, or what was read of it, against the lock; whether the lock is about it."""
    config = _net.current()
    if config is None or config.lock is None:
        return False
    name = config.lock.name(path, artifact.fileno())
    if name is None:
        return False
    sha256 = hashlib.sha256(data).hexdigest() if data is not None else _hash(artifact)
    why = config.lock.against(name, sha256)
    if why is None or sha256 in config.allow:
        return True
    error = UnsafeFileError(path or name, rule="not-as-locked", why=why, sha256=sha256)
    if config.mode == "warn":
        _net.log().warning("%s", error)
        return True
    _net.log().error("%s", error)
    raise error


def _hash(artifact: Any) -> str:
    """The SHA-256 of all of a file, kept as long as the file does not change."""
    key = _key(artifact, "sha256", 0)
    found = _hashes.get(key) if key is not None else None
    if found is None:
        before = artifact.stamp()
        found = artifact.sha256()
        if artifact.stamp() != before:
            raise OSError("the file changed while it was read")
        if key is not None:
            if len(_hashes) >= _MOST:
                _hashes.clear()
            _hashes[key] = found
    return found


def _key(artifact: Any, name: str, start: int) -> Any:
    stamp = artifact.stamp()
    settled = time.time_ns() - max(stamp[3], stamp[4]) > _SETTLED_NS
    return (stamp, name, start) if settled else None


def _decide(artifact: Any, path: str, start: int, key: Any) -> Tuple[_net.Names, bool]:
    found = _verdicts.get(key) if key is not None else None
    if found is None:
        verdict, whole, report, imports = artifact.scan(start, False)
        found = (verdict == "clean" and whole, report, _with_twins(imports))
        if key is not None:
            if len(_verdicts) >= _MOST:
                _verdicts.clear()
            _verdicts[key] = found
    clean, report, names = found
    if clean:
        return names, True
    return _against(artifact, path, Report(report), None), False


def unread(artifact: Any, path: str, why: str) -> None:
    """Refuses what the scan cannot judge although it is clean as far as it was read."""
    _against(artifact, path, None, why)


def _against(artifact: Any, path: str, report: Optional[Report], why: Optional[str]) -> _net.Names:
    """What is not clean is allowed by its hash, or only warned of, or refused."""
    config = _net.current()
    sha256 = artifact.sha256()
    if config is not None and sha256 in config.allow:
        _net.log().info("%s is allowed by its hash %s", path, sha256)
        return _net.ANYTHING
    error = UnsafeFileError(path, report, verdict="unproven", rule="not-judged", why=why, sha256=sha256)
    if config is not None and config.mode == "warn":
        _net.log().warning("%s", error)
        return _net.ANYTHING
    _net.log().error("%s", error)
    raise error


def _with_twins(imports: Any) -> _net.Names:
    """Also what loaders ask for in the place of what stands in the stream."""
    import sys

    pandas = getattr(sys.modules.get("pandas.compat.pickle_compat"), "_class_locations_map", {})
    names = set()
    for module, name in imports:
        names.add((module, name))
        if module == "torch.tensor":
            names.add(("torch._tensor", name))
        if (module, name) in pandas:
            names.add(tuple(pandas[(module, name)]))
        for old, new in (("numpy.core", "numpy._core"), ("numpy._core", "numpy.core")):
            if module == old or module.startswith(old + "."):
                names.add((new + module[len(old):], name))
    return frozenset(names)
