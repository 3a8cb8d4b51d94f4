"""The sandbox, through the command that is installed with this package: the library itself never forks its host."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Union


class RunResult(NamedTuple):
    """How a command inside walls ended. `report` is that of the contract: what was enforced, what was tried."""

    code: int
    outcome: str
    stdout: Optional[bytes]
    stderr: Optional[bytes]
    report: Dict[str, Any]


def command() -> str:
    """Where the `modelscan-rs` command of this package is."""
    named = os.environ.get("MODELSCAN_COMMAND")
    if named:
        return named
    places = [os.path.join(sysconfig.get_path("scripts"), "modelscan-rs"), os.path.join(sys.prefix, "bin", "modelscan-rs")]
    for place in places:
        if os.access(place, os.X_OK):
            return place
    from importlib import metadata

    for file in metadata.files("modelscan-rs") or []:
        if file.name == "modelscan-rs":
            return str(file.locate())
    raise FileNotFoundError(2, "the command modelscan-rs is not installed beside this package", places[0])


def run(
    cmd: Sequence[str], profile: str = "eval", *, ro: Sequence[Union[str, "os.PathLike[str]"]] = (),
    out: Optional[Union[str, "os.PathLike[str]"]] = None, env: Sequence[str] = (), options: Sequence[str] = (),
    input: Optional[bytes] = None, capture: bool = True,
) -> RunResult:
    """Runs `cmd` in the sandbox of that profile and waits for its end. Linux only.

    `ro` names what is readable inside, `out` where results go, `env` variables that are passed; `options` are any others of
    `modelscan run` (`["--memory", "4GiB", "--timeout", "2m"]`). What cannot be enforced here is outcome `not_started` with code
    125, never a run without it.
    """
    descriptor, account = tempfile.mkstemp(prefix="modelscan-run-", suffix=".json")
    os.close(descriptor)
    try:
        line: List[str] = [command(), "run", "--profile", profile, "--report", account]
        for place in ro:
            line += ["--ro", os.fspath(place)]
        for variable in env:
            line += ["--env", variable]
        if out is not None:
            line += ["--out", os.fspath(out)]
        line += [*options, "--", *cmd]
        done = subprocess.run(line, input=input, stdin=None if input is not None else subprocess.DEVNULL, capture_output=capture)
        with open(account, "rb") as file:
            text = file.read()
    finally:
        os.unlink(account)
    report = json.loads(text) if text else {"outcome": "not_started", "code": done.returncode}
    return RunResult(done.returncode, report["outcome"], done.stdout, done.stderr, report)
