"""Model files without trusting them: scan, load, convert, and guard what loads them.

`scan` says what loading would do, `load_file` reads tensors without unpickling, `convert` writes safetensors, `run` runs a
command inside walls, and `modelscan_rs.guard` stands in front of `torch.load`, `pickle.load` and their kin.
"""
from ._native import __version__
from ._report import Artifact, Finding, ModelscanError, NotRead, Report, UnsafeFileError
from ._scan import convert, scan
from ._load import load_file
from ._run import RunResult, command, run

__all__ = [
    "Artifact", "Finding", "ModelscanError", "NotRead", "Report", "RunResult", "UnsafeFileError", "__version__", "command",
    "convert", "load_file", "run", "scan",
]
