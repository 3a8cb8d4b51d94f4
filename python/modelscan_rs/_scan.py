"""`scan` and `convert`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, BinaryIO, Union

from . import _native
from ._report import ModelscanError, Report, UnsafeFileError

Path = Union[str, "os.PathLike[str]"]
Scannable = Union[Path, int, bytes, bytearray, memoryview, BinaryIO]


def scan(source: Scannable, *, name: str | None = None, sha256: bool = False, jobs: int = 0) -> Report:
    """Reports what loading `source` would do. Nothing in it is executed.

    `source` is the path of a file or folder, a descriptor, bytes, or an open binary file. An open file is scanned from
    its current position on, and the position does not change. `name` is the path in the report of a source without one.
    `sha256` adds hashes to the report. `jobs` is the number of threads for a folder, at least 2.

    Raises `FileNotFoundError` and other `OSError`, and `TypeError` for any other source. A file in a folder that cannot
    be read is in `Report.errors`.
    """
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if not os.path.lexists(path):
            raise FileNotFoundError(2, "No such file or directory", path)
        return Report(_native.scan_paths([path], sha256, jobs))
    return Report(_open(source, name).scan(0, sha256)[2])


def _open(source: int | bytes | bytearray | memoryview | BinaryIO, name: str | None) -> _native.Artifact:
    if isinstance(source, int) and not isinstance(source, bool):
        return _native.Artifact.from_descriptor(source, name or f"<fd {source}>")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _native.Artifact.from_bytes(bytes(source), name or "<bytes>")
    if isinstance(source, bool) or not hasattr(source, "read"):
        raise TypeError(f"source is a path, a descriptor, bytes or a binary file, not a {type(source).__name__}")
    position = source.tell()
    try:
        data = source.read()
    finally:
        source.seek(position)
    if not isinstance(data, bytes):
        raise TypeError("the file is not open in binary mode")
    return _native.Artifact.from_bytes(data, name or str(getattr(source, "name", "<file>")))


def convert(
    src: Path | Sequence[Path],
    dst: Path,
    *,
    root: str | None = None,
    dtype: str | None = None,
    expand_tied: bool = False,
    allow_unproven: bool = False,
    verify: bool = False,
    sha256: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Writes the weights of `src` to `dst` as safetensors, without unpickling, and returns the report.

    A file becomes a file; a folder (sharded or distributed) becomes a folder. The options are those of `modelscan
    convert`, and the report is that of `docs/schemas/convert.json`. A failed conversion leaves nothing at `dst`.

    Raises `UnsafeFileError` if a file is not clean, `ModelscanError` if it cannot be converted, and `OSError`.
    """
    sources = [src] if isinstance(src, (str, os.PathLike)) else list(src)
    try:
        text = _native.convert(
            sources,
            dst,
            root=root,
            dtype=dtype,
            expand_tied=expand_tied,
            allow_unproven=allow_unproven,
            verify=verify,
            sha256=sha256,
            force=force,
        )
    except ValueError as error:
        raise public_error(error, os.fspath(sources[0]) if sources else "nothing") from None
    report: dict[str, Any] = json.loads(text)
    return report


def public_error(error: ValueError, path: str) -> Exception:
    """The public exception for a `ValueError` of the native module.

    Its arguments are a kind, a text, and a report as JSON or None.
    """
    if len(error.args) != 3:
        return error
    kind, text, report = error.args
    if report is not None:
        return UnsafeFileError(path, Report(report))
    if kind == "unknown":
        return UnsafeFileError(path, verdict="unproven", rule="unknown-callable", why=text)
    return ModelscanError(text)
