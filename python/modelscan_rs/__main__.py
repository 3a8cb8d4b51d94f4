"""`python -m modelscan_rs guard [--mode MODE] [--lock FILE] -- COMMAND` runs a command with the guard in every Python
process of this environment that it starts. Other arguments go to the `modelscan-rs` command.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NoReturn

from ._run import command

MODES = ("deny", "convert", "warn")
OPTIONS = "[--mode deny|convert|warn] [--allow-sha256 HASH] [--lock FILE [--lock-folder DIR]]"


def main() -> NoReturn:
    args = sys.argv[1:]
    if args and args[0] == "guard":
        run_guarded(args[1:])
    program = command()
    os.execv(program, [program, *args])


def run_guarded(args: list[str]) -> NoReturn:
    """Replaces this process with the command after `--`, guarded through its environment."""
    mode = "deny"
    while args and args[0] != "--":
        option = args.pop(0)
        if option == "--mode" and args:
            mode = args.pop(0)
        elif option.startswith("--mode="):
            mode = option[len("--mode=") :]
        elif option == "--allow-sha256" and args:
            earlier = os.environ.get("MODELSCAN_ALLOW_SHA256")
            os.environ["MODELSCAN_ALLOW_SHA256"] = ",".join(filter(None, [earlier, args.pop(0)]))
        elif option in ("--lock", "--lock-folder") and args:
            # The guarded processes may have another working directory.
            os.environ["MODELSCAN_GUARD_" + option[2:].upper().replace("-", "_")] = os.path.abspath(args.pop(0))
        else:
            sys.exit(f"modelscan_rs guard: {option} is not an option; {OPTIONS} -- COMMAND")
    if mode not in MODES or len(args) < 2:
        sys.exit(f"usage: python -m modelscan_rs guard {OPTIONS} -- COMMAND")
    os.environ["MODELSCAN_GUARD"] = mode
    guarded_command = args[1:]
    # The first `python` on the path may be one of another environment, which has no guard.
    if guarded_command[0] in ("python", "python3"):
        guarded_command[0] = sys.executable
    exit_unless_guarded()
    try:
        os.execvp(guarded_command[0], guarded_command)
    except OSError as error:
        sys.exit(f"modelscan_rs guard: {guarded_command[0]}: {error.strerror}")


def exit_unless_guarded() -> None:
    """Exits with code 78 if a Python of this environment starts without the guard.

    A package that is only on the path has no `.pth` file.
    """
    check = "import sys; sys.exit('modelscan_rs.guard.auto' not in sys.modules)"
    if subprocess.run([sys.executable, "-c", check], stdin=subprocess.DEVNULL, check=False).returncode != 0:
        sys.stderr.write(
            f"modelscan_rs guard: {sys.executable} starts without the guard: its site-packages lack"
            " modelscan_rs_guard.pth; install the wheel there (pip install --force-reinstall)\n"
        )
        sys.exit(78)


main()
