"""Scanning and converting by name, descriptor or bytes."""
from __future__ import annotations

import os
from typing import Any, BinaryIO, Dict, Optional, Sequence, Union

from . import _native
from ._report import ModelscanError, Report, UnsafeFileError

Path = Union[str, "os.PathLike[str]"]
Scannable = Union[Path, int, bytes, bytearray, memoryview, BinaryIO]


def scan(source: Scannable, *, name: Optional[str] = None, sha256: bool = False, jobs: int = 0) -> Report:
    """Says what loading `source` would do, and runs nothing of it.

    `source` is a path of a file or a folder, a descriptor, bytes, or an open binary file, of which everything from its current
    position on is scanned and whose position stays. `name` is what the report calls what has no path.
    """
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if not os.path.lexists(path):
            raise FileNotFoundError(2, "No such file or directory", path)
        return Report(_native.scan_paths([path], sha256, jobs))
    if isinstance(source, bool):
        raise TypeError("a path, a descriptor, bytes or a binary file is scanned, not a bool")
    if isinstance(source, int):
        return Report(_native.Artifact.of_descriptor(source, name or f"<fd {source}>").scan(0, sha256)[2])
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Report(_native.Artifact.of_bytes(bytes(source), name or "<bytes>").scan(0, sha256)[2])
    if hasattr(source, "read"):
        at = source.tell()
        try:
            data = source.read()
        finally:
            source.seek(at)
        if not isinstance(data, bytes):
            raise TypeError("the file is not open in binary mode")
        return Report(_native.Artifact.of_bytes(data, name or str(getattr(source, "name", "<file>"))).scan(0, sha256)[2])
    raise TypeError(f"a path, a descriptor, bytes or a binary file is scanned, not a {type(source).__name__}")


def convert(
    src: Union[Path, Sequence[Path]], dst: Path, *, root: Optional[str] = None, dtype: Optional[str] = None,
    expand_tied: bool = False, allow_unproven: bool = False, verify: bool = False, sha256: bool = False, force: bool = False,
) -> Dict[str, Any]:
    """Writes the weights of `src` to `dst` as safetensors, by reading and never by unpickling.

    A file gives a file, a folder (sharded or distributed) a folder. The options are those of `modelscan convert`, and so is the
    report that comes back. Nothing is left behind at `dst` when it fails.
    """
    import json

    sources = [src] if isinstance(src, (str, os.PathLike)) else list(src)
    try:
        text = _native.convert(
            sources, dst, root=root, dtype=dtype, expand_tied=expand_tied, allow_unproven=allow_unproven, verify=verify,
            sha256=sha256, force=force,
        )
    except ValueError as error:
        raise translated(error, os.fspath(sources[0]) if sources else "nothing") from None
    return json.loads(text)


def translated(error: ValueError, path: str) -> Exception:
    """The exception for what the native half says."""
    if len(error.args) != 3:
        return error
    kind, text, report = error.args
    if report is not None:
        return UnsafeFileError(path, Report(report))
    if kind == "unknown":
        return UnsafeFileError(path, verdict="unproven", rule="unknown-callable", why=text)
    return ModelscanError(text)
