"""The sandbox, through the installed command: the library never forks the calling process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple


class RunResult(NamedTuple):
    """The end of a command in the sandbox."""

    #: The exit code of `modelscan run`.
    code: int
    outcome: str
    #: None unless captured.
    stdout: bytes | None
    stderr: bytes | None
    #: As `docs/schemas/run.json`: what was enforced, and which calls were refused.
    report: dict[str, Any]


def command() -> str:
    """The path of the `modelscan-rs` command of this package; `MODELSCAN_COMMAND` overrides it.

    Raises `FileNotFoundError`.
    """
    override = os.environ.get("MODELSCAN_COMMAND")
    if override:
        return override
    folders = (sysconfig.get_path("scripts"), os.path.join(sys.prefix, "bin"))
    candidates = [os.path.join(folder, "modelscan-rs") for folder in folders]
    for path in candidates:
        if os.access(path, os.X_OK):
            return path
    from importlib import metadata

    for file in metadata.files("modelscan-rs") or []:
        if file.name == "modelscan-rs":
            return str(file.locate())
    raise FileNotFoundError(2, "the command modelscan-rs is not installed with this package", candidates[0])


def run(
    cmd: Sequence[str],
    profile: str = "eval",
    *,
    ro: Sequence[str | os.PathLike[str]] = (),
    out: str | os.PathLike[str] | None = None,
    env: Sequence[str] = (),
    options: Sequence[str] = (),
    input: bytes | None = None,
    capture: bool = True,
) -> RunResult:
    """Runs `cmd` in the sandbox and waits for its end. Linux only.

    `ro`: paths that are readable inside. `out`: a folder for results. `env`: variables that are passed on. `options`:
    further options of `modelscan run`, as `["--memory", "4GiB", "--timeout", "2m"]`. `input`: bytes for the standard
    input.

    If a restriction cannot be enforced, the command is not started: the outcome is `not_started` and the code 125.
    """
    descriptor, report_path = tempfile.mkstemp(prefix="modelscan-run-", suffix=".json")
    os.close(descriptor)
    try:
        line: list[str] = [command(), "run", "--profile", profile, "--report", report_path]
        for path in ro:
            line += ["--ro", os.fspath(path)]
        for variable in env:
            line += ["--env", variable]
        if out is not None:
            line += ["--out", os.fspath(out)]
        line += [*options, "--", *cmd]
        stdin = subprocess.DEVNULL if input is None else None
        done = subprocess.run(line, input=input, stdin=stdin, capture_output=capture, check=False)
        with open(report_path, "rb") as file:
            text = file.read()
    finally:
        os.unlink(report_path)
    report = json.loads(text) if text else {"outcome": "not_started", "code": done.returncode}
    return RunResult(done.returncode, report["outcome"], done.stdout, done.stderr, report)
