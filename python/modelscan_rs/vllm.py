"""The vLLM plugin: `--load-format modelscan` loads safetensors only, and converts pickled weights first, without
unpickling.

vLLM finds `register` through the entry point group `vllm.general_plugins`. If the plugin cannot be loaded, vLLM does
not know the format and stops. Nothing of vLLM is imported before vLLM calls `register`.
"""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
from typing import Any

from . import _scan
from ._report import UnsafeFileError

FORMAT = "modelscan"


def register() -> None:
    """Registers the loader. Further calls have no effect."""
    from vllm.model_executor import model_loader

    model_loader.register_model_loader(FORMAT)(loader_class())


def loader_class() -> type:
    """A subclass of vLLM's default loader. It loads clean safetensors and nothing else."""
    from vllm.model_executor.model_loader.default_loader import DefaultModelLoader

    class ModelscanModelLoader(DefaultModelLoader):  # type: ignore[misc]
        """The default loader without unpickling: converts other weights, and refuses files that are not clean."""

        def __init__(self, load_config: Any) -> None:
            inner = copy.copy(load_config)
            # The default loader accepts only its own formats. This one prefers safetensors.
            inner.load_format = "hf"
            super().__init__(inner)

        def _prepare_weights(self, *args: Any, **options: Any) -> tuple[Any, ...]:
            folder, files, use_safetensors, *rest = super()._prepare_weights(*args, **options)
            if not use_safetensors:
                folder, files = converted(files)
            for file in files:
                report = _scan.scan(file)
                if not report.is_clean:
                    raise UnsafeFileError(file, report)
            return (folder, files, True, *rest)

    return ModelscanModelLoader


def converted(files: list[str]) -> tuple[str, list[str]]:
    """Converts weights to safetensors in a cache folder, and returns the folder and its files.

    The folder is `MODELSCAN_CACHE`, by default `~/.cache/modelscan`. Its name has the stat signatures of the files, so
    that they are converted again only if one of them changes.
    """
    cache = os.environ.get("MODELSCAN_CACHE") or os.path.join(os.path.expanduser("~"), ".cache", "modelscan")
    folder = os.path.join(cache, "vllm", _cache_key(files))
    names = [os.path.splitext(os.path.basename(file))[0] + ".safetensors" for file in files]
    if not all(os.path.exists(os.path.join(folder, name)) for name in names):
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as work:
            for file, name in zip(files, names):
                _scan.convert(file, os.path.join(work, name))
            os.makedirs(folder, mode=0o700, exist_ok=True)
            for name in names:
                os.replace(os.path.join(work, name), os.path.join(folder, name))
    return folder, [os.path.join(folder, name) for name in names]


def _cache_key(files: list[str]) -> str:
    key = hashlib.sha256()
    for file in files:
        status = os.stat(file)
        signature = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        key.update(repr((os.path.realpath(file), *signature)).encode())
    return key.hexdigest()
