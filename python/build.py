#!/usr/bin/env python3
"""Builds the wheel: the command first, which goes into it, then the module. Needs maturin beside a Rust toolchain.

    python3 python/build.py [--debug] [--command FILE] [--out FOLDER]
"""
import argparse
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=HERE.parent / "target" / "wheels")
    parser.add_argument("--debug", action="store_true", help="the profile that tests are built with")
    parser.add_argument("--command", type=pathlib.Path, help="a modelscan command that is built already")
    args = parser.parse_args()
    command = args.command
    if command is None:
        profile = [] if args.debug else ["--release"]
        subprocess.run(["cargo", "build", "--bin", "modelscan", *profile], cwd=HERE.parent, check=True)
        command = HERE.parent / "target" / ("debug" if args.debug else "release") / "modelscan"
    scripts = HERE / "wheel" / "scripts"
    scripts.mkdir(parents=True, exist_ok=True)
    bundled = scripts / "modelscan-rs"
    bundled.unlink(missing_ok=True)
    shutil.copy(command, bundled)
    bundled.chmod(0o755)
    profile = ["--profile", "dev"] if args.debug else ["--release"]
    maturin = [sys.executable, "-m", "maturin", "build", *profile, "--compatibility", "linux", "--out", str(args.out)]
    subprocess.run([*maturin, "-m", str(HERE / "Cargo.toml")], check=True)


if __name__ == "__main__":
    main()
