"""Tensors of a file, read from where they stand into arrays: one copy, from the file to the array, and no unpickling.

Every file is opened once. What is read is read through the descriptor that was cleared, and the file is asked again at the
end whether it is still the same.
"""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple, Union

from . import _native
from ._report import ModelscanError
from ._scan import translated

if TYPE_CHECKING:
    import numpy
    import torch

_THREADS = 4
_WORTH_A_THREAD = 16 << 20
# From here on numpy asks for huge pages. Where memory is in pieces, the kernel moves others about to have them: 400 tensors of 5 MB
# then took 1.5 s and not 0.45.
_LARGE = 4 << 20
_TORCH = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16",
    "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool", "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
}
_NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4",
    "U16": "<u2", "U8": "u1", "BOOL": "?", "C64": "<c8",
}
_ML_DTYPES = {
    "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
}


def load_file(
    path: Union[str, "os.PathLike[str]", int], framework: Optional[str] = None, *, root: Optional[str] = None,
    allow_unproven: bool = False, mmap: bool = False,
) -> Dict[str, Union["torch.Tensor", "numpy.ndarray[Any, Any]"]]:
    """The tensors of a checkpoint by name, without unpickling.

    `framework` is `"torch"` or `"numpy"`; by default torch where it is installed. Names are the keys and indices on the way,
    joined by dots; tied tensors are one tensor under each name. What is not clean is refused with `UnsafeFileError`;
    `allow_unproven` takes what is reached by inert constructors only, and `root` a part of the checkpoint. With `mmap` the
    file is mapped privately instead of read: nobody may then write to it or cut it as long as a tensor lives, since what is
    cut ends the process.
    """
    if isinstance(path, int):
        artifact = _native.Artifact.of_descriptor(path, f"<fd {path}>")
    else:
        artifact = _native.Artifact.open(path)
    make = _maker(framework)
    return _tensors(_weights(artifact, str(path), root, allow_unproven), artifact, make, mmap)


def _weights(artifact: Any, path: str, root: Optional[str] = None, allow_unproven: bool = False) -> Any:
    try:
        return artifact.load(root=root, allow_unproven=allow_unproven)
    except ValueError as error:
        raise translated(error, path) from None


def _tensors(weights: Any, artifact: Any, make: Any, mmap: bool = False) -> Dict[str, Any]:
    fd = artifact.fileno()
    mapped: Any = None
    if mmap:
        from mmap import ACCESS_COPY, mmap as Mapping

        mapped = memoryview(Mapping(fd, 0, access=ACCESS_COPY))
    rows = weights.tensors()
    made: List[Any] = [None] * len(rows)
    reads = []
    # Forward through the file: the system reads ahead.
    for index in sorted(range(len(rows)), key=lambda index: (rows[index][4] is None, rows[index][4] or 0)):
        name, dtype, shape, length, at = rows[index]
        if at is None or length == 0:
            buffer = weights.read(index)
        elif mapped is not None and at % 16 == 0:
            buffer = mapped[at:at + length]
        else:
            buffer = make.room(length)
            reads.append((memoryview(buffer), at))
        made[index] = make.tensor(buffer, dtype, shape, name)
    # What was needed to know where they stand goes before they come: then there is less memory in use at once.
    aliases, stamp = weights.aliases(), artifact.stamp()
    same = weights.unchanged()
    del weights
    _read(fd, reads)
    if not same or artifact.stamp() != stamp:
        raise ModelscanError("the file changed while it was read; try again when nobody writes to it")
    tensors = {row[0]: tensor for row, tensor in zip(rows, made)}
    for alias, name in aliases:
        tensors[alias] = tensors[name]
    return tensors


def _read(fd: int, reads: List[Tuple[memoryview, int]]) -> None:
    # What takes long is to hand out new memory, and several threads do it at once.
    threads = min(_THREADS, os.cpu_count() or 1, sum(len(view) for view, _ in reads) // _WORTH_A_THREAD)
    if threads < 2:
        for view, at in reads:
            _fill(fd, view, at)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(_fill, fd, view, at) for view, at in reads]:
            done.result()


def _fill(fd: int, view: memoryview, at: int) -> None:
    done = 0
    while done < len(view):
        count = os.preadv(fd, [view[done:]], at + done)
        if count == 0:
            raise ModelscanError("the file got shorter while it was read")
        done += count


def _maker(framework: Optional[str]) -> Any:
    if framework in (None, "torch", "pt"):
        try:
            return _Torch()
        except ImportError:
            if framework is not None:
                raise
    if framework in (None, "numpy", "np"):
        return _Numpy()
    raise ValueError(f"framework is torch or numpy, not {framework}")


def _room(length: int, numpy: Any) -> Any:
    """New memory, which nobody has written to yet."""
    if length >= _LARGE:
        from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap as Mapping

        return Mapping(-1, length, flags=MAP_PRIVATE | MAP_ANONYMOUS)
    return bytearray(length) if numpy is None else numpy.empty(length, "u1")


class _Numpy:
    def __init__(self) -> None:
        import numpy

        self.numpy = numpy

    def room(self, length: int) -> Any:
        return _room(length, self.numpy)

    def dtype(self, word: str, name: str) -> Any:
        if word in _NUMPY:
            return self.numpy.dtype(_NUMPY[word])
        if word in _ML_DTYPES:
            try:
                import ml_dtypes
            except ImportError:
                raise ModelscanError(
                    f"{name} is {word}, which numpy does not have; install ml_dtypes, or use torch"
                ) from None
            return self.numpy.dtype(getattr(ml_dtypes, _ML_DTYPES[word]))
        raise ModelscanError(f"{name} is {word}, which numpy does not have")

    def tensor(self, buffer: Any, word: str, shape: List[int], name: str) -> Any:
        return self.numpy.frombuffer(buffer, self.dtype(word, name)).reshape(shape)


class _Torch:
    def __init__(self) -> None:
        import torch

        self.torch = torch
        try:
            import numpy
        except ImportError:
            numpy = None
        self.numpy = numpy

    def room(self, length: int) -> Any:
        return _room(length, self.numpy)

    def tensor(self, buffer: Any, word: str, shape: List[int], name: str) -> Any:
        dtype = getattr(self.torch, _TORCH.get(word, ""), None)
        if dtype is None:
            raise ModelscanError(f"{name} is {word}, which this torch does not have as a plain tensor")
        if len(buffer) == 0:
            return self.torch.empty(shape, dtype=dtype)
        return self.torch.frombuffer(buffer, dtype=dtype).reshape(shape)
