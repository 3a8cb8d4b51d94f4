"""`load_file`: reads tensors from a file into arrays, with one copy and without unpickling.

The file is opened once. The scan and every read use one descriptor, and the stat signature is compared at the end.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _native
from ._arrays import arrays_of
from ._report import ModelscanError
from ._scan import public_error

if TYPE_CHECKING:
    import numpy
    import torch

    from ._arrays import Arrays

#: Most of the time goes into new memory pages, which several threads fill faster than one.
_MAX_THREADS = 4
_MIN_BYTES_PER_THREAD = 16 << 20
#: The alignment that a mapped tensor needs.
_ALIGNMENT = 16


def load_file(
    path: str | os.PathLike[str] | int,
    framework: str | None = None,
    *,
    root: str | None = None,
    allow_unproven: bool = False,
    mmap: bool = False,
) -> dict[str, torch.Tensor | numpy.ndarray[Any, Any]]:
    """The tensors of a checkpoint by name, without unpickling.

    `path` is a path or a descriptor. `framework` is `"torch"` or `"numpy"`, by default torch if it is installed. A name
    is the keys and indices that lead to the tensor, joined by dots. A tied tensor is one object under several names.

    `root` selects a part of the checkpoint. `allow_unproven` also accepts an unproven file, for tensors that only inert
    constructors lead to. `mmap` maps the file privately instead of reading it: the file must not be written or
    truncated as long as a tensor exists, since a read behind the end of a truncated file kills the process.

    Raises `UnsafeFileError` if the file is not clean, `ModelscanError` if it cannot be loaded, and `OSError`.
    """
    if isinstance(path, int):
        artifact = _native.Artifact.from_descriptor(path, f"<fd {path}>")
    else:
        artifact = _native.Artifact.open(path)
    arrays = arrays_of(framework)
    # `read_tensors` frees the weights, so no variable holds them here.
    return read_tensors(_scan_and_plan(artifact, str(path), root, allow_unproven), artifact, arrays, mmap)


def _scan_and_plan(artifact: _native.Artifact, path: str, root: str | None, allow_unproven: bool) -> _native.Weights:
    try:
        return artifact.load(root=root, allow_unproven=allow_unproven)
    except ValueError as error:
        raise public_error(error, path) from None


def read_tensors(
    weights: _native.Weights, artifact: _native.Artifact, arrays: Arrays, mmap: bool = False
) -> dict[str, Any]:
    """The tensors of `weights` as arrays. Raises `ModelscanError` if the file changes meanwhile."""
    descriptor = artifact.fileno()
    mapping = _map(descriptor) if mmap else None
    tensors = weights.tensors()
    made: dict[str, Any] = {}
    reads: list[tuple[memoryview, int]] = []
    # In the order of the file, since the kernel reads ahead. Tensors without an offset come last.
    order = sorted(range(len(tensors)), key=lambda index: (tensors[index][4] is None, tensors[index][4] or 0))
    for index in order:
        name, dtype, shape, length, offset = tensors[index]
        if offset is None or length == 0:
            buffer: Any = weights.read(index)
        elif mapping is not None and offset % _ALIGNMENT == 0:
            buffer = mapping[offset : offset + length]
        else:
            buffer = arrays.allocate(length)
            reads.append((memoryview(buffer), offset))
        made[name] = arrays.array(buffer, dtype, shape, name)
    aliases, signature = weights.aliases(), artifact.stat_signature()
    unchanged = weights.unchanged()
    # Free the plan before the reads fill the buffers, for a lower peak of memory.
    del weights
    _read_all(descriptor, reads)
    if not unchanged or artifact.stat_signature() != signature:
        raise ModelscanError("the file changed while it was read; try again when no program writes to it")
    by_name = {name: made[name] for name, *_ in tensors}
    for alias, name in aliases:
        by_name[alias] = by_name[name]
    return by_name


def _map(descriptor: int) -> memoryview:
    from mmap import ACCESS_COPY, mmap

    return memoryview(mmap(descriptor, 0, access=ACCESS_COPY))


def _read_all(descriptor: int, reads: list[tuple[memoryview, int]]) -> None:
    total = sum(len(view) for view, _ in reads)
    threads = min(_MAX_THREADS, os.cpu_count() or 1, total // _MIN_BYTES_PER_THREAD)
    if threads < 2:
        for view, offset in reads:
            _read_into(descriptor, view, offset)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(_read_into, descriptor, view, offset) for view, offset in reads]:
            future.result()


def _read_into(descriptor: int, view: memoryview, offset: int) -> None:
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if count == 0:
            raise ModelscanError("the file got shorter while it was read")
        done += count
