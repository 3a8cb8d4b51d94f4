#!/usr/bin/env python3
"""Builds the wheel: first the command, then the native module and the package. Needs maturin and a Rust toolchain.

python3 python/build.py [--debug] [--command FILE] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the wheel.")
    parser.add_argument("--out", type=pathlib.Path, default=HERE.parent / "target" / "wheels", metavar="FOLDER")
    parser.add_argument("--debug", action="store_true", help="build with the profile of the tests")
    parser.add_argument(
        "--command", type=pathlib.Path, metavar="FILE", help="a modelscan command that is already built"
    )
    args = parser.parse_args()
    copy_command(args.command or build_command(args.debug))
    profile = ["--profile", "dev"] if args.debug else ["--release"]
    maturin = [sys.executable, "-m", "maturin", "build", *profile, "--compatibility", "linux", "--out", str(args.out)]
    subprocess.run([*maturin, "-m", str(HERE / "Cargo.toml")], check=True)


def build_command(debug: bool) -> pathlib.Path:
    profile = [] if debug else ["--release"]
    subprocess.run(["cargo", "build", "--bin", "modelscan", *profile], cwd=HERE.parent, check=True)
    return HERE.parent / "target" / ("debug" if debug else "release") / "modelscan"


def copy_command(command: pathlib.Path) -> None:
    """Copies the command to wheel/scripts, which maturin packs as a script of the wheel."""
    scripts = HERE / "wheel" / "scripts"
    scripts.mkdir(parents=True, exist_ok=True)
    bundled = scripts / "modelscan-rs"
    bundled.unlink(missing_ok=True)
    shutil.copy(command, bundled)
    bundled.chmod(0o755)


if __name__ == "__main__":
    main()
