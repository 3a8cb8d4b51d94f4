"""`python -m modelscan_rs guard [--mode MODE] [--lock FILE] -- COMMAND`: runs a command with the guard in every Python process of this
environment that it starts. Anything else goes to the `modelscan-rs` command.
"""
import os
import sys

MODES = ("deny", "convert", "warn")
OPTIONS = "[--mode deny|convert|warn] [--allow-sha256 HASH] [--lock FILE [--lock-folder DIR]]"


def _must_stand():
    """Ends where a Python of this environment would start without the guard: a package that was merely put on the path brings no
    `.pth` file along."""
    import subprocess

    asked = "import sys; sys.exit('modelscan_rs.guard.auto' not in sys.modules)"
    if subprocess.run([sys.executable, "-c", asked], stdin=subprocess.DEVNULL).returncode != 0:
        sys.stderr.write(
            f"modelscan_rs guard: {sys.executable} starts without the guard: its site-packages lack modelscan_rs_guard.pth; install the "
            "wheel there (pip install --force-reinstall)\n"
        )
        sys.exit(78)


def guarded(args):
    mode = "deny"
    while args and args[0] != "--":
        option = args.pop(0)
        if option == "--mode" and args:
            mode = args.pop(0)
        elif option.startswith("--mode="):
            mode = option[len("--mode="):]
        elif option == "--allow-sha256" and args:
            known = os.environ.get("MODELSCAN_ALLOW_SHA256")
            os.environ["MODELSCAN_ALLOW_SHA256"] = ",".join(filter(None, [known, args.pop(0)]))
        elif option in ("--lock", "--lock-folder") and args:
            # Whoever is guarded may start elsewhere.
            os.environ["MODELSCAN_GUARD_" + option[2:].upper().replace("-", "_")] = os.path.abspath(args.pop(0))
        else:
            sys.exit(f"modelscan_rs guard: {option} is no option; {OPTIONS} -- COMMAND")
    if mode not in MODES or len(args) < 2:
        sys.exit(f"usage: python -m modelscan_rs guard {OPTIONS} -- COMMAND")
    os.environ["MODELSCAN_GUARD"] = mode
    # An unpickler that torch keeps for weights only stays where it is; `python` means the one that is guarded.
    command = args[1:]
    if command[0] in ("python", "python3"):
        command[0] = sys.executable
    _must_stand()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"modelscan_rs guard: {command[0]}: {error.strerror}")


def main():
    args = sys.argv[1:]
    if args and args[0] == "guard":
        guarded(args[1:])
    from ._run import command

    program = command()
    os.execv(program, [program, *args])


main()
