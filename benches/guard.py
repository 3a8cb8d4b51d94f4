#!/usr/bin/env python3
"""What the guard costs and what `load_file` takes, beside torch in the same run.

    python3 benches/guard.py               # with a Python that has torch and the wheel

Makes a checkpoint of 2 GB once in MODELSCAN_BENCH_DIR (default: a folder of the temporary folder). Page cache warm, each number
a median; loads run in a process each, in turns, and touch every tensor; peak memory is what the kernel says of the process.
"""
import json
import os
import pathlib
import pickle
import platform
import statistics
import subprocess
import sys
import tempfile
import time

FOLDER = pathlib.Path(os.environ.get("MODELSCAN_BENCH_DIR") or pathlib.Path(tempfile.gettempdir()) / "modelscan-bench")
RUNS = int(os.environ.get("MODELSCAN_BENCH_RUNS", "5"))

LOADS = {
    "torch.load": "value = torch.load(path)",
    "torch.load, weights_only=False": "value = torch.load(path, weights_only=False)",
    "torch.load, mmap": "value = torch.load(path, mmap=True)",
    "load_file": "value = modelscan_rs.load_file(path, 'torch')",
    "load_file, mmap": "value = modelscan_rs.load_file(path, 'torch', mmap=True)",
    "torch.load under the guard (deny)": "guard.install(); value = torch.load(path)",
    "torch.load under the guard (convert)": "guard.install('convert'); value = torch.load(path)",
}
CHILD = r"""
import json, re, sys, time
import torch, numpy, modelscan_rs
from modelscan_rs import guard
path = sys.argv[1]
def peak():
    return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
open("/proc/self/clear_refs", "w").write("5")
before = peak()
start = time.perf_counter()
{load}
total = 0
for tensor in value.values():
    total += int(tensor.view(-1).view(torch.uint8)[::4096].sum())
end = time.perf_counter()
after = peak()
print(json.dumps([end - start, (after - before) / 1024, total]))
"""


def checkpoint(tensors):
    import torch

    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"guard-{tensors}.pt"
    if not path.exists():
        each = 2_000_000_000 // tensors // 4
        torch.save({f"layer.{index}.weight": torch.randn(each // 100, 100) for index in range(tensors)}, path.with_suffix(".new"))
        path.with_suffix(".new").rename(path)
        os.utime(path, (1, 1))
        # Of a file that changed just now no verdict is kept.
        time.sleep(3)
    with open(path, "rb") as file:
        while file.read(1 << 24):
            pass
    return path


def median(act, runs=20):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def first_byte(path):
    """From the call to the first byte that torch asks for, with the guard and without."""
    import torch
    from modelscan_rs import guard
    from modelscan_rs.guard import _verdict_cache

    class Stop(Exception):
        pass

    def stop(*_args, **_options):
        raise Stop

    def load():
        try:
            torch.load(str(path))
        except Stop:
            pass

    rows = []
    with guard.install():
        inner, torch.load.__wrapped__ = torch.load.__wrapped__, stop
        try:
            # `open` of the file and the scan are all that stands before the loader.
            def unseen():
                _verdict_cache.clear()
                load()

            rows.append(("not seen before", median(unseen)))
            load()
            rows.append(("seen before", median(load)))
        finally:
            torch.load.__wrapped__ = inner
    return rows


def small():
    from modelscan_rs import guard
    from modelscan_rs.guard import _admission, _verdict_cache

    data = pickle.dumps([{"name": f"layer.{index}", "shape": (index, 3)} for index in range(8000)])
    rows = []
    with guard.install():
        def unseen():
            _verdict_cache.clear()
            _admission.admit_bytes(data, "<bytes>")

        rows.append((f"pickle of {len(data) // 1000} KB, not seen before", median(unseen)))
        rows.append(("the same, seen before (by its SHA-256)", median(lambda: _admission.admit_bytes(data, "<bytes>"))))
        tiny = pickle.dumps({"a": 1})
        guarded = median(lambda: pickle.loads(tiny), 2000)
    plain = median(lambda: pickle.loads(tiny), 2000)
    rows.append((f"pickle.loads of {len(tiny)} bytes, guarded ({plain * 1000:.1f} us without)", guarded))
    return rows


def main():
    print(f"{platform.platform()}, Python {platform.python_version()}, medians of {RUNS} runs\n")
    print("| before the loader gets its first byte | ms |\n|---|---|")
    for tensors in (400, 5000):
        path = checkpoint(tensors)
        for what, time_ms in first_byte(path):
            print(f"| 2 GB, {tensors} tensors, {what} | {time_ms:.2f} |")
    for what, time_ms in small():
        print(f"| {what} | {time_ms:.3f} |")
    for tensors in (400, 5000):
        path = checkpoint(tensors)
        found = {name: [] for name in LOADS}
        totals = set()
        for _ in range(RUNS):
            for name, load in LOADS.items():
                done = subprocess.run([sys.executable, "-c", CHILD.format(load=load), str(path)], capture_output=True, check=True)
                seconds, memory, total = json.loads(done.stdout.splitlines()[-1])
                found[name].append((seconds, memory))
                totals.add(total)
        assert len(totals) == 1, "the loaders do not agree"
        print(f"\n| load of 2 GB, {tensors} tensors, all touched | ms | peak memory, MB above the start | to torch.load |\n|---|---|---|---|")
        base = statistics.median(one[0] for one in found["torch.load"])
        for name, runs in found.items():
            seconds, memory = (statistics.median(column) for column in zip(*runs))
            print(f"| {name} | {seconds * 1000:.0f} | {memory:.0f} | {seconds / base:.2f} |")


if __name__ == "__main__":
    main()
