"""Scan, load, convert and guard machine-learning model files without trusting them.

`scan` reports what loading a file would do. `load_file` reads tensors without unpickling. `convert` writes safetensors.
`run` runs a command in the sandbox. `modelscan_rs.guard` scans in front of `torch.load`, `pickle.load` and other
loaders.
"""

from ._load import load_file
from ._native import __version__
from ._report import Artifact, Finding, ModelscanError, NotRead, Report, UnsafeFileError
from ._run import RunResult, command, run
from ._scan import convert, scan

__all__ = [
    "Artifact",
    "Finding",
    "ModelscanError",
    "NotRead",
    "Report",
    "RunResult",
    "UnsafeFileError",
    "__version__",
    "command",
    "convert",
    "load_file",
    "run",
    "scan",
]
