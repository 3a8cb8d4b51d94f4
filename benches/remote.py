#!/usr/bin/env python3
"""Scans of what is not here: a checkpoint of 2 GB at an address whose server answers late, and a change of 200 files in the
local store of Git LFS, 20 GB together. Inputs are sparse files. Prints a table.

    cargo build --release -p modelscan -p modelscan-remote --example serve --bin modelscan
    python3 benches/remote.py [--target target/release] [--latency 50]
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def checkpoint(path, records, size):
    """A stored zip laid out as torch.save does, with numbers that are holes."""
    directory, count = b"", 0
    with open(path, "wb") as file:

        def add(name, content=None):
            nonlocal directory, count
            at, length = file.tell(), size if content is None else len(content)
            common = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0x21, 0, length, length, len(name), 0)
            file.write(b"PK\x03\x04" + common + name)
            if content is None:
                file.seek(length, os.SEEK_CUR)
            else:
                file.write(content)
            directory += b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, at) + name
            count += 1

        def text(words):
            return b"X" + struct.pack("<I", len(words)) + words

        storages = (
            b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(str(number).encode()) + text(b"cpu")
            + b"J" + struct.pack("<I", size // 4) + b"tQ"
            for number in range(records)
        )
        add(b"model/data.pkl", b"\x80\x02](" + b"".join(storages) + b"e.")
        for number in range(records):
            add(b"model/data/%d" % number)
        add(b"model/version", b"3\n")
        at = file.tell()
        file.write(directory)
        file.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), at, 0))


def repository(folder, files):
    """Pointers, and their objects in the local store. Their names are no real hashes: these are not compared."""
    (folder / ".git").mkdir(parents=True)
    (folder / ".git/HEAD").write_text("ref: refs/heads/main\n")
    first = folder / "object"
    checkpoint(first, 50, 2_000_000)
    for number in range(files):
        oid = f"{number:04x}" * 16
        place = folder / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--sparse=always", first, place], check=True)
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {first.stat().st_size}\n"
        (folder / "models").mkdir(exist_ok=True)
        (folder / f"models/{number}.pt").write_text(pointer)


def measured(command, runs):
    times, report = [], None
    for _ in range(runs):
        start = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        times.append(time.perf_counter() - start)
        report = json.loads(done.stdout)
        if report["verdict"] != "clean":
            sys.exit(f"{command} gave {report['verdict']}: giving up early would look fast")
    return statistics.median(times), report["summary"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", type=pathlib.Path, default=ROOT / "target/release")
    parser.add_argument("--latency", type=int, default=50, help="milliseconds that each answer is late")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    scan = [args.target / "modelscan", "scan", "--isolated", "--quiet", "--format", "json"]
    home = pathlib.Path(tempfile.mkdtemp(prefix="modelscan-bench-"))
    print("| input | time | bytes read |\n|---|---|---|")

    def row(name, command):
        took, summary = measured(command, args.runs)
        print(f"| {name} | {took:.2f} s | {summary['bytes_read'] / 1e6:.2f} of {summary['bytes'] / 1e6:,.0f} MB |", flush=True)

    try:
        for records, size in [(300, 6_600_000), (5_000, 400_000)]:
            checkpoint(home / "model.pt", records, size)
            serve = [args.target / "examples/serve", home / "model.pt", str(args.latency)]
            with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
                address = server.stdout.readline().strip()
                row(f"address, {records:,} tensors", [*scan, "--allow-http", "--allow-private", address])
                server.kill()
        repository(home / "repository", 200)
        row("Git LFS, local store, 200 files", [*scan, home / "repository/models"])
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
