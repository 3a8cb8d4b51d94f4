"""New arrays of torch and numpy over bytes, by safetensors dtype."""

from __future__ import annotations

from typing import Any, Protocol

from ._report import ModelscanError

#: numpy asks for huge pages from this size on. With fragmented memory the kernel then moves pages to make them: 400
#: tensors of 5 MB took 1.5 s instead of 0.45 s. So larger buffers are mapped here.
_MIN_BYTES_MAPPED = 4 << 20

_TORCH_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
_NUMPY_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
    "C64": "<c8",
}
_ML_DTYPES = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}


class Arrays(Protocol):
    """Makes the arrays of one framework."""

    def allocate(self, length: int) -> Any:
        """A writable buffer of `length` bytes, whose memory is not touched yet."""

    def array(self, buffer: Any, dtype: str, shape: list[int], name: str) -> Any:
        """An array over `buffer`, without a copy. `name` is for the error."""


def arrays_of(framework: str | None) -> Arrays:
    """The arrays of a framework by name; by default of torch if it is installed, else of numpy."""
    if framework in (None, "torch", "pt"):
        try:
            return TorchArrays()
        except ImportError:
            if framework is not None:
                raise
    if framework in (None, "numpy", "np"):
        return NumpyArrays()
    raise ValueError(f"framework is torch or numpy, not {framework}")


def _allocate(length: int, numpy: Any) -> Any:
    if length >= _MIN_BYTES_MAPPED:
        from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

        return mmap(-1, length, flags=MAP_PRIVATE | MAP_ANONYMOUS)
    return bytearray(length) if numpy is None else numpy.empty(length, "u1")


class NumpyArrays:
    def __init__(self) -> None:
        import numpy

        self.numpy: Any = numpy

    def allocate(self, length: int) -> Any:
        return _allocate(length, self.numpy)

    def array(self, buffer: Any, dtype: str, shape: list[int], name: str) -> Any:
        return self.numpy.frombuffer(buffer, self._dtype(dtype, name)).reshape(shape)

    def _dtype(self, dtype: str, name: str) -> Any:
        if dtype in _NUMPY_DTYPES:
            return self.numpy.dtype(_NUMPY_DTYPES[dtype])
        if dtype not in _ML_DTYPES:
            raise ModelscanError(f"{name} is {dtype}, which numpy does not have")
        try:
            import ml_dtypes
        except ImportError:
            raise ModelscanError(
                f"{name} is {dtype}, which numpy does not have; install ml_dtypes, or use torch"
            ) from None
        return self.numpy.dtype(getattr(ml_dtypes, _ML_DTYPES[dtype]))


class TorchArrays:
    def __init__(self) -> None:
        import torch

        self.torch: Any = torch
        self.numpy: Any = None
        try:
            import numpy
        except ImportError:
            return
        self.numpy = numpy

    def allocate(self, length: int) -> Any:
        return _allocate(length, self.numpy)

    def array(self, buffer: Any, dtype: str, shape: list[int], name: str) -> Any:
        torch_dtype = getattr(self.torch, _TORCH_DTYPES.get(dtype, ""), None)
        if torch_dtype is None:
            raise ModelscanError(f"{name} is {dtype}, which this torch does not have as a plain tensor")
        if len(buffer) == 0:
            return self.torch.empty(shape, dtype=torch_dtype)
        return self.torch.frombuffer(buffer, dtype=torch_dtype).reshape(shape)
