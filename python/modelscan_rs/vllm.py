"""vLLM: `--load-format modelscan` loads from safetensors only; pickled weights are converted first, by reading.

vLLM finds `register` through the entry point group `vllm.general_plugins`. Should it fail, the format is not known and vLLM
stops: closed. Nothing of vLLM is imported before it asks.
"""
from __future__ import annotations

import copy
import hashlib
import os
import tempfile
from typing import Any, List, Tuple

from . import _scan
from ._report import UnsafeFileError

FORMAT = "modelscan"


def register() -> None:
    """Registers the loader; may be called several times."""
    from vllm.model_executor import model_loader

    model_loader.register_model_loader(FORMAT)(loader_class())


def loader_class() -> type:
    """The loader: the default one, from files that were cleared."""
    from vllm.model_executor.model_loader.default_loader import DefaultModelLoader

    class ModelscanModelLoader(DefaultModelLoader):
        """As the default loader, and nothing is unpickled: what is no safetensors is converted, what is not clean refused."""

        def __init__(self, load_config: Any) -> None:
            inner = copy.copy(load_config)
            # The default loader knows its own formats only; this one takes safetensors before anything else.
            inner.load_format = "hf"
            super().__init__(inner)

        def _prepare_weights(self, *args: Any, **options: Any) -> Tuple[Any, ...]:
            folder, files, use_safetensors, *rest = super()._prepare_weights(*args, **options)
            if not use_safetensors:
                folder, files = converted(folder, files)
            for file in files:
                report = _scan.scan(file)
                if not report.is_clean:
                    raise UnsafeFileError(file, report)
            return (folder, files, True, *rest)

    return ModelscanModelLoader


def converted(folder: str, files: List[str]) -> Tuple[str, List[str]]:
    """Safetensors of these files, in a folder of their own; made once for files that do not change."""
    places = hashlib.sha256()
    for file in files:
        about = os.stat(file)
        places.update(repr((os.path.realpath(file), about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)).encode())
    base = os.environ.get("MODELSCAN_CACHE") or os.path.join(os.path.expanduser("~"), ".cache", "modelscan")
    out = os.path.join(base, "vllm", places.hexdigest())
    names = [os.path.splitext(os.path.basename(file))[0] + ".safetensors" for file in files]
    if not all(os.path.exists(os.path.join(out, name)) for name in names):
        os.makedirs(os.path.dirname(out), mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.path.dirname(out)) as work:
            for file, name in zip(files, names):
                _scan.convert(file, os.path.join(work, name))
            os.makedirs(out, mode=0o700, exist_ok=True)
            for name in names:
                os.replace(os.path.join(work, name), os.path.join(out, name))
    return out, [os.path.join(out, name) for name in names]
